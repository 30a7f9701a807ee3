# SPDX-License-Identifier: Apache-2.0
"""``/swarm``: init, join, leave, inspect, update, unlock; and the swarm's part of ``/info``."""

from __future__ import annotations

from typing import Any

from queenright.edge.http.api import render
from queenright.edge.http.api.base import Handlers, read, version_of
from queenright.edge.http.api.body import Body
from queenright.edge.http.api.standing import cut_off
from queenright.edge.http.errors import ApiError, grpc_text
from queenright.edge.http.messages import Request, Response, json_response
from queenright.edge.http.router import Router
from queenright.manager import texts
from queenright.manager.control_cluster import Rotation
from queenright.manager.ports import FirstManager, InitOptions, JoinOptions
from queenright.manager.views import manager_count
from queenright.model.errors import Refusal
from queenright.model.tokens import parse_join_secret
from queenright.spec.cluster import MANAGER, SwarmSpec

POOLS_SINCE = (1, 39)
DATA_PATH_PORT_SINCE = (1, 40)


class SwarmHandlers(Handlers):
    """Handlers of ``/swarm``."""

    def register(self, router: Router) -> None:
        router.add("POST", "/swarm/init", self.init, local=True)
        router.add("POST", "/swarm/join", self.join, local=True)
        router.add("POST", "/swarm/leave", self.leave, local=True)
        router.add("GET", "/swarm", self.inspect, abandon=True)
        router.add("POST", "/swarm/update", self.update)
        router.add("GET", "/swarm/unlockkey", self.unlock_key, root=True)
        router.add("POST", "/swarm/unlock", self.unlock, local=True, root=True)
        router.add("POST", "/queenright/v1/leave", self.leave, local=True)

    async def init(self, request: Request) -> Response:
        """Found a swarm on this host, or (ForceNewCluster) go on alone with the one it is in; answers the node's id."""
        body = Body.of(request)
        pools = request.version is None or request.version >= POOLS_SINCE
        port = request.version is None or request.version >= DATA_PATH_PORT_SINCE
        spec = dict(body.object("Spec"))
        if body.flag("AutoLockManagers"):
            spec = {key: value for key, value in spec.items() if key.lower() != "encryptionconfig"}
            spec["EncryptionConfig"] = {"AutoLockManagers": True}
        options = InitOptions(
            listen_addr=body.text("ListenAddr"),
            advertise_addr=body.text("AdvertiseAddr"),
            data_path_addr=body.text("DataPathAddr"),
            data_path_port=body.integer("DataPathPort") if port else 0,
            default_addr_pool=body.texts("DefaultAddrPool") if pools else (),
            subnet_size=body.integer("SubnetSize") if pools else 0,
            force_new_cluster=body.flag("ForceNewCluster"),
            availability=body.text("Availability").lower(),
            spec=spec,
            first=_first_manager(body.object("FirstManager")),
        )
        return json_response(await self.host.init(options))

    async def join(self, request: Request) -> Response:
        """Join a swarm with a token or a one-time ticket; ends when the node is a member."""
        body = Body.of(request)
        remotes = body.texts("RemoteAddrs")
        if not any(remotes):
            raise ApiError(400, "at least 1 RemoteAddr is required to join")
        secret = body.text("JoinToken")
        parse_join_secret(secret)
        availability = body.text("Availability").lower()
        if availability not in ("", "active", "pause", "drain"):
            raise ApiError(400, f'invalid Availability: "{availability}"')
        await self.host.join(
            JoinOptions(
                remote_addrs=tuple(remote for remote in remotes if remote),
                secret=secret,
                listen_addr=body.text("ListenAddr"),
                advertise_addr=body.text("AdvertiseAddr"),
                data_path_addr=body.text("DataPathAddr"),
                availability=availability,
            )
        )
        return Response(200)

    async def leave(self, request: Request) -> Response:
        """Leave the swarm. A manager needs force, since the swarm may lose its quorum or all its state."""
        await self.host.leave(request.flag("force"))
        return Response(200)

    async def inspect(self, request: Request) -> Response:
        control = self.control()
        return json_response(render.swarm(control.context.cluster, control.store.nodes.by("role", MANAGER)))

    async def update(self, request: Request) -> Response:
        control, version = self.control(), version_of(request)
        rotation = Rotation(
            worker_token=request.flag("rotateWorkerToken"),
            manager_token=request.flag("rotateManagerToken"),
            unlock_key=request.flag("rotateManagerUnlockKey"),
        )
        key = Body(Body.of(request).object("CAConfig")).text("SigningCAKey")
        await control.cluster.update(version, read(SwarmSpec, request), rotation, key)
        return Response(200)

    async def unlock_key(self, request: Request) -> Response:
        """The key that opens a locked manager; empty while managers are not locked."""
        return json_response({"UnlockKey": self.control().context.cluster.unlock_key})

    async def unlock(self, request: Request) -> Response:
        """Open this host, a manager that was started anew; answers when it goes on."""
        await self.host.unlock(Body.of(request).text("UnlockKey"))
        return Response(200)

    # -- the engine's own routes

    def ping_state(self) -> str:
        """The ``Swarm`` header of ``/_ping``."""
        state = self.host.local_state()
        return f"active/{state.role}" if state.state == "active" else state.state

    async def info(self) -> dict[str, Any]:
        """The ``Swarm`` object of ``/info``; from memory, so that it answers without a quorum too, and says so."""
        state = self.host.local_state()
        managers = [{"NodeID": node_id, "Addr": addr} for node_id, addr in state.managers]
        document: dict[str, Any] = {
            "NodeID": state.node_id,
            "NodeAddr": state.node_addr,
            "LocalNodeState": state.state,
            "ControlAvailable": False,
            "Error": state.error,
            "RemoteManagers": managers or None,
        }
        try:
            control = self.control()
            cluster = control.context.cluster
        except Refusal:
            return document
        nodes = control.store.nodes
        managing = manager_count(control.store, control.context.consensus)
        document.update(ControlAvailable=True, Nodes=len(nodes), Managers=managing)
        if cut_off(control):  # whatever else there is follows from it
            document["Error"] = grpc_text("Unknown", texts.NO_LEADER)
        document["Cluster"] = render.cluster_info(cluster, nodes.by("role", MANAGER))
        return document


def _first_manager(given: dict[str, Any]) -> FirstManager | None:
    """The founder's identity from an external CA, if there is one. It is whole or refused."""
    if not given:
        return None
    body = Body(given)
    texts_of = {name: body.text(name) for name in ("Key", "Certificate", "RootCertificate")}
    for name, text in texts_of.items():
        if not text:
            raise ApiError(400, f"invalid JSON: FirstManager: {name} is missing")
    return FirstManager(texts_of["Key"], texts_of["Certificate"], texts_of["RootCertificate"])
