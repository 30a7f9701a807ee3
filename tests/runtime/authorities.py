# SPDX-License-Identifier: Apache-2.0
"""An authority outside of a swarm: answers as cfssl does, behind mutual TLS, and only managers. It can go wrong too."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h11
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOUR = datetime.timedelta(hours=1)
_PARTS = {"C": NameOID.COUNTRY_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}


def pem(value: x509.Certificate) -> bytes:
    return value.public_bytes(serialization.Encoding.PEM)


class FakeCfssl:
    """Signs below a root of its own. ``clients`` (PEM) are the roots below which managers' certificates are.

    ``bend`` may change what is about to be signed, ``answer`` what is about to be said; ``asked`` are the bodies.
    """

    def __init__(self, folder: Path, *, name: str = "ext-swarm-ca", expiry: datetime.timedelta = 2160 * HOUR) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.root = self._authority()
        self.root_pem = pem(self.root)
        self.expiry = expiry
        self.clients = b""
        self.asked: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.bend: Callable[[dict[str, Any]], None] = lambda wanted: None
        self.answer: Callable[[int, bytes], tuple[int, bytes]] | None = None
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/api/v1/cfssl/sign"

    async def start(self) -> None:
        """On the port that it had before, if it had one."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        own = self._build(x509.Name([]), key.public_key(), HOUR * 1000)
        own = own.add_extension(x509.SubjectAlternativeName(names), critical=True)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / "tls.pem").write_bytes(secret + pem(own.sign(self.key, hashes.SHA256())))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "tls.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=(self.clients + self.root_pem).decode())
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            state, body = h11.Connection(h11.SERVER), b""
            while not isinstance(event := state.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    state.receive_data(await reader.read(65536))
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.ConnectionClosed):
                    return
            status, text = self._judge(writer, body)
            if self.answer is not None:
                status, text = self.answer(status, text)
            head = [("content-length", str(len(text))), ("location", "https://127.0.0.1:1/"), ("connection", "close")]
            data = state.send(h11.Response(status_code=status, headers=head)) or b""
            writer.write(data + (state.send(h11.Data(data=text)) or b"") + (state.send(h11.EndOfMessage()) or b""))
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def _judge(self, writer: asyncio.StreamWriter, body: bytes) -> tuple[int, bytes]:
        """Only managers may ask: the front that stands before a real one does just this."""
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        units = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        unit = str(units[0].value) if units else ""
        if unit != "swarm-manager":
            self.refused.append(unit)
            return 403, json.dumps(_no(403, "only managers may ask")).encode()
        wanted = json.loads(body)
        self.asked.append(wanted)
        try:
            certificate = self._sign(wanted)
        except ValueError:
            return 400, json.dumps(_no(9002, "CSR Decode failed")).encode()
        told = {"success": True, "result": {"certificate": certificate.decode()}, "errors": [], "messages": []}
        return 200, json.dumps(told).encode()

    def _sign(self, wanted: dict[str, Any]) -> bytes:
        request = x509.load_pem_x509_csr(wanted["certificate_request"].encode())
        parts = wanted["subject"]["names"][0] if wanted["subject"]["names"] else {}
        plan: dict[str, Any] = {
            "subject": [x509.NameAttribute(_PARTS[key], text) for key, text in parts.items()]
            + [x509.NameAttribute(NameOID.COMMON_NAME, wanted["subject"]["CN"])],
            "key": request.public_key(),
            "hosts": wanted["hosts"],
            "expiry": self.expiry,
            "begin": -HOUR,
            "usages": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
            "ca": wanted["profile"] == "CA",
            "signer": self.key,
        }
        if plan["ca"]:
            plan["expiry"] = HOUR * 24 * 3650
        self.bend(plan)
        builder = self._build(x509.Name(plan["subject"]), plan["key"], plan["expiry"], plan["begin"], plan["ca"])
        if not plan["ca"]:
            builder = builder.add_extension(x509.ExtendedKeyUsage(plan["usages"]), critical=False)
            if plan["hosts"] is not None:
                names = x509.SubjectAlternativeName([x509.DNSName(host) for host in plan["hosts"]])
                builder = builder.add_extension(names, critical=False)
        return pem(builder.sign(plan["signer"], hashes.SHA256()))

    def _authority(self) -> x509.Certificate:
        builder = self._build(self.subject, self.key.public_key(), HOUR * 24 * 3650, ca=True)
        return builder.sign(self.key, hashes.SHA256())

    def _build(
        self,
        subject: x509.Name,
        key: Any,
        expiry: datetime.timedelta,
        begin: datetime.timedelta = -HOUR,
        ca: bool = False,
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        usage = dict.fromkeys(
            ("content_commitment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
        )
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begin)
            .not_valid_after(now + expiry)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not ca, key_encipherment=not ca, key_cert_sign=ca, crl_sign=ca, **usage
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )


def _no(code: int, message: str) -> dict[str, Any]:
    return {"success": False, "result": None, "errors": [{"code": code, "message": message}], "messages": []}
