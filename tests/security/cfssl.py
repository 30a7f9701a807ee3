# SPDX-License-Identifier: Apache-2.0
"""The real cfssl as an authority outside of the swarm, behind the front that the documentation asks for."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from compat.daemon.kit import PATIENCE
from cryptography.hazmat.primitives import serialization
from runtime.authorities import FakeCfssl, pem

from queenright.edge.pki.keys import make_csr, make_key
from queenright.manager.ports import FirstManager

CONFIG = {
    "signing": {
        "default": {"expiry": "2161h", "usages": ["signing", "key encipherment", "server auth", "client auth"]},
        "profiles": {
            "CA": {
                "expiry": "87600h",
                "usages": ["cert sign", "crl sign"],
                "ca_constraint": {"is_ca": True, "max_path_len": 1},
            }
        },
    }
}


class RealCfssl(FakeCfssl):
    """``cfssl serve`` on loopback, without TLS, and before it the front: TLS, and managers only."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        (folder / "ca-key.pem").write_bytes(key)
        (folder / "ca.pem").write_bytes(pem(self.root))
        (folder / "config.json").write_text(json.dumps(CONFIG))
        self._process: subprocess.Popen[bytes] | None = None
        self._signs = 0

    async def start(self) -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            self._signs = held.getsockname()[1]
        self._process = self._begin()
        async with asyncio.timeout(PATIENCE):
            while not await asyncio.to_thread(self._listens):
                assert self._process.poll() is None, (self.folder / "cfssl.log").read_text()
                await asyncio.sleep(0.02)
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait, PATIENCE)
            self._process = None

    def first_manager(self, node_id: str, cluster_id: str) -> FirstManager:
        """What an administrator has it sign for the founder, at its own side of the front."""
        key = make_key()
        hosts = ["swarm-manager", node_id, "swarm-ca"]
        name = {"CN": node_id, "names": [{"O": cluster_id, "OU": "swarm-manager"}]}
        wanted = {"hosts": hosts, "certificate_request": make_csr(key).decode(), "subject": name, "profile": ""}
        status, answer = self._ask(wanted)
        assert status == 200, answer
        return FirstManager(json.loads(answer)["result"]["certificate"], key.decode())

    def _begin(self) -> subprocess.Popen[bytes]:
        place = ("-address=127.0.0.1", f"-port={self._signs}")
        files = ("-config=config.json", "-ca=ca.pem", "-ca-key=ca-key.pem")
        with (self.folder / "cfssl.log").open("ab") as log:
            return subprocess.Popen(
                ["cfssl", "serve", *place, *files],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def _decide(self, wanted: dict[str, Any]) -> tuple[int, bytes]:
        return await asyncio.to_thread(self._ask, wanted)

    def _ask(self, wanted: dict[str, Any]) -> tuple[int, bytes]:
        url = f"http://127.0.0.1:{self._signs}/api/v1/cfssl/sign"
        request = urllib.request.Request(url, json.dumps(wanted).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def _listens(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self._signs)) == 0
