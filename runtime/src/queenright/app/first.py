# SPDX-License-Identifier: Apache-2.0
"""Who founds a swarm whose certificates an authority outside signs: it has certified the first manager beforehand.

There is nobody else whom that authority would listen to, and no key of a CA is made here. The identity comes with the
request, or stands as files where a manager keeps its own (for clients that cannot send it).
"""

from __future__ import annotations

import dataclasses
import datetime

from queenright.app.certificates import Credentials, PkiMaker, as_issued, utc
from queenright.app.outside import OutsideAuthorities
from queenright.edge.pki import outside
from queenright.edge.pki.authority import Subject
from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import make_csr
from queenright.edge.pki.keystore import KeyStore, NodeCredentials
from queenright.edge.pki.peer import read_identity
from queenright.manager import founding, roots
from queenright.manager.ports import InitOptions, RootCA
from queenright.manager.signing import outside_for
from queenright.manager.swarm_spec import certificate_validity
from queenright.model.errors import InvalidArgument
from queenright.spec.cluster import MANAGER

NEEDS_OUTSIDE = "a first manager's certificate is for a swarm whose certificates an external CA signs: name that CA too"
NEEDS_IDENTITY = (
    "an external CA signs only for managers, so a swarm that it shall sign for begins with one: give the first "
    "manager's key, its certificate and the root (FirstManager), or put them as swarm-node.key, swarm-node.crt and "
    "swarm-root-ca.crt into {directory}"
)


def identity(options: InitOptions, keys: KeyStore) -> NodeCredentials | None:
    """What the founder shall be, or None where the swarm signs itself. Raises InvalidArgument."""
    if not founding.settings_of(options).spec.ca.external_cas:
        if options.first is not None:
            raise InvalidArgument(NEEDS_OUTSIDE, plain=True)
        return None
    if options.first is not None:
        texts = (options.first.key, options.first.certificate, options.first.root_certificate)
        return NodeCredentials(*(text.encode("ascii", "replace") for text in texts))
    try:
        found = keys.load()
    except (PkiError, OSError) as error:
        raise InvalidArgument(f"the first manager cannot be who the files say: {error}", plain=True) from error
    if found is None:
        raise InvalidArgument(NEEDS_IDENTITY.format(directory=keys.directory), plain=True)
    return found


async def certified(
    chosen: founding.Settings, brought: NodeCredentials, keys: KeyStore, now: int
) -> tuple[founding.Settings, founding.Certified]:
    """The settings with authorities as they are kept, and the founder as it may be. Its identity is on disk then.

    The authority must be there, as the swarm has nobody else. Raises InvalidArgument.
    """
    maker = PkiMaker()
    try:
        ca = roots.normal(chosen.spec.ca, lambda root, key: maker.read_root(root, key, now))
        root = maker.read_root(brought.root_pem.decode("ascii", "replace"), "", now)
        first = _checked(chosen, brought, root, now)
    except PkiError as error:
        raise InvalidArgument(f"the first manager's identity: {error}", plain=True) from error
    except InvalidArgument as error:
        raise InvalidArgument(str(error), plain=True) from error
    cas = outside_for(ca.external_cas, root.certificate, root.certificate)
    unreached = roots.UNREACHED.format(which="current")
    if not cas:
        raise InvalidArgument(unreached, plain=True)
    keys.save(
        NodeCredentials(brought.key_pem, first.certificate.chain.encode("ascii"), root.certificate.encode("ascii"))
    )
    try:
        await OutsideAuthorities(Credentials(keys)).check(cas, root.certificate)
    except InvalidArgument as error:
        raise InvalidArgument(f"{unreached}: {error}", plain=True) from error
    return dataclasses.replace(chosen, spec=dataclasses.replace(chosen.spec, ca=ca)), first


def _checked(chosen: founding.Settings, brought: NodeCredentials, root: RootCA, now: int) -> founding.Certified:
    """Nothing is taken from the certificate but what this swarm would have asked for. Raises PkiError."""
    said = read_identity(brought.chain_pem)
    if said.role != MANAGER:
        raise PkiError("the certificate is a worker's: its organisational unit must be swarm-manager")
    issued = outside.check_signed(
        brought.chain_pem,
        make_csr(brought.key_pem),
        Subject(said.node_id, said.cluster_id, "manager"),
        root.certificate.encode("ascii"),
        b"",
        now=utc(now),
        validity=datetime.timedelta(microseconds=certificate_validity(chosen.spec) // 1000),
    )
    return founding.Certified(said.cluster_id, said.node_id, root, as_issued(issued))
