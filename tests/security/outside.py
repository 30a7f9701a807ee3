# SPDX-License-Identifier: Apache-2.0
"""A real cfssl, and the front that stands before it: mutual TLS, and nobody but managers may ask.

cfssl itself signs whatever it is asked for by anybody whom it lets in, so it lets in the front alone.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import pathlib
import socket
import ssl
import subprocess
import threading
from typing import Any

from compat.daemon.kit import until
from security.kit import free_ports

from queenright.manager.ports import FirstManager
from queenright.model.ids import new_id

PATH = "/api/v1/cfssl/sign"
USAGES = ["signing", "key encipherment", "server auth", "client auth"]
CONFIG = {
    "signing": {
        "default": {"expiry": "2161h", "backdate": "1h", "usages": USAGES},
        "profiles": {
            "CA": {"expiry": "175200h", "usages": ["cert sign", "crl sign"], "ca_constraint": {"is_ca": True}}
        },
    }
}
KEY = {"algo": "ecdsa", "size": 256}


class Authority:
    """cfssl with a root of its own, and the front. ``asked`` are the requests that went through, ``refused`` the units
    of those that did not; ``clients`` (PEM) are more roots below which managers may be.
    """

    def __init__(self, folder: pathlib.Path, name: str = "ext-swarm-ca") -> None:
        self.folder = folder
        folder.mkdir()
        self._write("config.json", CONFIG)
        made = self._cfssl(
            "gencert", "-initca", self._write("ca.json", {"CN": name, "key": KEY, "ca": {"expiry": "175200h"}})
        )
        self._keep("ca", made)
        for who in ("server", "front"):
            self._keep(who, self.issue({"CN": who, "hosts": ["127.0.0.1", "localhost"], "key": KEY}))
        self.root = (folder / "ca.pem").read_text()
        self.clients = ""
        self.asked: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.port = free_ports()
        self._inner_port = free_ports()
        self._process: subprocess.Popen[bytes] | None = None
        self._front: _Front | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}{PATH}"

    @property
    def entry(self) -> dict[str, Any]:
        """As the Engine API names it."""
        return {"Protocol": "cfssl", "URL": self.url, "CACert": self.root}

    def first(self, cluster_id: str, **more: str) -> FirstManager:
        """The identity of a first manager."""
        node_id = new_id(b"f" * 17)
        names = {"O": cluster_id, "OU": "swarm-manager", **more}
        made = self.issue(
            {"CN": node_id, "names": [names], "hosts": ["swarm-manager", node_id, "swarm-ca"], "key": KEY}
        )
        return FirstManager(made["key"], made["cert"], self.root)

    def issue(self, wanted: dict[str, Any]) -> dict[str, str]:
        flags = [f"-{name}={self.folder / file}" for name, file in AUTHORITY.items()]
        return self._cfssl(
            "gencert", *flags, f"-config={self.folder / 'config.json'}", self._write("wanted.json", wanted)
        )

    # -- up and down

    def start(self) -> Authority:
        self.start_cfssl()
        self.start_front()
        return self

    def start_cfssl(self) -> None:
        flags = {
            "tls-cert": "server.pem",
            "tls-key": "server-key.pem",
            "mutual-tls-ca": "ca.pem",
            "config": "config.json",
        }
        files = [f"-{name}={self.folder / file}" for name, file in {**AUTHORITY, **flags}.items()]
        with open(self.folder / "cfssl.log", "ab") as log:
            self._process = subprocess.Popen(
                ["cfssl", "serve", "-address=127.0.0.1", f"-port={self._inner_port}", *files],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._listens, (self.folder / "cfssl.log").read_text)

    def start_front(self) -> None:
        """Also after ``clients`` have changed."""
        self.stop_front()
        self._front = _Front(self)

    def stop_front(self) -> None:
        if self._front is not None:
            self._front.close()
            self._front = None

    def stop_cfssl(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        self.stop_front()
        self.stop_cfssl()

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._inner_port), 1):
            return True
        return False

    # -- the front's two sides

    def outer(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server-key.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self.root + self.clients)
        return context

    def sign(self, body: bytes) -> tuple[int, bytes]:
        context = ssl.create_default_context(cadata=self.root)
        context.load_cert_chain(self.folder / "front.pem", self.folder / "front-key.pem")
        inner = http.client.HTTPSConnection("127.0.0.1", self._inner_port, context=context, timeout=4)
        with contextlib.closing(inner):
            inner.request("POST", PATH, body, {"Content-Type": "application/json"})
            answer = inner.getresponse()
            return answer.status, answer.read()

    # -- files

    def _write(self, name: str, document: Any) -> str:
        path = self.folder / name
        path.write_text(json.dumps(document))
        return str(path)

    def _keep(self, name: str, made: dict[str, str]) -> None:
        (self.folder / f"{name}.pem").write_text(made["cert"])
        (self.folder / f"{name}-key.pem").write_text(made["key"])

    def _cfssl(self, *arguments: str) -> dict[str, str]:
        done = subprocess.run(["cfssl", *arguments], check=True, capture_output=True, text=True)
        made: dict[str, str] = json.loads(done.stdout)
        return made


AUTHORITY = {"ca": "ca.pem", "ca-key": "ca-key.pem"}


class _Front(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        super().__init__(("127.0.0.1", authority.port), _Handler)
        self.socket = authority.outer().wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="front of cfssl")
        self._thread.start()

    def handle_error(self, *_: object) -> None:
        """A client that does not get through TLS is no matter."""

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, _Front) and isinstance(self.connection, ssl.SSLSocket)
        authority = self.server.authority
        body = self.rfile.read(int(self.headers["Content-Length"]))
        subject = dict(part[0] for part in (self.connection.getpeercert() or {}).get("subject", ()))
        unit = str(subject.get("organizationalUnitName", ""))
        if unit != "swarm-manager" or self.path != PATH:
            authority.refused.append(unit)
            return self._answer(403, b'{"success":false,"errors":[{"code":403,"message":"only managers may ask"}]}')
        try:
            status, text = authority.sign(body)
        except OSError:
            return self._answer(502, b"cfssl is away")
        authority.asked.append(json.loads(body))
        return self._answer(status, text)

    def _answer(self, status: int, text: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
