# SPDX-License-Identifier: Apache-2.0
"""Who the first manager is where an authority outside of the swarm signs: then no key of a CA is ever in the swarm.

That authority asks for a manager's certificate of whoever wants a signature, and the founder is the first manager there
is: it brings a certificate and a key along. Both are given with the call, or lie in ``first-manager`` in the state
directory, for clients that cannot give them (``docker swarm init --external-ca``). They are used until the node has
another certificate, with a key of its own.
"""

from __future__ import annotations

from pathlib import Path

from queenright.app.certificates import Credentials, nanoseconds, utc
from queenright.app.outside import OutsideAuthorities
from queenright.edge.pki import peer
from queenright.edge.pki.errors import UNREADABLE, PkiError
from queenright.edge.pki.keystore import KeyStore, NodeCredentials
from queenright.lib import atomic
from queenright.manager.founding import Certified
from queenright.manager.ports import FirstManager, IssuedCertificate, RootCA
from queenright.model.errors import InvalidArgument
from queenright.spec.cluster import MANAGER, ExternalCA

FOLDER = "first-manager"
CERTIFICATE, KEY = "swarm-node.crt", "swarm-node.key"


class Founder:
    """The one of a founding. ``directory`` is the state directory."""

    def __init__(self, directory: Path, cas: tuple[ExternalCA, ...], given: FirstManager | None) -> None:
        self._folder = directory / FOLDER
        self._cas = tuple(one for one in cas if one.ca_cert)
        self._given = given

    async def certified(self, keys: KeyStore, now: int) -> Certified | None:
        """Who the founder is, with key and certificate in ``keys``, after the authority was found to be there. None
        where the swarm shall have a root of its own. Raises InvalidArgument.
        """
        if not self._cas:
            if self._given is not None:
                raise InvalidArgument(
                    "the first manager's certificate is of use only with an external CA that brings its root",
                    plain=True,
                )
            return None
        root = self._cas[0].ca_cert or ""
        if any((one.ca_cert or "").strip() != root.strip() for one in self._cas):
            raise InvalidArgument("external CAs of a new swarm sign under one root certificate", plain=True)
        brought = self._given or self._found()
        certified = _certified(brought, root, now)
        keys.save(NodeCredentials(brought.key.encode(), brought.certificate.encode(), root.encode()))
        await OutsideAuthorities(Credentials(keys)).check(self._cas, root)
        return certified

    def done(self) -> None:
        """The swarm is there: what lay on the disk is of no use any more. Raises OSError."""
        if self._folder.is_dir():
            atomic.shred_file(self._folder / KEY)
            atomic.remove_file(self._folder / CERTIFICATE)

    def _found(self) -> FirstManager:
        try:
            return FirstManager(*((self._folder / name).read_text("ascii") for name in (CERTIFICATE, KEY)))
        except (OSError, ValueError) as error:
            raise InvalidArgument(
                "a swarm below the root of an external CA needs a certificate for its first manager, issued there "
                f"(organisation: the swarm's id, unit: swarm-manager, common name: the node's id): put {CERTIFICATE} "
                f"and {KEY} into {self._folder}, or give FirstManager (option first_manager of swarm_init). {error}",
                plain=True,
            ) from None


def _certified(brought: FirstManager, root: str, now: int) -> Certified:
    """What the certificate says, after all of it was checked."""
    chain = brought.certificate.encode()
    try:
        identity = peer.verify(root.encode(), chain, utc(now), key_pem=brought.key.encode())
    except PkiError as error:
        raise InvalidArgument(f"the first manager's certificate or key cannot be used: {error}", plain=True) from None
    except UNREADABLE:  # its text is nowhere in the answer
        raise InvalidArgument(
            "the first manager's certificate or key cannot be read: PEM is expected", plain=True
        ) from None
    if identity.role != MANAGER:
        raise InvalidArgument(
            f"the first manager's certificate is a {identity.role}'s: its unit has to be swarm-manager", plain=True
        )
    issued = IssuedCertificate(
        brought.certificate, identity.serial, nanoseconds(identity.not_after), nanoseconds(identity.not_before)
    )
    return Certified(identity.cluster_id, identity.node_id, RootCA(root, ""), issued)
