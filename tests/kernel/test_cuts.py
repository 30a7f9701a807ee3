"""The agent may be killed between any two steps: the next one finds its way from wherever that was."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from kernel import kit

from queenright.edge.kernel import ipvs_link, namespaces
from queenright.edge.kernel.links import Links
from queenright.edge.kernel.netlink import NetlinkSocket
from queenright.edge.kernel.nft import Library
from queenright.model.mesh import names

STEPS = (
    (Links, "add"),
    (Links, "set"),
    (Links, "set_port"),
    (Links, "remove"),
    (Links, "route_by"),
    (NetlinkSocket, "batch"),
    (Library, "run"),
    (ipvs_link.Link, "do"),
    (namespaces, "_mount"),
    (namespaces, "remove"),
)


class Power:
    """Fails before the step with a given number, and all steps after it: nobody tidies up who has been killed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        for owner, name in STEPS:
            monkeypatch.setattr(owner, name, self._guarded(getattr(owner, name)))

    def _guarded(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **options: Any) -> Any:
            if self.left == 0:
                raise OSError("killed")
            self.left -= 1
            return step(*arguments, **options)

        return guarded


@pytest.mark.parametrize("kind", kit.backends())
async def test_a_network_can_be_made_from_any_half_of_it(
    folder: pathlib.Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    power = Power(monkeypatch)
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        a = kit.Backend("a", ("10.1.0.11",), True, True)
        web = kit.Balanced("web", ("10.1.0.10",), (a,))
        port = kit.Published("tcp", 8080, 80, "web", (a,))
        near = kit.Neighbour("02:42:0a:01:00:14", ("10.1.0.20",), "192.0.2.7")
        whole = kit.picture(
            kit.overlay(host, ingress=True, neighbours=(near,), balanced=(web,), published=(port,)), kind=kind
        )
        cuts = 0
        while True:
            power.left = cuts
            applied = await host.mesh.apply(whole)
            survived, power.left = not applied.errors, -1
            host.restart()
            applied = await host.mesh.apply(whole)
            assert (applied.errors, applied.ports) == ({}, {("tcp", 8080): ""}), cuts
            if cuts % 10 == 0:
                task = await lab.container(host, "n1", "a", "10.1.0.11/24")
                assert await kit.asked(lab.client, host.address, 8080, 1) == {"a"}
                await host.place.sh("for l in $(ip -o link | grep -o ' v[0-9]*@' | tr -d @); do ip link del $l; done")
                task.die()
            await host.mesh.clear(kit.CLUSTER)
            assert await _left(host) == [], cuts
            if survived:
                break
            cuts += kit.stride()
        assert cuts > 20


@pytest.mark.parametrize("kind", kit.backends())
async def test_a_network_can_be_taken_away_from_any_half_of_it(
    folder: pathlib.Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    power = Power(monkeypatch)
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        a = kit.Backend("a", ("10.1.0.11",), True, True)
        port = kit.Published("tcp", 8080, 80, "web", (a,), True)
        whole = kit.overlay(host, ingress=True, published=(port,))
        cuts = 0
        while True:
            await kit.bring(host, whole, kind=kind)
            power.left = cuts
            survived = True
            try:
                await host.mesh.clear(kit.CLUSTER)
            except OSError:
                survived = False
            power.left = -1
            host.restart()
            await host.mesh.clear(kit.CLUSTER)
            assert await _left(host) == [], cuts
            if survived:
                break
            cuts += kit.stride()
        assert cuts > 4


@pytest.mark.parametrize("kind", kit.backends())
async def test_an_agent_that_was_refused_once_gets_on_with_it(
    folder: pathlib.Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    power = Power(monkeypatch)
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        whole = kit.picture(kit.overlay(host, ingress=True), kit.overlay(host, "n2", vni=4098), kind=kind)
        cuts = 0
        while True:
            power.left = cuts
            applied = await host.mesh.apply(whole)
            power.left = -1
            if not applied.errors:
                break
            assert "killed" in "".join(applied.errors.values())
            assert (await host.mesh.apply(whole)).errors == {}, cuts
            await host.mesh.clear(kit.CLUSTER)
            cuts += 3 * kit.stride()
        assert cuts > 20


async def test_a_namespace_of_which_only_the_file_was_made_is_made_whole(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        (host.folder / names("n1").namespace).touch()
        await kit.bring(host, kit.overlay(host))


async def _left(host: kit.Host) -> list[str]:
    """What there is of ours on a host."""
    links = await host.place.sh("ip -o link | cut -d: -f2 | tr -d ' ' | cut -d@ -f1")
    found = [name for name in links.split() if name.startswith(("sw", "svx-", "svb-"))]
    found += [path.name for path in host.folder.iterdir() if path.name.startswith("swns-")]
    if "swmesh" in await host.place.sh("nft list tables"):
        found.append("swmesh")
    return found
