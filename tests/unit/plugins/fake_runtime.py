# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runtimes on unix sockets for the plugins' tests: what the plugins use of the host socket, on the real tables."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import shutil
import socketserver
import tempfile
import threading
import typing as t
from urllib.parse import parse_qs, urlsplit

from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import NodeSpec, SwarmSpec
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import (
    SpecError,
    decode,
    difference,
    encode,
    merge,
)
from ansible_collections.queenright.swarm.plugins.module_utils._spec.service import ServiceSpec
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_data import FakeData
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_stacks import FakeStacks

Json = dict[str, t.Any]
OUTSIDE = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node.'
WORKER = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state."
LOCKED = (
    'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.'
)
JOIN_TIMEOUT = (
    "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. Use the "
    '"docker info" command to see the current swarm status of your node.'
)
NO_LEADER = (
    "The swarm does not have a leader. It's possible that too few managers are online. "
    "Make sure more than half of the managers are online."
)
SERIAL = "5f3a01c2"
SETTLED = {"default_addr_pool": ["10.0.0.0/8"], "subnet_size": 24, "data_path_port": 4789}


class RefusalError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class FakeSwarm:
    """What the managers of one swarm know together."""

    def __init__(self, cluster_id: str, spec: t.Any = None) -> None:
        self.cluster_id = cluster_id
        self.spec = spec or SwarmSpec()
        self.version = 7
        self.tokens = {"Worker": "SWMTKN-1-root-workersecret0", "Manager": "SWMTKN-1-root-managersecret0"}
        self.root = "-----BEGIN CERTIFICATE-----"
        self.external_cas: list[Json] = []
        self.rotations: list[Json] = []  # what the next looks at a rotation find
        self.looks = 2
        self.revoked: dict[str, str] = {}
        self.tickets: dict[str, Json] = {}
        self.unlock_key = ""
        self.services: dict[str, t.Any] = {}
        self.auths: dict[str, str] = {}
        self.nodes: dict[str, t.Any] = {}
        self.hostnames: dict[str, str] = {}
        self.down: set[str] = set()
        self.hosts: dict[str, FakeRuntime] = {}  # by node id; a host that lost its state is not in it any more
        self.left: list[str] = []  # nodes that left, in their order
        self.silent: set[str] = set()  # nodes that the managers do not reach
        self.data = FakeData()
        self.stacks = FakeStacks()

    @property
    def voters(self) -> list[str]:
        """Ids of the managers."""
        return [key for key, spec in self.nodes.items() if spec.role == "manager"]

    @property
    def manager_addrs(self) -> list[str]:
        return [f"{self.hostnames[key]}:2377" for key in self.voters]

    def check_role(self, key: str, role: str) -> None:
        """Refuse a role as the runtime does."""
        if role == "worker" and self.nodes[key].role == "manager":
            left = [voter for voter in self.voters if voter != key]
            if not left:
                raise RefusalError(400, "attempting to demote the last manager of the swarm")
            if len([voter for voter in left if voter not in self.silent]) <= len(left) // 2:
                raise RefusalError(400, "demoting this manager would leave the swarm without a quorum")

    def put(self, key: str, spec: t.Any) -> None:
        """Put a node's spec in force, and tell its host."""
        self.nodes[key] = spec
        if key in self.hosts:
            self.hosts[key].role = spec.role


