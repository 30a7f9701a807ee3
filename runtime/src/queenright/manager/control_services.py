# SPDX-License-Identifier: Apache-2.0
"""Use cases on services: create, update, roll back, remove."""

from __future__ import annotations

import dataclasses

from queenright.manager import revisions
from queenright.manager.author import author
from queenright.manager.check_networks import check_network_existence, resolve_networks
from queenright.manager.check_ports import check_ports
from queenright.manager.checks import check_service
from queenright.manager.context import MOST_TRIES, Context
from queenright.manager.control_networks import Networks
from queenright.manager.names import two_words
from queenright.manager.references import check_existence
from queenright.model.changes import Create, Delete, Update
from queenright.model.errors import AlreadyExists, OutOfSequence
from queenright.model.objects import Service
from queenright.spec.fields import keep_own
from queenright.spec.service import ServiceSpec


class Services:
    """Writes to services. Specs are decoded already; all other checks are made here."""

    def __init__(self, context: Context, networks: Networks) -> None:
        self._context = context
        self._networks = networks

    async def create(self, spec: ServiceSpec, registry_auth: str = "") -> str:
        """Create a service and give its id; without a name it gets one of two words.

        Raises InvalidArgument, or AlreadyExists if another service has the name in any case of letters.
        """
        for attempt in range(MOST_TRIES):
            resolved, _ = resolve_networks(self._context.store, spec)
            service = self.new(resolved, registry_auth)
            check_existence(self._context.store, service.spec)
            try:
                await self._context.write([*self._networks.for_service(service.spec), Create(service)])
            except OutOfSequence:  # another call took the name (the next try says so) or the id
                if attempt == MOST_TRIES - 1:
                    raise
            else:
                return service.id
        raise AssertionError("unreachable")

    async def update(
        self, ref: str, version: int, spec: ServiceSpec, *, registry_auth: str = "", registry_auth_from: str = ""
    ) -> None:
        """Put another spec in force. ``version`` is the one the caller has read; raises OutOfSequence if it is old."""
        service = self._read(ref, version)
        spec, _ = resolve_networks(self._context.store, keep_own(service.spec, spec))
        check_ports(self._context.store, spec, service.id)
        check_service(spec)
        check_existence(self._context.store, spec)
        auth = registry_auth or revisions.auth_from(service, registry_auth_from)
        await self._write(revisions.updated(service, spec, auth, self._context.clock.wall(), author(self._context)))

    async def rollback(self, ref: str, version: int) -> None:
        """Put the previous spec in force. Raises FailedPrecondition if there is none, InvalidArgument if it
        needs a secret or config that was removed or a port that is another service's by now, NotFound if it needs a
        network that was removed.
        """
        service = self._read(ref, version)
        if service.previous_spec is not None:
            check_ports(self._context.store, service.previous_spec, service.id)
        check_existence(self._context.store, service.previous_spec)
        check_network_existence(self._context.store, service.previous_spec)
        await self._write(revisions.rolled_back(service, self._context.clock.wall(), author(self._context)))

    async def remove(self, ref: str) -> None:
        """Delete a service; its tasks follow by the deciders."""
        await self._context.write([Delete("service", self._context.store.service(ref).id)])

    def new(self, spec: ServiceSpec, registry_auth: str = "") -> Service:
        """A service that could be created now; nothing is written."""
        if not spec.name:
            spec = dataclasses.replace(spec, name=self._free_name())
        check_ports(self._context.store, spec)
        check_service(spec)
        name = spec.name or ""
        if self._context.store.services.count("name", name.lower()):
            raise AlreadyExists(f"name conflicts with an existing object: service {name} already exists")
        now, by = self._context.clock.wall(), author(self._context)
        return revisions.created(self._context.ids(), spec, registry_auth, now, by)

    async def _write(self, service: Service) -> None:
        """Write an update. What it refers to and was removed in this very moment is named, not the race."""
        try:
            await self._context.write([*self._networks.for_service(service.spec), Update(service)])
        except OutOfSequence:
            check_existence(self._context.store, service.spec)
            check_network_existence(self._context.store, service.spec)
            raise

    def _free_name(self) -> str:
        taken = self._context.store.services
        for _ in range(MOST_TRIES):
            name = two_words(self._context.ids.bytes)
            if not taken.count("name", name):
                return name
        return f"{name}_{self._context.ids()[:6]}"

    def _read(self, ref: str, version: int) -> Service:
        service = self._context.store.service(ref)
        if service.version != version:
            raise OutOfSequence
        return service
