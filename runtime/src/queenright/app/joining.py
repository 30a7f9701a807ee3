# SPDX-License-Identifier: Apache-2.0
"""How a membership begins: found a swarm, join one, go on with the one that is on disk."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

from queenright import __version__
from queenright.app import certificates, first, world
from queenright.app.addressing import Addresses, for_resume
from queenright.app.certificates import PkiMaker
from queenright.app.member import Member, at
from queenright.app.settings import Settings
from queenright.app.state import MemberState, StateFile
from queenright.edge.grpc.leader import LeaderCalls
from queenright.edge.grpc.ports import Forwarding
from queenright.edge.http import join_client
from queenright.edge.http.join_client import JoinError
from queenright.edge.pki import peer
from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import make_csr
from queenright.edge.pki.keystore import KeyStore, NodeCredentials
from queenright.lib import addresses as address_room
from queenright.manager import founding
from queenright.manager.ports import Clock, InitOptions, JoinOptions
from queenright.model.errors import InvalidArgument, Refusal, Unavailable
from queenright.model.identity import Identity
from queenright.model.join import JoinGrant, JoinRequest, ManagerAddress
from queenright.model.tokens import TokenError, parse_join_secret
from queenright.spec.cluster import MANAGER
from queenright.wire.messages import ForwardCall

log = logging.getLogger(__name__)

GIVE_BACK = 5.0  # seconds for which a manager that could not begin tells the others so


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a membership lives, and who serves what other managers hand on to it."""

    settings: Settings
    clock: Clock
    file: StateFile
    gateway: Forwarding

    @property
    def keys(self) -> KeyStore:
        return KeyStore(self.settings.state_dir / "certificates")


async def found(
    place: Place, options: InitOptions, addresses: Addresses, brought: NodeCredentials | None = None
) -> Member:
    """A new swarm with this host as its manager, running when this returns. On failure nothing runs; what is on disk
    is the caller's to wipe.

    ``brought``: who this host is, if an authority outside has said so (see ``first``). That key was in other hands, so
    the first thing that the manager asks the authority for is another certificate.
    """
    chosen, now, certified = founding.settings_of(options), place.clock.wall(), None
    keys = place.keys
    keys.discard_pending_key()
    if brought is not None:
        chosen, certified = await first.certified(chosen, brought, keys, now)
    key = brought.key_pem if brought is not None else keys.pending_key()
    swarm = founding.found(
        chosen,
        certificates=PkiMaker(),
        ids=world.ids,
        csr=make_csr(key),
        control_addr=addresses.advertise,
        now=now,
        first=certified,
    )
    keys.save(
        NodeCredentials(key, swarm.certificate.chain.encode("ascii"), swarm.cluster.root_certificate.encode("ascii"))
    )
    state = MemberState(
        node_id=swarm.node.id,
        cluster_id=swarm.cluster.id,
        role=MANAGER,
        listen_addr=str(addresses.listen),
        advertise_addr=addresses.advertise,
        data_path_addr=addresses.data_path,
        managers=((swarm.node.id, addresses.advertise),),
    )
    member = Member(place.settings, place.clock, state, addresses, place.file, place.gateway)
    await member.start(swarm.changes)
    try:
        place.file.save(member.state)
    except BaseException:
        await member.stop(restarting=False)
        raise
    if brought is not None:
        member.renew_soon()
    return member


async def join(place: Place, options: JoinOptions, addresses: Addresses) -> Member:
    """A member of the swarm that the secret belongs to, running when this returns; a manager may have to catch up yet.

    A refused join keeps the key, so that asking again gives the same membership. One that was granted and then failed
    on this host leaves nothing behind.
    """
    try:
        secret = parse_join_secret(options.secret)
    except TokenError as error:
        raise InvalidArgument(str(error), plain=True) from error
    keys = place.keys
    key = keys.pending_key()
    request = JoinRequest(
        csr_pem=make_csr(key),
        secret=secret,
        availability=options.availability or "active",
        advertise_addr=addresses.advertise,
        listen_port=addresses.listen.port,
        version=__version__,
    )

    def check(root: bytes, chain: bytes) -> Identity:
        return peer.verify(root, chain, certificates.utc(place.clock.wall()), key_pem=key)

    try:
        joined = await join_client.join(options.remote_addrs, request, check=check)
    except JoinError as error:
        kind = Unavailable if error.temporary else InvalidArgument
        raise error.refusal or kind(str(error), plain=True) from error
    except (PkiError, address_room.AddressError) as error:
        raise InvalidArgument(str(error), plain=True) from error
    grant = joined.grant
    managers = tuple((manager.node_id, manager.addr) for manager in grant.managers)
    state = MemberState(
        node_id=grant.node_id,
        cluster_id=grant.cluster_id,
        role=grant.role,
        listen_addr=str(addresses.listen),
        advertise_addr=addresses.advertise,
        data_path_addr=addresses.data_path,
        managers=managers,
        fresh=grant.role == MANAGER,
    )
    try:
        keys.save(NodeCredentials(key, grant.certificate_pem, joined.root_pem))
        place.file.save(state)
        return await resume(place, state)
    except BaseException:
        place.file.wipe()
        if grant.role == MANAGER:
            await _give_back(grant, (key, grant.certificate_pem, joined.root_pem))
        raise


async def _give_back(grant: JoinGrant, credentials: tuple[bytes, bytes, bytes]) -> None:
    """A manager that never was: whoever leads shall not wait for it; its node is a worker's that is down. Bounded."""
    try:
        async with asyncio.timeout(GIVE_BACK):
            calls = LeaderCalls(lambda: credentials)
            try:
                for manager in grant.managers:
                    if await _taken_back(calls, manager, grant.node_id):
                        return
            finally:
                await calls.close()
    except TimeoutError:
        pass
    log.warning("node %s stays a manager in the swarm's list: demote and remove it there", grant.node_id)


async def _taken_back(calls: LeaderCalls, manager: ManagerAddress, node_id: str) -> bool:
    """Whether this manager leads and has let the node go."""
    call = ForwardCall("POST", f"/queenright/v1/managers/{node_id}/leave")
    try:
        return (await calls.forward((manager.node_id, manager.addr), call, GIVE_BACK)).status < 400
    except Refusal as refusal:
        log.info("manager %s does not take node %s back: %s", manager.addr, node_id, refusal)
        return False


async def resume(place: Place, state: MemberState) -> Member:
    """Go on with a membership from what is on disk, at the addresses that the settings name."""
    addresses = for_resume(place.settings, state)
    moved = at(state, addresses)
    if moved != state:
        place.file.save(moved)
    member = Member(place.settings, place.clock, moved, addresses, place.file, place.gateway)
    await member.start()
    return member
