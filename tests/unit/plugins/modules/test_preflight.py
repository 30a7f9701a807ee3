# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""swarm_preflight_info and its checks on hosts that are told; tunnels are tried for real in tests/kernel."""

from __future__ import annotations

import contextlib
import json
import socket
import typing as t

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils import _preflight, _standing
from ansible_collections.queenright.swarm.plugins.module_utils._checkup import commands, engine, host, tunnel
from ansible_collections.queenright.swarm.plugins.module_utils._checkup.finding import Finding, Host
from ansible_collections.queenright.swarm.plugins.module_utils._spec import kernel as features
from ansible_collections.queenright.swarm.plugins.modules import swarm_preflight_info

GOOD_INFO = {"Swarm": {"LocalNodeState": "inactive"}, "LiveRestoreEnabled": True, "SecurityOptions": ["name=seccomp"]}
GOOD_VERSION = {"Version": "26.1.5", "ApiVersion": "1.45"}


class Told(Host):
    """A host whose commands answer what the test says; others are not installed."""

    def __init__(self, answers: dict[str, t.Any] | None = None, files: dict[str, str] | None = None) -> None:
        self.answers = {"unshare --net": "", "nft --version": "nftables v1.0.6", **(answers or {})}
        self.files = files or {}

    def run(self, arguments: t.Sequence[str], data: str | None = None) -> tuple[int, str, str]:
        line = " ".join(arguments)
        found = [answer for start, answer in self.answers.items() if line.startswith(start)]
        if not found:
            return 127, "", f"{arguments[0]} is not installed"
        answer = found[-1](line, data) if callable(found[-1]) else found[-1]
        return answer if isinstance(answer, tuple) else (0, answer, "")

    def read(self, path: str) -> str:
        return self.files.get(path, "")


def wrong(findings: t.Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.state, finding.text) for finding in findings if finding.state != "ok"]


def _links(*names: str, port: int = 4789) -> str:
    return json.dumps([{"ifname": name, "linkinfo": {"info_data": {"port": port}}} for name in names])


# -- ports


def _free_port() -> int:
    while True:
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as next_one:
            one.bind(("", 0))
            next_one.bind(("", one.getsockname()[1] + 1))
            return one.getsockname()[1]


def test_free_ports_are_fine() -> None:
    assert wrong(host.ports(Told(), _free_port(), _free_port(), member=False)) == []


def test_a_port_in_use_is_told_with_the_program_that_uses_it() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        told = Told({"ss": f'LISTEN 0 1 *:{port} *:* users:(("consul",pid=42,fd=3))'})
        [(state, text)] = wrong(host.ports(told, port, _free_port(), member=False))
    assert state == "error"
    assert text == f"the port of managers, {port}/tcp, is in use by consul (process 42)"


def test_a_members_own_ports_are_no_problem() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        told = Told({"ip -json -details": _links("svx-0123456789")})
        assert wrong(host.ports(told, port, 4789, member=True)) == []


def test_tunnels_of_others_at_the_port_are_named() -> None:
    told = Told({"ip -json -details": _links("svx-0123456789", "flannel.1")})
    [(state, text)] = wrong(host.ports(told, 2377, 4789, member=True))
    assert (state, text) == ("error", "the tunnel flannel.1 uses port 4789/udp")


def test_tunnels_of_others_at_another_port_say_nothing_of_ours() -> None:
    port = _free_port()
    told = Told({"ip -json -details": _links("flannel.1", port=8472)})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", port))
        [(state, text)] = wrong(host.ports(told, _free_port(), port, member=False))
    assert (state, text) == ("error", f"the port of tunnels, {port}/udp, is in use")
    said = [finding.text for finding in host.ports(told, _free_port(), port, member=False)]
    assert f"the port of tunnels, {port}/udp, is free" in said


def test_a_connection_that_just_ended_does_not_use_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # first: the server's side is the one that waits
        client.recv(1)
        client.close()
    assert wrong(host.ports(Told(), port, _free_port(), member=False)) == []


# -- packets and clock


@pytest.mark.parametrize(("size", "expected"), [(1500, []), (1400, []), (1300, ["error"])])
def test_packets_must_leave_room_for_the_tunnel(size: int, expected: list[str]) -> None:
    told = Told(
        {
            "ip -json route get": json.dumps([{"dst": "192.0.2.9", "dev": "eth0", "prefsrc": "192.0.2.1"}]),
            "ip -json link show": json.dumps([{"ifname": "eth0", "mtu": size}]),
        }
    )
    assert [state for state, _text in wrong(host.mtu(told, ["192.0.2.9"]))] == expected


def test_a_host_that_is_among_its_peers_has_no_packets_to_itself() -> None:
    told = Told({"ip -json route get": json.dumps([{"dev": "lo"}]), "ip -json link show": json.dumps([{"mtu": 65536}])})
    assert list(host.mtu(told, ["192.0.2.1"])) == []


