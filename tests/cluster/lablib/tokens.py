# SPDX-License-Identifier: Apache-2.0
"""A registry whose passwords expire: Debian's docker-registry, which believes the tokens of a small server beside it.

It shows the images of the lab's registry (``lablib.registry``) to whoever brings a token; the token server gives one
for a password that is valid now. Both run on the control side, plain HTTP. ``python3 tokens.py FOLDER IMAGES`` serves
until its standard input ends; the file ``passwords`` in FOLDER, one a line, is read anew at each request.
"""

from __future__ import annotations

import base64
import datetime
import http.server
import json
import pathlib
import secrets
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from lablib.client import inside
from lablib.paths import CONTROL_ADDRESS, Lab
from lablib.registry import answers
from lablib.shell import until

TOKEN_REGISTRY = f"{CONTROL_ADDRESS}:5001"
SERVICE, ISSUER, USER = "lab registry", "lab tokens", "puller"
PORT = 5002
LIFE = 60  # seconds of a token: one pull
_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ISSUER)])


class Signer:
    """Makes tokens as the registry's protocol has them: JWT signed with ES256, its certificate in the head."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(_NAME)
            .issuer_name(_NAME)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def token(self, user: str, access: list[dict[str, Any]]) -> str:
        """A token for ``user`` with these rights."""
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        head = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "jti": secrets.token_hex(8),
            "access": access,
            "iat": now,
            "nbf": now - LIFE,
            "exp": now + LIFE,
        }
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (head, claims))
        r, s = utils.decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _TokenHandler(http.server.BaseHTTPRequestHandler):
    signer: Signer
    passwords: pathlib.Path

    def do_GET(self) -> None:
        """``/token?service=...&scope=repository:NAME:ACTIONS`` with a user and a password that is valid now."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        user, _, password = self._credentials().partition(":")
        if user != USER or password not in self.passwords.read_text().split("\n"):
            self._answer(401, {"details": "the password is wrong or has expired"})
            return
        access = []
        for kind, name, actions in (scope.split(":") for scope in query.get("scope", [])):
            access.append({"type": kind, "name": name, "actions": [one for one in actions.split(",") if one == "pull"]})
        token = self.signer.token(user, access)
        self._answer(200, {"token": token, "access_token": token, "expires_in": LIFE})

    def _credentials(self) -> str:
        kind, _, text = self.headers.get("Authorization", "").partition(" ")
        return base64.b64decode(text).decode() if kind == "Basic" else ""

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Its requests are nobody's business."""


def _settings(folder: pathlib.Path, images: pathlib.Path) -> dict[str, Any]:
    realm = f"http://{CONTROL_ADDRESS}:{PORT}/token"
    bundle = str(folder / "issuer.pem")
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(images)}, "maintenance": {"readonly": {"enabled": True}}},
        "http": {"addr": TOKEN_REGISTRY, "secret": "of this lab only"},
        "auth": {"token": {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}},
    }


def main(argv: list[str]) -> None:
    """Serve until standard input ends."""
    folder, images = map(pathlib.Path, argv)
    signer = Signer()
    (folder / "issuer.pem").write_bytes(signer.certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "registry.yml").write_text(json.dumps(_settings(folder, images), indent=2))
    handler = type("Handler", (_TokenHandler,), {"signer": signer, "passwords": folder / "passwords"})
    server = http.server.ThreadingHTTPServer((CONTROL_ADDRESS, PORT), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served = subprocess.Popen(["docker-registry", "serve", str(folder / "registry.yml")], stdin=subprocess.DEVNULL)
    try:
        until(lambda: answers(TOKEN_REGISTRY, 401), 60, f"the registry at {TOKEN_REGISTRY} to answer")
        print("ready", flush=True)
        sys.stdin.read()
    finally:
        served.terminate()
        served.wait()


class TokenRegistry:
    """The running one. ``accept`` says which passwords are valid from now on."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._passwords = folder / "passwords"

    def accept(self, *passwords: str) -> None:
        """All others have expired."""
        changed = self._passwords.with_suffix(".new")
        changed.write_text("\n".join(passwords))
        changed.rename(self._passwords)

    @staticmethod
    def image(reference: str) -> str:
        """``web:v1`` as hosts pull it from there."""
        return f"{TOKEN_REGISTRY}/{reference}"


@contextmanager
def serving(lab: Lab) -> Iterator[TokenRegistry]:
    """Both servers on the control side of a running lab, no password being valid yet."""
    folder = lab.directory / "tokens"
    folder.mkdir(exist_ok=True)
    registry = TokenRegistry(folder)
    registry.accept()
    command = inside(lab, [sys.executable, str(pathlib.Path(__file__).resolve()), str(folder), str(lab.registry)])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n", "the registry with tokens did not start; see above"
            yield registry
        finally:
            process.stdin.close()


if __name__ == "__main__":
    main(sys.argv[1:])
