# SPDX-License-Identifier: Apache-2.0
"""Runs a command on Debian's stock kernel in a virtual machine without hardware help: `boot.py [COMMAND...]`.

The guest sees the machine's files (its own writes go to memory), has no network and no disk, and ends with the command.
Without a command it is the kernel tests with both backends; `--short` is those that this kernel is there for. The exit
status is the command's; what it leaves in the folder `$QUEENRIGHT_RESULT` is in `.test-output/guest` afterwards.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import debian  # noqa: E402
import initramfs  # noqa: E402

ROOT = HERE.parents[2]
RESULT = ROOT / ".test-output/guest"
BACKENDS, SHORT_BACKENDS = "nftables,ipvs", "ipvs"
ELSEWHERE = ("test_doctor.py", "test_firewall.py", "test_guest.py", "test_tunnel.py")
"""What is not about the networks of a swarm runs outside only."""
SHORT = (
    "test_probe.py",
    "guest/test_loss.py",
    "guest/test_change.py",
    "test_balancing.py",
    "test_publishing.py",
    "test_cuts.py",
    "test_successors.py",
    "test_reconciling.py::test_leaving_leaves_the_machine_as_it_was",
)
"""What no other kernel of ours can tell: the balancer IPVS in all that depends on a balancer, and a wire that loses."""
SHORT_STRIDE = 7  # see kit.stride
MODULES = ("ip_vs", "ip_vs_rr", "ip_vs_sh", "vxlan", "br_netfilter", "sch_netem")
"""Loaded before the command, so that a kernel that lacks one is known by its name."""

_JOB = """#!/bin/sh
export PATH={path} HOME=/run/home LC_ALL=C.UTF-8 TERM=dumb PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
export QUEENRIGHT_RESULT=/run/result {variables}
mkdir -p /run/home /run/netns
hostname guest
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1
for module in {modules}; do modprobe $module || echo "guest: no module $module"; done
cd {root}
echo "guest: kernel $(uname -r)"
{command}
echo $? >/run/result/status
sync
exec busybox poweroff -f
"""


def _tests(short: bool) -> list[str]:
    left_out = [f"--ignore=tests/kernel/{name}" for name in ELSEWHERE]
    return [
        *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-m", "not long", "--durations=20"),
        "--junitxml=/run/result/guest.xml",
        *([f"tests/kernel/{name}" for name in SHORT] if short else [*left_out, "tests/kernel"]),
    ]


def _machine(
    image: debian.Kernel, first_files: pathlib.Path, result: pathlib.Path, memory: int, cores: int
) -> list[str]:
    """The command line of the virtual machine: a serial console, two folders, nothing else."""
    shared = "local,security_model=none,multidevs=remap"
    return [
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-M", "q35", "-cpu", "max"),
        *("-m", str(memory), "-smp", str(cores)),
        *("-accel", "tcg,thread=multi,tb-size=256", "-nodefaults", "-no-user-config", "-no-reboot"),
        *("-display", "none", "-serial", "stdio", "-kernel", str(image.image), "-initrd", str(first_files)),
        *("-append", "console=ttyS0 panic=-1 quiet mitigations=off apparmor=0 random.trust_cpu=on"),
        *("-device", "virtio-rng-pci"),
        *("-fsdev", f"{shared},id=machine,path=/,readonly=on"),
        *("-device", "virtio-9p-pci,fsdev=machine,mount_tag=machine"),
        *("-fsdev", f"{shared},id=result,path={result}"),
        *("-device", "virtio-9p-pci,fsdev=result,mount_tag=result"),
    ]


def _job(command: list[str], backends: str, stride: int) -> str:
    path = f"{pathlib.Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    variables = {
        "QUEENRIGHT_KERNEL_BACKENDS": backends,
        "QUEENRIGHT_KERNEL_STRIDE": str(stride),
        "PYTHONPATH": f"{ROOT / 'runtime/src'}:{ROOT}",
    }
    return _JOB.format(
        path=path,
        variables=" ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items()),
        modules=" ".join(MODULES),
        root=shlex.quote(str(ROOT)),
        command=shlex.join(command),
    )


def _watch(line: list[str], limit: float) -> None:
    """Run the machine to its end with its console in sight; it ends with this process, whatever ends that."""
    with subprocess.Popen(line, stdin=subprocess.DEVNULL) as machine:
        try:
            machine.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            print(f"\nguest: not done after {limit:.0f} s; it was ended", flush=True)
        finally:
            machine.kill()


def _verdict(result: pathlib.Path) -> int:
    try:
        return int((result / "status").read_text())
    except (OSError, ValueError):
        print("guest: it ended without a word about the command; the console above says how far it came")
        return 1


def _end(number: int, _frame: types.FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> int:
    """Boot, run, and answer with the command's status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="only the tests that need this kernel, with IPVS only")
    parser.add_argument("--backends", help=f"for the kernel tests (default {BACKENDS}; {SHORT_BACKENDS} if short)")
    parser.add_argument("--result", type=pathlib.Path, default=RESULT, help="a folder, made anew (%(default)s)")
    parser.add_argument("--limit", type=float, default=3300, help="seconds until the guest is ended (default 3300)")
    parser.add_argument("--memory", type=int, default=1024, help="MiB (default 1024)")
    parser.add_argument("--cores", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    busybox = shutil.which("busybox")
    if busybox is None:
        print("guest: no busybox here: install the packages of tests/kernel/apt.txt", file=sys.stderr)
        return 2
    try:
        image = debian.fetch()
    except RuntimeError as error:
        print(f"guest: Debian's kernel cannot be had: {error}", file=sys.stderr)
        return 2
    result = arguments.result.resolve()
    shutil.rmtree(result, ignore_errors=True)
    result.mkdir(parents=True)
    backends = arguments.backends or (SHORT_BACKENDS if arguments.short else BACKENDS)
    command = arguments.command or _tests(arguments.short)
    job = _job(command, backends, SHORT_STRIDE if arguments.short else 1)
    with tempfile.TemporaryDirectory(prefix="qr-guest") as folder:
        first_files = pathlib.Path(folder) / "initramfs"
        initramfs.write(image, job, first_files, pathlib.Path(busybox))
        _watch(_machine(image, first_files, result, arguments.memory, arguments.cores), arguments.limit)
    return _verdict(result)


if __name__ == "__main__":
    sys.exit(main())