def test_a_peer_without_a_way_to_it_is_told() -> None:
    told = Told({"ip -json route get": (2, "", "RTNETLINK answers: Network is unreachable")})
    assert wrong(host.mtu(told, ["192.0.2.9"])) == [("error", "there is no route to 192.0.2.9")]


def test_a_clock_that_nobody_keeps_is_a_warning() -> None:
    assert wrong(host.clock(True)) == wrong(host.clock(None)) == []
    assert [state for state, _text in wrong(host.clock(False))] == ["warning"]
    assert host.synchronised() in (True, False, None)


# -- the engine


def _engine(version: dict | None = None, info: dict | None = None, file: str = "") -> list[tuple[str, str]]:
    def get(path: str, url: str) -> dict:
        return {**GOOD_VERSION, **(version or {})} if url == "/version" else {**GOOD_INFO, **(info or {})}

    return wrong(engine.engine(Told(files={engine.DAEMON_JSON: file}), "/run/d.sock", get))


def test_a_good_engine_is_fine() -> None:
    assert _engine() == []


@pytest.mark.parametrize(
    ("answers", "state", "text"),
    [
        ({"version": {"ApiVersion": "1.40"}}, "error", "API 1.40"),
        ({"info": {"Swarm": {"LocalNodeState": "active"}}}, "error", "in a swarm of its own"),
        ({"info": {"SecurityOptions": ["name=rootless"]}}, "error", "rootless"),
        ({"info": {"LiveRestoreEnabled": False}}, "warning", "stop when the engine is restarted"),
        ({"info": {"IPv4Forwarding": False}}, "error", "forwards no packets"),
        ({"file": '{"iptables": false}'}, "warning", "makes no rules"),
        ({"file": "{"}, "error", "cannot be read"),
    ],
)
def test_what_is_wrong_with_an_engine_is_told(answers: dict, state: str, text: str) -> None:
    [(found, said)] = _engine(**answers)
    assert found == state
    assert text in said


def test_an_engine_that_does_not_answer_is_told(tmp_path) -> None:
    [(state, text)] = wrong(engine.engine(Told(), str(tmp_path / "none.sock")))
    assert state == "error"
    assert "does not answer at" in text


def test_the_engines_socket_is_asked() -> None:
    import tempfile
    import threading

    folder = tempfile.mkdtemp(prefix="qr")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(folder + "/d.sock")
        listener.listen(1)

        def answer() -> None:
            with listener.accept()[0] as one:
                one.recv(65536)
                one.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"ApiVersion": "1.45"}')

        thread = threading.Thread(target=answer)
        thread.start()
        assert engine.ask(folder + "/d.sock", "/version") == {"ApiVersion": "1.45"}
        thread.join()


def test_hosts_without_a_way_to_each_other_try_no_tunnel() -> None:
    [(state, text)] = wrong(tunnel.tunnels(Told(), "", ["192.0.2.9"], 4789, 1.0))
    assert (state, text) == ("error", "there is no way to the other hosts: tunnels cannot be tried")


# -- the firewall


def test_a_firewall_that_may_not_be_looked_at_is_not_said_to_be_open() -> None:
    told = Told({"nft list ruleset": (1, "", "Operation not permitted (you must be root)")})
    assert wrong(host.firewall(told, "4789/udp")) == [("warning", "the firewall cannot be looked at")]


@pytest.mark.parametrize(
    ("answers", "states"),
    [
        ({}, []),
        ({"firewall-cmd": "public\n"}, ["warning"]),
        ({"firewall-cmd": 'rule priority="-32760" family="ipv4" ...'}, []),
        ({"ufw": "Status: active"}, ["warning"]),
        ({"ufw": "Status: active queenright"}, []),
        ({"nft list ruleset": "type filter hook input priority filter; policy drop;"}, ["warning"]),
        ({"nft list ruleset": "table inet swarm_firewall {"}, []),
    ],
)
def test_a_firewall_that_lets_nobody_in_is_a_warning_with_the_way_to_open_it(answers: dict, states: list) -> None:
    findings = list(host.firewall(Told(answers), "2377/tcp"))
    assert [finding.state for finding in findings if finding.state != "ok"] == states
    assert all("swarm_manage_firewall" in finding.fix for finding in findings if finding.fix)


# -- the kernel


def test_a_kernel_that_can_do_everything_is_fine() -> None:
    assert wrong(commands.kernel(Told(), features, "nftables")) == []


def test_what_a_kernel_lacks_is_named_with_its_option() -> None:
    def nft(_line: str, data: str | None) -> tuple[int, str, str]:
        return (1, "", "Error: Could not process rule") if "numgen" in (data or "") else (0, "", "")

    told = Told({"unshare --net nft": nft, "unshare --net ip link add swprobe1 type vxlan": (2, "", "Unknown device")})
    texts = [text for _state, text in wrong(commands.kernel(told, features, "nftables"))]
    assert len(texts) == 2
    assert "CONFIG_VXLAN" in texts[0]
    assert "CONFIG_NFT_NUMGEN" in texts[1]


