# SPDX-License-Identifier: Apache-2.0
"""What an authority outside of the swarm is asked for (in the words of cfssl), and what of its answers is taken.

It is trusted with the signature, not with the content: name, key, purpose, names and dates must be what was asked for.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from queenright.edge.pki.authority import BACKDATE, IssuedCertificate, Subject, names
from queenright.edge.pki.errors import UNREADABLE, PkiError
from queenright.edge.pki.keys import check_csr, public_key_digest
from queenright.edge.pki.peer import read_chain, verify
from queenright.model.identity import UNIT_OF_ROLE

_AUTHORITY = {"id": "2.5.29.19", "critical": True, "value": "30030101ff"}  # basic constraints: it may sign others
_PARTS = {
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
}


def node_request(csr_pem: bytes, subject: Subject) -> bytes:
    """The JSON that asks for a node's certificate."""
    name = {"O": subject.cluster_id, "OU": UNIT_OF_ROLE[subject.role]}
    return _request(csr_pem, names(subject), {"CN": subject.node_id, "names": [name]})


def root_request(csr_pem: bytes, root_pem: bytes) -> bytes:
    """The JSON that asks for another root to be signed, under its own name. ``PkiError``: the name has other parts."""
    subject = read_chain(root_pem)[0].subject
    common, parts = "", {}
    for attribute in subject:
        if attribute.oid == NameOID.COMMON_NAME and not common:
            common = str(attribute.value)
        elif attribute.oid in _PARTS and _PARTS[attribute.oid] not in parts:
            parts[_PARTS[attribute.oid]] = str(attribute.value)
        else:
            raise PkiError(f"the new root's name ({subject.rfc4514_string()}) is none that an external CA can sign")
    asked = {"CN": common, "names": [parts] if parts else []}
    return _request(csr_pem, None, asked, profile="CA", extensions=[_AUTHORITY])


def _request(csr_pem: bytes, hosts: list[str] | None, subject: dict[str, Any], **more: Any) -> bytes:
    body = {
        "hosts": hosts,
        "certificate_request": csr_pem.decode("ascii"),
        "subject": subject,
        "profile": "",
        "crl_override": "",
        "label": "",
        **more,
    }
    return json.dumps(body).encode("ascii")


def check_signed(
    answer_pem: bytes,
    csr_pem: bytes,
    subject: Subject,
    root_pem: bytes,
    tail_pem: bytes,
    *,
    now: datetime,
    validity: timedelta,
) -> IssuedCertificate:
    """The certificate that came back, with the rest of its chain. Raises PkiError unless it is what was asked for.

    ``tail_pem``: what follows in chains of nodes.
    """
    leaf = read_chain(answer_pem)[0]
    chain = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in read_chain(answer_pem)) + tail_pem
    identity = verify(root_pem, chain, now)
    if (identity.node_id, identity.cluster_id, identity.role) != (subject.node_id, subject.cluster_id, subject.role):
        raise PkiError("the external CA gave a certificate for somebody else")
    if len(leaf.subject) != 3:  # an attribute that nobody asked for may mean something to somebody
        raise PkiError("the external CA gave a certificate whose subject says more than it was asked to")
    key = check_csr(csr_pem)
    if public_key_digest(leaf.public_key()) != public_key_digest(key):
        raise PkiError("the external CA gave a certificate for another key")
    _check_extensions(leaf, subject)
    latest = now + validity + max(BACKDATE, validity / 10)
    if identity.not_after > latest:
        raise PkiError(
            f"the external CA gave a certificate until {identity.not_after:%Y-%m-%dT%H:%M:%SZ}, the swarm allows "
            f"{latest:%Y-%m-%dT%H:%M:%SZ}: give its profile a shorter expiry, or the swarm a longer node certificate "
            "expiry"
        )
    return IssuedCertificate(chain, identity, public_key_digest(key))


def _check_extensions(leaf: x509.Certificate, subject: Subject) -> None:
    try:
        said = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except (*UNREADABLE, x509.ExtensionNotFound):
        raise PkiError("the external CA gave a certificate without names, or without a usage of its key") from None
    if sorted(said.get_values_for_type(x509.DNSName)) != sorted(names(subject)) or len(said) != len(names(subject)):
        raise PkiError("the external CA gave a certificate with other names than it was asked for")
    if not usage.digital_signature or usage.key_cert_sign or usage.crl_sign:
        raise PkiError("the external CA gave a certificate whose key may not be used as a node's is")
