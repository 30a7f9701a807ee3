#!/bin/bash
# Pid 1 of fresh namespaces (mount, net, uts, ipc, pid, cgroup): turns them into a machine, then hands over to
# its init. Called as: machine.sh GO HOSTNAME TREE DISK SHARE HIERARCHY... -- INIT...
# GO is the descriptor that says when the network is plugged in, TREE the read-only lower layer; DISK holds upper,
# work, root and docker (and perhaps cache); SHARE appears as /srv/lab ("" for none).
set -eu
go=$1 name=$2 tree=$3 disk=$4 share=$5
shift 5
root=$disk/root
read -r _ <&"$go"
[ "$go" = 0 ] || exec {go}<&-

hostname "$name"
mount -t overlay "$name" -o "lowerdir=$tree,upperdir=$disk/upper,workdir=$disk/work" "$root"
mount --make-private "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"

dev=$root/dev
mount -t tmpfs -o mode=755,size=16m tmpfs "$dev"
mkdir -p "$dev/pts" "$dev/shm" "$dev/net" "$dev/mqueue"
for node in null zero full random urandom tty fuse net/tun; do
    if [ -e "/dev/$node" ]; then
        : > "$dev/$node"
        mount --bind "/dev/$node" "$dev/$node"
    fi
done
: > "$dev/console"
mount --bind /dev/null "$dev/console"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$dev/shm"
ln -s pts/ptmx "$dev/ptmx"
ln -s /proc/self/fd "$dev/fd"
ln -s fd/0 "$dev/stdin"
ln -s fd/1 "$dev/stdout"
ln -s fd/2 "$dev/stderr"

mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/lock"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
# Every boot has an id of its own, as on a real machine; journald tells boots apart by it.
cat /proc/sys/kernel/random/uuid > "$root/run/.boot_id"
mount --bind -o ro "$root/run/.boot_id" "$root/proc/sys/kernel/random/boot_id"

cgroup=$root/sys/fs/cgroup
if [ "$1" = unified ]; then
    mount -t cgroup2 cgroup2 "$cgroup"
    shift
else
    mount -t tmpfs -o mode=755 tmpfs "$cgroup"
    while [ "$1" != -- ]; do
        folder=${1#none,name=}
        mkdir "$cgroup/$folder"
        case $1 in
            unified) mount -t cgroup2 cgroup2 "$cgroup/$folder" ;;
            *) mount -t cgroup -o "$1" cgroup "$cgroup/$folder" ;;
        esac
        case $folder in *,*) for alias in ${folder//,/ }; do ln -s "$folder" "$cgroup/$alias"; done ;; esac
        shift
    done
fi
shift

# Docker's overlays cannot lie on an overlay: its folder is one of the machine's real file system.
mount --bind "$disk/docker" "$root/var/lib/docker"
if [ -d "$disk/cache" ]; then
    mount --bind "$disk/cache" "$root/var/cache/queenright-lab"
fi
if [ -n "$share" ]; then
    mount --bind "$share" "$root/srv/lab"
    mount -o remount,bind,ro "$root/srv/lab"
fi
cd "$root"
pivot_root . mnt/old
umount -l /mnt/old
exec "$@"