def test_a_host_without_nftables_is_told_to_install_it() -> None:
    told = Told({"nft --version": (127, "", "nft is not installed")})
    assert [finding.fix for finding in commands.kernel(told, features, "nftables") if finding.fix] == [
        "install the package nftables"
    ]


def test_without_root_nothing_else_is_said_of_the_kernel() -> None:
    told = Told({"unshare --net": (1, "", "unshare: unshare failed: Operation not permitted")})
    [finding] = commands.kernel(told, features, "ipvs")
    assert finding.fix == "run as root"


def test_ipvs_is_looked_for_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "family", lambda name: False)
    [(state, text)] = wrong(commands.kernel(Told(), features, "ipvs"))
    assert state == "error"
    assert "CONFIG_IP_VS" in text
    assert commands.family("nlctrl") is False
    monkeypatch.undo()
    assert commands.family("nlctrl") is True
    assert commands.family("no such family") is False


# -- tunnels


def _verdict(*passed: str, skew: float = 0.0) -> list[tuple[str, str]]:
    peer = tunnel.Peer("192.0.2.9", "169.254.64.1")
    peer.passed.update(passed)
    peer.skew = skew
    return wrong(tunnel.verdict(peer, 4789, 1450, "eth0"))


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        ((), "carries nothing"),
        (("plain",), "the offload of a network card"),
        (("plain", "summed", "large"), "loses packets (tcp)"),
        (("plain", "summed", "tcp"), "does not carry packets of 1450 bytes"),
    ],
)
def test_what_passes_a_tunnel_tells_what_is_wrong_with_it(passed: tuple, text: str) -> None:
    [(_state, said)] = _verdict(*passed)
    assert text in said


def test_a_whole_tunnel_is_fine_unless_the_clocks_differ() -> None:
    assert _verdict("plain", "summed", "large", "tcp") == []
    [(state, text)] = _verdict("plain", "summed", "large", "tcp", skew=-61.2)
    assert (state, text) == ("error", "the clocks of this host and 192.0.2.9 differ by 61 seconds")


# -- the module


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Told:
    monkeypatch.setattr(_standing, "STATE_DIR", str(tmp_path))
    told = Told()
    monkeypatch.setattr(_preflight, "Host", lambda: told)
    monkeypatch.setattr(host, "synchronised", lambda: True)
    monkeypatch.setattr(_preflight.engine, "engine", lambda machine, path: iter([Finding("docker", "ok", path)]))
    return told


def test_a_fit_host_is_told_to_be_so(fit: Told, run_module) -> None:
    result = run_module(swarm_preflight_info, control_port=_free_port(), data_path_port=_free_port())
    assert (result["changed"], result["fit"], result["problems"]) == (False, True, [])
    assert {finding["check"] for finding in result["findings"]} == {"ports", "clock", "docker", "firewall", "kernel"}


def test_an_unfit_host_fails_the_task_only_where_that_is_wanted(fit: Told, run_module) -> None:
    fit.answers["nft --version"] = (127, "", "")
    options = {"control_port": _free_port(), "data_path_port": _free_port()}
    told = run_module(swarm_preflight_info, **options)
    assert (told["fit"], len(told["problems"])) == (False, 1)
    failed = run_module(swarm_preflight_info, fail_on_error=True, **options)
    assert failed["failed"]
    assert "install the package nftables" in failed["msg"]
    assert failed["findings"] == told["findings"]


def test_peers_are_addresses(fit: Told, run_module) -> None:
    result = run_module(swarm_preflight_info, peers=["host1"])
    assert result["failed"]
    assert result["msg"] == "peers: 'host1' is no address; names cannot be used"


def test_tunnels_are_tried_with_the_peers_and_the_hosts_own_address(fit: Told, run_module, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(_preflight.tunnel, "tunnels", lambda machine, *more: seen.append(more) or iter(()))
    fit.answers["ip -json route get"] = lambda line, data: json.dumps(
        [{"dev": "lo" if line.endswith("192.0.2.2") else "eth0", "prefsrc": "192.0.2.77"}]
    )
    fit.answers["ip -json link show"] = json.dumps([{"mtu": 1500}])
    peers = ["192.0.2.1", "192.0.2.2"]
    run_module(swarm_preflight_info, peers=peers, control_port=_free_port(), data_path_port=4790, wait=7)
    run_module(swarm_preflight_info, peers=peers, own_addr="192.0.2.1", data_path_port=4790)
    assert seen == [("192.0.2.2", peers, 4790, 7), ("192.0.2.1", peers, 4790, 20)]
