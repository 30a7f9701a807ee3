# SPDX-License-Identifier: Apache-2.0
"""A playbook's wish for the credentials of a registry, which all nodes use for its images.

They can be replaced at any time: nothing that runs is touched, and whatever is placed from then on pulls with the new
ones. Passwords and tokens are compared here, and stand in no plan's words.
"""

from __future__ import annotations

import dataclasses
import hmac
import json
import re

from queenright.manager.apply_data import read_data
from queenright.manager.checks import check_values
from queenright.manager.context import Context
from queenright.manager.plans import ABSENT, HIDDEN, Plan, Wish
from queenright.model.changes import Create, Delete, Update
from queenright.model.errors import InvalidArgument
from queenright.model.images import address_of, registry_of
from queenright.model.objects import Registry
from queenright.spec.data import RegistrySpec
from queenright.spec.fields import difference, encode, merge

MOST_AUTH = 64 * 1024  # bytes: tokens of cloud registries are a few KiB long

_SERVER = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)


class RegistryPlanner:
    """Plans for credentials."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def plan(self, wish: Wish) -> Plan:
        """What the wish comes to now. ``context``: ``data``, the base64 of the JSON that a client would send in
        X-Registry-Auth.
        """
        server = check_server(wish.name)
        held = next(iter(self._context.store.registries.by("name", server)), None)
        if wish.state == ABSENT:
            return self._plan_removal(held)
        spec = merge(RegistrySpec, None if held is None else held.spec, dict(wish.options))
        spec = dataclasses.replace(spec, server=server)
        check_values(encode(spec))
        auth = _read_auth(wish, server)
        if auth is not None and json.loads(auth).get("identitytoken") and "username" not in wish.options:
            spec = dataclasses.replace(spec, username=None)  # that of the password in whose place the token comes
        if held is None:
            if auth is None:
                raise InvalidArgument(f"there are no credentials for {server} yet: give them", plain=True)
            made = Registry(id=self._context.ids(), spec=spec, auth=auth)
            action = f"store the credentials for registry {server}"
            return Plan(made.id, None, _shown(made), (action,), (), (Create(made),), difference({}, _shown(made)))
        if auth is None and spec.username != held.spec.username:
            raise InvalidArgument(
                f"username: it belongs to the password that is stored for {server}: give the new user's password too",
                plain=True,
            )
        changed = dataclasses.replace(held, spec=spec, auth=held.auth if auth is None else auth)
        before, after = _shown(held), _shown(changed)
        diff = difference(before, after)
        if not hmac.compare_digest(changed.auth, held.auth):
            diff["Credentials"] = {"before": HIDDEN, "after": HIDDEN}
        if not diff:
            return Plan(held.id, before, after)
        action = f"replace the credentials for registry {server}"
        return Plan(held.id, before, after, (action,), (), (Update(changed),), diff)

    def _plan_removal(self, held: Registry | None) -> Plan:
        if held is None:
            return Plan("", None, None)
        before, action = _shown(held), f"remove the credentials for registry {held.name}"
        return Plan(held.id, before, None, (action,), (), (Delete("registry", held.id),), difference(before, {}))


def check_server(text: str) -> str:
    """The one name of a registry, however it is written. Raises InvalidArgument for what is no address."""
    if not text.strip():
        raise InvalidArgument("a registry needs an address, such as registry.example.com:5000 or docker.io", plain=True)
    server = registry_of(text)
    if _SERVER.fullmatch(server) is None:
        raise InvalidArgument(
            "the address of a registry is HOST or HOST:PORT, such as registry.example.com:5000", plain=True
        )
    return server


def _shown(value: Registry) -> dict[str, object]:
    return {**encode(value.spec), "Credentials": HIDDEN}


def _read_auth(wish: Wish, server: str) -> bytes | None:
    """The credentials in one form, so that equal ones are equal bytes however the server is written. Raises
    InvalidArgument, which quotes nothing.
    """
    data = read_data(wish.context)
    if data is None:
        return None
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise InvalidArgument("the credentials are no JSON object of strings", plain=True)
    if len(data) > MOST_AUTH:
        raise InvalidArgument(f"the credentials are longer than {MOST_AUTH >> 10} KiB", plain=True)
    return json.dumps(document | {"serveraddress": address_of(server)}, sort_keys=True).encode()
