# SPDX-License-Identifier: Apache-2.0
"""The lab's switch: a bridge in the sandbox's network namespace, one port per host, and faults on it.

A port is called like its host. Cuts and losses drop frames that the bridge *forwards*, so the control side
(10.77.0.254, which is the bridge itself) reaches every host through any of them; only ``unplug`` cuts all.
"""

from __future__ import annotations

from lablib.paths import CONTROL_ADDRESS, host_address, host_index
from lablib.shell import call

BRIDGE = "lab0"
_TABLE = """
table bridge lab {
  chain faults { type filter hook forward priority 0; policy accept; }
}
"""


def create() -> None:
    """Make the bridge with the control side's address and the empty table of faults."""
    call("ip", "link", "set", "lo", "up")
    call("ip", "link", "add", BRIDGE, "address", "02:77:00:00:00:fe", "type", "bridge")
    call("ip", "address", "add", f"{CONTROL_ADDRESS}/24", "dev", BRIDGE)
    call("ip", "link", "set", BRIDGE, "up")
    call("nft", "-f", "-", stdin=_TABLE)


def connect(host: str, pid: int) -> None:
    """Plug a new cable between the bridge and ``eth0`` of the network namespace of ``pid``."""
    index = host_index(host)
    mac = f"02:77:00:00:00:{index:02x}"
    disconnect(host)
    call("ip", "link", "add", host, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", str(pid))
    call("ip", "link", "set", host, "master", BRIDGE, "up")
    inside = f"""
        set -e
        ip link set lo up
        ip address add {host_address(index)}/24 dev eth0
        ip link set eth0 up
        ip route add default via {CONTROL_ADDRESS}
        echo 0 > /proc/sys/net/ipv4/ip_forward
    """
    call("nsenter", "--target", str(pid), "--net", "sh", "-c", inside)


def disconnect(host: str) -> None:
    """Take the cable away, with both of its ends; nothing happens where there is none."""
    call("ip", "link", "delete", host, check=False)


def plug(host: str, plugged: bool) -> None:
    """Port up or down: down cuts the host from everything, the control side included."""
    call("ip", "link", "set", host, "up" if plugged else "down")


def split(one: list[str], other: list[str], *, one_way: bool = False) -> None:
    """Drop frames from side to side, in both directions or only from ``one`` to ``other``."""
    rules = [_drop(one, other)] if one_way else [_drop(one, other), _drop(other, one)]
    call("nft", "-f", "-", stdin="\n".join(rules))


def loss(host: str, percent: int) -> None:
    """Drop that share of the frames between the host and other hosts, each way."""
    dice = "drop" if percent == 100 else f"numgen random mod 100 < {percent} drop"
    call(
        "nft",
        "-f",
        "-",
        stdin="".join(f"add rule bridge lab faults {way} {host} {dice}\n" for way in ("iifname", "oifname")),
    )


def heal() -> None:
    """Forget all cuts and losses."""
    call("nft", "flush", "chain", "bridge", "lab", "faults")


def faults() -> list[str]:
    """The cuts and losses in force, as nftables words."""
    lines = call("nft", "list", "chain", "bridge", "lab", "faults").stdout.splitlines()
    return [line.strip() for line in lines if "drop" in line]


def _drop(sources: list[str], targets: list[str]) -> str:
    return f"add rule bridge lab faults iifname {{ {', '.join(sources)} }} oifname {{ {', '.join(targets)} }} drop"