class FakeRuntime:
    """One host's runtime. ``calls``: (method, path, query, body) of each request; ``waits`` is answered in turn."""

    def __init__(self, name: str = "h1") -> None:
        self.name = name
        self.folder = tempfile.mkdtemp(prefix="qr")
        self.socket = os.path.join(self.folder, "e.sock")
        self.swarm: FakeSwarm | None = None
        self.role = ""
        self.node_id = ""
        self.error = ""
        self.clock_skew = 0.0
        self.pending = 0  # times that the state is still pending
        self.unsigned = 0  # times that the state is pending after a join, as nobody can sign
        self.reason = ""  # why a join is pending, or came to nothing
        self.refused_in_the_end = False
        self.learning = 0  # times that this manager is no voter yet
        self.learners: set[str] = set()  # managers that are no voters yet, as this one sees it
        self.unknown = False  # whether its refusals leave open what was done
        self.locked = False  # whether it is a manager that needs the unlock key
        self.cut = False  # whether it is a manager that hears from no majority
        self.forecast: Json = {}  # what it foresees in each dry run
        self.calls: list[tuple[str, str, Json, t.Any]] = []
        self.waits: list[Json] = []
        self.refusals: dict[str, list[RefusalError]] = {}
        self._server: t.Any = None

    # -- life

    def start(self) -> FakeRuntime:
        runtime = self

        class Handler(_Handler):
            fake = runtime

        self._server = _Server(self.socket, Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def become(self, swarm: FakeSwarm, role: str) -> FakeRuntime:
        """Make this host a member; one that was a member before is another node."""
        key = f"node{self.name}"
        while key in swarm.nodes:
            key += "x"
        self.swarm, self.role, self.node_id = swarm, role, key
        swarm.nodes[key] = NodeSpec(role=role, availability="active")
        swarm.hostnames[key] = self.name
        swarm.hosts[key] = self
        return self

    def lose_state(self) -> None:
        """The host is installed anew: it knows of no swarm, and its node is down."""
        assert self.swarm is not None
        self.swarm.down.add(self.node_id)
        self.swarm.silent.add(self.node_id)
        del self.swarm.hosts[self.node_id]
        self.swarm, self.role, self.node_id = None, "", ""

    def refuse(self, path: str, status: int, message: str) -> None:
        """Answer the next request to a path with an error."""
        self.refusals.setdefault(path, []).append(RefusalError(status, message))

    def called(self, path: str) -> list[t.Any]:
        """The bodies of all requests to a path."""
        return [body for _method, asked, _query, body in self.calls if asked == path]

    # -- routes

    def answer(self, method: str, path: str, query: Json, body: t.Any) -> t.Any:
        self.calls.append((method, path, query, body))
        waiting = self.refusals.get(path)
        if waiting:
            raise waiting.pop(0)
        for pattern, name in _ROUTES:
            found = re.match(f"^{pattern[0]} {pattern[1]}$", f"{method} {path}")
            if found:
                return getattr(self, name)(query, body, *found.groups())
        raise RefusalError(404, "page not found")

    def status(self, query: Json, body: t.Any) -> Json:
        swarm = self.swarm
        state = "error" if self.error else "active" if swarm else "inactive"
        if self.pending:
            self.pending -= 1
            state = "pending"
        if self.locked:
            state = "locked"
        manages = swarm is not None and self.role == "manager" and not self.locked
        return {
            "version": "0.1.0",
            "state": state,
            "role": self.role,
            "node_id": self.node_id,
            "node_addr": self.name if swarm else "",
            "cluster_id": swarm.cluster_id if swarm else "",
            "managers": [{"node_id": "m", "addr": addr} for addr in swarm.manager_addrs] if swarm else [],
            "error": self.error or self.reason,
            "engine": {"reachable": True, "version": "27.5.1", "error": ""},
            "ready": not self.error and not self.locked,
            "started_at": "2026-05-04T08:12:33.000000000Z",
            "clock_skew": self.clock_skew,
            "tasks": {"running": 0, "total": 0},
            "leader": self._leader() if manages else None,
            "has_quorum": manages and not self.cut,
            "stale": manages and self.cut,
            "raft": self._raft() if manages else None,
        }

    def _leader(self) -> Json | None:
        if self.cut:
            return None
        key = self.swarm.voters[0]
        return {"node_id": key, "addr": f"{self.swarm.hostnames[key]}:2377"}

    def _raft(self) -> Json:
        swarm = self.swarm
        if self.learning:
            self.learning -= 1
        members = [
            {
                "node_id": key,
                "addr": f"{swarm.hostnames[key]}:2377",
                "voter": key not in self.learners and (key != self.node_id or not self.learning),
                "reachable": key not in swarm.silent,
            }
            for key in swarm.voters
        ]
        return {"term": 3, "applied_index": swarm.version, "members": members}

    def init(self, query: Json, body: Json) -> str:
        if body.get("ForceNewCluster"):
            return self._go_on_alone()
        if self.swarm is not None:
            raise RefusalError(503, "This node is already part of a swarm.")
        self.become(FakeSwarm(f"swarm-of-{self.name}", decode(SwarmSpec, body.get("Spec") or {})), "manager")
        names = {"url": "URL", "ca_cert": "CACert"}
        given = (body.get("Spec") or {}).get("CAConfig", {}).get("ExternalCAs") or []
        self.swarm.external_cas = [{name: one[key] for name, key in names.items() if key in one} for one in given]
        return self.node_id

    def _go_on_alone(self) -> str:
        self.cut = False
        for key in self.swarm.voters:
            if key != self.node_id:
                self.swarm.nodes[key] = merge(NodeSpec, self.swarm.nodes[key], {"role": "worker"})
                self.swarm.down.add(key)
        return self.node_id

    def join_key(self, query: Json, body: Json) -> Json:
        return {"key_digest": f"sha256:{self.name}"}

    def tickets(self, query: Json, body: Json) -> Json:
        swarm = self._managed()
        ticket = "QRTICKET-1-root-secretof{}".format(body["key_digest"].split(":")[1])
        swarm.tickets[ticket] = body
        FakeRuntime.known[swarm.cluster_id] = swarm
        return {"ticket": ticket, "root_digest": "sha256:root", "managers": list(swarm.manager_addrs)}

    known: dict[str, FakeSwarm] = {}  # swarms that gave tickets: how a joiner finds the one it asks for

    def join(self, query: Json, body: Json) -> None:
        secret = body["JoinToken"]
        if self.unsigned:
            self.pending, self.unsigned, self.reason = self.unsigned, 0, "no external CA has signed"
            if not self.refused_in_the_end:
                self.join(query, body)
            raise RefusalError(503, JOIN_TIMEOUT)
        for swarm in FakeRuntime.known.values():
            if secret in swarm.tickets and swarm.tickets[secret]["key_digest"] == f"sha256:{self.name}":
                self.become(swarm, swarm.tickets.pop(secret)["role"])
                return
            if secret in swarm.tokens.values():
                self.become(swarm, "worker" if secret == swarm.tokens["Worker"] else "manager")
                return
        raise RefusalError(400, "invalid join token")

    def leave(self, query: Json, body: t.Any) -> None:
        if self.swarm is None:
            raise RefusalError(503, "This node is not part of a swarm")
        if self.role == "manager" and query.get("force") != "1":
            raise RefusalError(
                503, "You are attempting to leave the swarm on a node that is participating as a manager."
            )
        if self.role == "manager" and len(self.swarm.voters) > 1 and not self.cut:
            self.swarm.put(self.node_id, merge(NodeSpec, self.swarm.nodes[self.node_id], {"role": "worker"}))
        self.swarm.down.add(self.node_id)
        self.swarm.left.append(self.node_id)
        self.swarm.hosts.pop(self.node_id, None)
        self.swarm, self.role, self.node_id, self.error = None, "", "", ""

    def inspect(self, query: Json, body: t.Any) -> Json:
        swarm = self._managed()
        return {
            "ID": swarm.cluster_id,
            "Version": {"Index": swarm.version},
            "Spec": encode(swarm.spec),
            "TLSInfo": {
                "TrustRoot": "-----BEGIN CERTIFICATE-----\n",
                "CertIssuerSubject": "c3Vi",
                "CertIssuerPublicKey": "a2V5",
            },
            "JoinTokens": dict(swarm.tokens),
        }

    def update(self, query: Json, body: Json) -> None:
        swarm = self._managed()
        if int(query["version"]) != swarm.version:
            raise RefusalError(500, "rpc error: code = Unknown desc = update out of sequence")
        swarm.version += 1
        if query.get("rotateManagerUnlockKey") == "true":
            if not body["EncryptionConfig"]["AutoLockManagers"]:
                raise RefusalError(400, "cannot rotate the unlock key because autolock is not turned on")
            swarm.unlock_key = f"SWMKEY-1-of-version-{swarm.version}"
        for role in ("Worker", "Manager"):
            if query.get(f"rotate{role}Token") == "true":
                swarm.tokens[role] = re.sub(r"\d+$", lambda found: str(int(found.group()) + 1), swarm.tokens[role])

    def show_unlock_key(self, query: Json, body: t.Any) -> Json:
        return {"UnlockKey": self._managed().unlock_key}

    def unlock(self, query: Json, body: Json) -> None:
        if not self.locked:
            raise RefusalError(409, "swarm is not locked")
        if body["UnlockKey"] != self.swarm.unlock_key:
            raise RefusalError(401, "swarm could not be unlocked: invalid key provided")
        self.locked = False

    def authority(self, query: Json, body: t.Any) -> Json:
        swarm = self._managed()
        rotation = swarm.rotations.pop(0) if swarm.rotations else None
        root = swarm.root
        return {
            "cluster_id": swarm.cluster_id,
            "root_certificate": root,
            "root_digest": f"sha256:{hashlib.sha256(root.encode()).hexdigest()}",
            "issuer_subject": "c3ViamVjdA==",
            "issuer_public_key": "a2V5",
            "certificates": [
                {"serial": "5f3a01c2", "node_id": "nodeh1", "revoked_at": swarm.revoked.get("5f3a01c2", "")}
            ],
            "left_behind": [],
            "rotation": rotation,
            "has_key": True,
        }

    def declare(self, query: Json, body: Json) -> Json:
        swarm = self._managed()
        wanted = body.get("ca_cert") or ("-----BEGIN NEW-----" if body.get("rotate") else swarm.root)
        changed, cas = wanted != swarm.root, body.get("external_cas", swarm.external_cas)
        if cas != swarm.external_cas:
            before, after = {"ExternalCAs": swarm.external_cas}, {"ExternalCAs": cas}
            if not query.get("dry_run"):
                swarm.external_cas = cas
            diff = {"ExternalCAs": {"before": before["ExternalCAs"], "after": cas}}
            actions = ["change the external CAs"]
            return {"changed": True, "actions": actions, "before": before, "after": after, "diff": diff}
        if changed and not query.get("dry_run"):
            swarm.root = wanted
            waiting = [{"id": "nodeh2", "hostname": "h2", "state": "ready"}]
            swarm.rotations = [{"total": 2, "turned": 1, "waiting": waiting, "left": []}] * swarm.looks
        actions = ["rotate the root certificate"] if changed else []
        return {"changed": changed, "actions": actions, "before": {}, "after": {}, "diff": {}}

    def revoke(self, query: Json, body: Json) -> Json:
        swarm = self._managed()
        if body["serial"] != "5f3a01c2":
            raise RefusalError(404, f"no certificate with the serial {body['serial']!r} was issued")
        changed = "5f3a01c2" not in swarm.revoked
        if changed and not query.get("dry_run"):
            swarm.revoked["5f3a01c2"] = "2026-01-01T00:00:00Z"
        return {"changed": changed, "node_id": "nodeh1", "shut_out": True}

    def apply(self, query: Json, body: Json) -> Json:
        swarm, dry = self._managed(), query.get("dry_run") == "1"
        if self.cut:
            raise RefusalError(503, NO_LEADER)
        try:
            if body["kind"] in ("secret", "config", "registry", "network"):
                return swarm.data.apply(body["kind"], dry, body)
            if body["kind"] == "stack":
                return swarm.stacks.apply(dry, body)
            plan = getattr(self, "_apply_{}".format(body["kind"]))(swarm, dry, body)
            asked = dry or query.get("forecast") == "1"
            return dict(plan, forecast=self.forecast) if asked and self.forecast else plan
        except SpecError as error:
            raise RefusalError(400, str(error))

    def apply_all(self, query: Json, body: Json) -> Json:
        results = [dict(self.apply(query, one), kind=one["kind"], name=one["name"]) for one in body["wishes"]]
        return {
            "changed": any(one["changed"] for one in results),
            "results": results,
            "actions": [text for one in results for text in one["actions"]],
            "warnings": [],
        }

    def stacks(self, query: Json, body: t.Any) -> list[Json]:
        return self._managed().stacks.rows()

    def stack(self, query: Json, body: t.Any, name: str) -> Json:
        for one in self.stacks(query, body):
            if one["Name"] == name:
                return dict(one, Drift=[], Asked=query.get("revision"))
        raise RefusalError(404, f"stack {name} not found")

    def _apply_swarm(self, swarm: FakeSwarm, dry: bool, body: Json) -> Json:
        options = dict(body["options"])
        for name, value in SETTLED.items():
            if options.pop(name, value) != value:
                raise RefusalError(400, f"cannot be changed on a live swarm: {name}")
        for name in ("advertise_addr", "listen_addr"):
            options.pop(name, None)
        before, changed = swarm.spec, merge(SwarmSpec, swarm.spec, options)
        if not dry:
            swarm.spec = changed
        return _plan(swarm.cluster_id, encode(before), encode(changed), "update the swarm")

    def _apply_service(self, swarm: FakeSwarm, dry: bool, body: Json) -> Json:
        name, held = body["name"], swarm.services.get(body["name"])
        auth = (body.get("context") or {}).get("registry_auth", "")
        if body["state"] == "absent":
            if not dry:
                swarm.services.pop(name, None)
            return _plan(f"id-{name}" if held else "", held and encode(held), None, f"remove service {name}")
        spec = merge(ServiceSpec, held, body["options"])
        verb = "update" if held else "create"
        plan = _plan(f"id-{name}", held and encode(held), encode(spec), f"{verb} service {name}")
        if auth and auth != swarm.auths.get(name):
            plan.update(changed=True)
        if not dry:
            swarm.services[name] = spec
            swarm.auths[name] = auth or swarm.auths.get(name, "")
        return plan

    def _apply_node(self, swarm: FakeSwarm, dry: bool, body: Json) -> Json:
        ref = body["name"]
        key = next((key for key in swarm.nodes if ref in (key, swarm.hostnames[key])), None)
        if key is None:
            if body["state"] == "absent":
                return _plan("", None, None, "")
            raise RefusalError(404, f"node {ref} not found")
        held = swarm.nodes[key]
        if body["state"] == "absent":
            if held.role == "manager":
                raise RefusalError(
                    400,
                    f"node {key} is a cluster manager. It must be demoted to worker before removal",
                )
            if key not in swarm.down and not (body.get("context") or {}).get("force"):
                raise RefusalError(400, f"rpc error: code = FailedPrecondition desc = node {key} is not down")
            if not dry:
                del swarm.nodes[key]
            return _plan(key, encode(held), None, f"remove node {ref}")
        options = dict(body["options"])
        labels = options.pop("labels", {})
        merged = {k: v for k, v in {**held.labels, **(labels or {})}.items() if v is not None}
        spec = merge(NodeSpec, held, dict(options, labels={} if labels is None else merged))
        swarm.check_role(key, spec.role)
        if not dry:
            swarm.put(key, spec)
        return _plan(key, encode(held), encode(spec), f"update node {ref}")

    def wait(self, query: Json, body: t.Any) -> Json:
        self._managed()
        return (
            self.waits.pop(0) if self.waits else {"converged": True, "state": "converged", "running": 1, "desired": 1}
        )

    def services(self, query: Json, body: t.Any) -> list[Json]:
        found = self._managed().services
        return [
            {
                "ID": f"id-{name}",
                "Spec": dict(encode(spec), Name=name),
                "Endpoint": {"Ports": encode(spec.endpoint).get("Ports")},
            }
            for name, spec in sorted(found.items())
        ]

    def mesh(self, query: Json, body: t.Any) -> Json:
        names = sorted(self._managed().services)
        return {"nodes": [], "ports": [{"service": one, "service_id": f"id-{one}", "ready": True} for one in names]}

    def tasks(self, query: Json, body: t.Any) -> list[Json]:
        self._managed()
        return [
            {"ID": "task1", "ServiceID": one, "NodeID": "n", "Status": {"State": "running"}}
            for one in json.loads(query["filters"])["service"]
        ]

    def prune(self, query: Json, body: t.Any, kinds: str) -> Json:
        return self._managed().data.prune(kinds[:-1], query.get("dry_run") == "1", query.get("spare", ""))

    def listed(self, query: Json, body: t.Any, kinds: str) -> list[Json]:
        return self._managed().data.list("registry" if kinds == "registries" else kinds[:-1])

    def nodes(self, query: Json, body: t.Any) -> list[Json]:
        swarm = self._managed()
        return [self._node(swarm, key) for key in sorted(swarm.nodes)]

    @staticmethod
    def _node(swarm: FakeSwarm, key: str) -> Json:
        document = {
            "ID": key,
            "UpdatedAt": "2026-05-04T08:12:33Z",
            "Spec": encode(swarm.nodes[key]),
            "Description": {"Hostname": swarm.hostnames[key]},
            "Status": {"State": "down" if key in swarm.down else "ready"},
        }
        if key in swarm.voters:
            document["ManagerStatus"] = {"Reachability": "unreachable" if key in swarm.silent else "reachable"}
        return document

    def node(self, query: Json, body: t.Any, ref: str) -> Json:
        for one in self.nodes(query, body):
            if ref in (one["ID"], one["Description"]["Hostname"]):
                return one
        raise RefusalError(404, f"node {ref} not found")

    def _managed(self) -> FakeSwarm:
        if self.swarm is None or self.role != "manager":
            raise RefusalError(503, OUTSIDE if self.swarm is None else WORKER)
        if self.locked:
            raise RefusalError(503, LOCKED)
        return self.swarm


_ROUTES = (
    (("GET", "/queenright/v1/status"), "status"),
    (("POST", "/queenright/v1/join/key"), "join_key"),
    (("POST", "/queenright/v1/tickets"), "tickets"),
    (("POST", "/queenright/v1/apply"), "apply"),
    (("POST", "/queenright/v1/apply_all"), "apply_all"),
    (("GET", "/queenright/v1/stacks"), "stacks"),
    (("GET", "/queenright/v1/stacks/([^/]+)"), "stack"),
    (("GET", "/queenright/v1/wait"), "wait"),
    (("POST", "/queenright/v1/leave"), "leave"),
    (("POST", "/swarm/init"), "init"),
    (("POST", "/swarm/join"), "join"),
    (("POST", "/swarm/update"), "update"),
    (("GET", "/swarm/unlockkey"), "show_unlock_key"),
    (("POST", "/swarm/unlock"), "unlock"),
    (("GET", "/queenright/v1/ca"), "authority"),
    (("POST", "/queenright/v1/ca"), "declare"),
    (("POST", "/queenright/v1/ca/revoke"), "revoke"),
    (("GET", "/swarm"), "inspect"),
    (("GET", "/services"), "services"),
    (("GET", "/tasks"), "tasks"),
    (("GET", "/queenright/v1/mesh"), "mesh"),
    (("POST", "/queenright/v1/(secrets|configs)/prune"), "prune"),
    (("GET", "/queenright/v1/(registries|networks)"), "listed"),
    (("GET", "/(secrets|configs)"), "listed"),
    (("GET", "/nodes"), "nodes"),
    (("GET", "/nodes/([^/]+)"), "node"),
)


def _plan(key: str, before: Json | None, after: Json | None, action: str) -> Json:
    changed = before != after
    return {
        "changed": changed,
        "before": before,
        "after": after,
        "diff": difference(before or {}, after or {}),
        "actions": [action] if changed else [],
        "warnings": [],
        "id": key,
        "version": 1,
    }


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """A client that hung up has its reasons."""


class _Handler(http.server.BaseHTTPRequestHandler):
    fake: FakeRuntime

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: t.Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        try:
            value = self.fake.answer(self.command, parts.path, query, json.loads(text) if text else None)
            status = 200
        except RefusalError as refusal:
            status, value = refusal.status, {"message": str(refusal)}
        answer = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        if self.fake.unknown and status >= 400:
            self.send_header("X-Queenright-Outcome", "unknown")
        if self.fake.cut and self.command == "GET":
            self.send_header("X-Queenright-Stale", "true")
        self.end_headers()
        self.wfile.write(answer)
