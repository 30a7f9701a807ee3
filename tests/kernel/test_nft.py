"""nftables in this process and by the command: the same answers, and the same refusals."""

from __future__ import annotations

import pathlib

import pytest
from kernel import kit

from queenright.edge.kernel import nft
from queenright.edge.kernel.errors import KernelError


@pytest.fixture(params=["library", "command"])
def without_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param == "command":
        monkeypatch.setattr(nft, "_library", lambda: None)
    return request.param == "command"


async def test_a_text_is_done_whole_or_not_at_all(folder: pathlib.Path, without_library: bool) -> None:
    async with kit.lab(folder) as lab:

        def work() -> tuple[str, str, str]:
            context = nft.open_nft()
            assert isinstance(context, nft.Command) == without_library
            context.run("table inet t {\n chain c {\n }\n}\n")
            before = context.run("list ruleset")
            with pytest.raises(KernelError) as refused:
                context.run("add chain inet t d\nadd rule inet t nowhere accept\n")
            after = context.run("list ruleset")
            context.close()
            return before, after, str(refused.value)

        before, after, refusal = await lab.hosts[0].place.run(work)
        assert before == after
        assert "chain c" in before
        assert refusal.startswith("nftables refused: ")
        assert "No such file or directory" in refusal
        assert ("nowhere" in refusal) == without_library  # libnftables does not say which line


async def test_a_whole_mesh_works_with_either(folder: pathlib.Path, without_library: bool) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host, ingress=True))
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        whole = kit.overlay(host, ingress=True, balanced=(kit.service(host, a),), published=(kit.published(host, a),))
        await kit.bring(host, whole)
        assert await kit.asked(lab.client, host.address, 8080, 5) == {"a"}
        assert await kit.asked(a, "10.1.0.10", 80, 5) == {"a"}
        await host.place.sh("nft flush ruleset")
        assert (await host.mesh.audit(kit.picture(whole))).errors == {}
        assert await kit.asked(lab.client, host.address, 8080, 5) == {"a"}
