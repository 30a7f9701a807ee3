# SPDX-License-Identifier: Apache-2.0
"""The faults of the lab do what they are called, to whom they are meant for, and end when healed."""

from __future__ import annotations

from lablib.handle import Host, RunningLab


def test_a_split_cuts_hosts_from_each_other_but_not_from_the_control_side(lab: RunningLab) -> None:
    first, second, third = lab.hosts[:3]
    lab.split([first], [second, third])
    assert [first.reaches(second), second.reaches(first), third.reaches(first)] == [False] * 3
    assert second.reaches(third)
    assert all(lab.reaches(host) for host in lab.hosts)
    lab.heal()
    for host, other in ((first, second), (third, first)):
        lab.poll(lambda host=host, other=other: host.reaches(other), 60, "the healed network to carry")


_LISTEN = """
import socket
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.bind(("", 7777))
while True:
    sender = line.recvfrom(99)[1][0]
    print("heard", sender, flush=True)
"""
_SEND = "import socket, sys; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', (sys.argv[1], 7777))"


def test_a_one_way_split_lets_the_other_direction_through(lab: RunningLab) -> None:
    first, second = pair = lab.hosts[:2]
    for host, other in (pair, pair[::-1]):
        # The neighbours must know each other: an ARP answer would be cut as well.
        index = int(other.name.removeprefix("host"))
        host.run(f"ip neighbour replace {other.address} lladdr 02:77:00:00:00:{index:02x} dev eth0")
        host.run(["systemd-run", "--quiet", "--unit", "listener", "python3", "-c", _LISTEN])
    lab.split([first], [second], one_way=True)

    def heard(host: Host, sender: Host) -> bool:
        sender.run(["python3", "-c", _SEND, host.address])
        return f"heard {sender.address}" in host.out("journalctl -b -u listener --no-pager")

    try:
        lab.poll(lambda: heard(first, second), 60, "a datagram to pass")
        assert not heard(second, first)
        lab.heal()
        lab.poll(lambda: heard(second, first), 60, "a datagram to pass after healing")
    finally:
        for host in pair:
            host.run("systemctl stop listener; ip neighbour flush dev eth0", check=False)


def test_full_loss_silences_a_host_towards_other_hosts(lab: RunningLab) -> None:
    first, second = lab.hosts[:2]
    first.loss(100)
    assert not second.reaches(first)
    assert lab.reaches(first)
    assert len(lab.status()["network"]) == 2


def test_an_unplugged_host_is_reached_by_nobody_and_still_lives(lab: RunningLab) -> None:
    host = lab["host2"]
    host.unplug()
    assert not lab.reaches(host)
    assert host.status()["faults"] == ["unplugged"]
    assert host.exec("hostname").stdout.strip() == host.name
    host.plug()
    host.wait()


def test_a_frozen_host_accepts_connections_and_says_nothing(lab: RunningLab) -> None:
    host = lab["host2"]
    host.freeze()
    hello = "import socket, sys; s = socket.create_connection((sys.argv[1], 22), 3); s.settimeout(3); print(s.recv(99))"
    silent = lab.run(["/usr/bin/python3", "-c", hello, host.address], check=False)
    assert "TimeoutError" in silent.stderr
    host.thaw()
    assert b"SSH-2.0".decode() in lab.run(["/usr/bin/python3", "-c", hello, host.address]).stdout


def test_a_frozen_host_can_be_powered_off(lab: RunningLab) -> None:
    host = lab["host2"]
    host.run(f"docker run -d --name paused {lab.image('web:v1')} && docker pause paused")
    host.freeze()
    host.kill()
    assert host.status()["power"] == "off"
    host.start()
    host.run("docker rm -f paused")


def test_a_slowed_host_is_throttled_by_the_kernel(lab: RunningLab) -> None:
    host = lab["host2"]
    host.slow(20)
    host.run("timeout 2 sh -c 'while :; do :; done'", check=False)
    stat = host.out("cat /sys/fs/cgroup/cpu/cpu.stat /sys/fs/cgroup/cpu.stat 2>/dev/null; true")
    counts = dict(line.split() for line in stat.splitlines())
    assert int(counts["nr_throttled"]) > 0
    host.slow(None)
    assert host.status()["faults"] == []
