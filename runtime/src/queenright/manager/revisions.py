# SPDX-License-Identifier: Apache-2.0
"""How one revision of a service follows another: create, update, roll back. Pure functions."""

from __future__ import annotations

import dataclasses

from queenright.decide.defaults import same_service
from queenright.model.errors import FailedPrecondition, InvalidArgument, Unimplemented
from queenright.model.objects import Service, UpdateStatus
from queenright.model.states import UpdateState
from queenright.spec.fields import encode
from queenright.spec.service import REPLICATED, ServiceSpec

AUTH_FROM_SPEC = "spec"
AUTH_FROM_PREVIOUS = "previous-spec"


def next_spec_version(service: Service) -> int:
    """A number that no task of this service carries yet, whatever was rolled back before."""
    return max(service.spec_version, service.previous_spec_version) + 1


def check_followable(service: Service, spec: ServiceSpec) -> None:
    """Refuse what cannot change in a living service: its name and its mode."""
    if (spec.name or "") != service.name:
        raise Unimplemented("renaming services is not supported")
    if (spec.mode.kind or REPLICATED) != (service.spec.mode.kind or REPLICATED):
        raise Unimplemented("service mode change is not allowed")


def created(service_id: str, spec: ServiceSpec, registry_auth: str, now: int, by: str = "") -> Service:
    """A new service; a job begins its first iteration. ``now``: wall nanoseconds; ``by``: who asks, in words."""
    return _again(Service(id=service_id, spec=spec, registry_auth=registry_auth, changed_by=by), now)


def updated(service: Service, spec: ServiceSpec, registry_auth: str, now: int, by: str = "") -> Service:
    """The service with ``spec`` in force. ``now``: wall nanoseconds; ``by``: who asks, in words.

    A spec that says the same, in whatever words, leaves the revision and the one to roll back to as they are, but takes
    a paused update up again. A job is run again by each update, also by one that says the same.
    """
    check_followable(service, spec)
    service = service if service.awaits else _again(service, now)
    if same_service(spec, service.spec):
        by = by if encode(spec) != encode(service.spec) else service.changed_by
        return dataclasses.replace(service, spec=spec, update_status=None, registry_auth=registry_auth, changed_by=by)
    if service.awaits:  # the specification before has never been in force, what runs is still the one before that
        number = next_spec_version(service)
        service = dataclasses.replace(service, spec_version=number, update_status=None, changed_by=by)
        return dataclasses.replace(service, spec=spec, registry_auth=registry_auth)
    return dataclasses.replace(
        service,
        spec=spec,
        spec_version=next_spec_version(service),
        previous_spec=service.spec,
        previous_spec_version=service.spec_version,
        update_status=None,
        registry_auth=registry_auth,
        previous_registry_auth=service.registry_auth,
        changed_by=by,
    )


def rolled_back(service: Service, now: int, by: str = "") -> Service:
    """The service with its previous spec in force, and the present one kept as previous. ``now``: wall nanoseconds;
    ``by``: who asks, in words.
    """
    if service.previous_spec is None:
        raise FailedPrecondition(f"service {service.id} does not have a previous spec")
    status = UpdateStatus(state=UpdateState.ROLLBACK_STARTED, started_at=now, message="manually requested rollback")
    return dataclasses.replace(
        _again(service, now),
        spec=service.previous_spec,
        spec_version=next_spec_version(service),
        previous_spec=service.spec,
        previous_spec_version=service.spec_version,
        update_status=None if service.spec.mode.is_job else status,
        registry_auth=service.previous_registry_auth,
        previous_registry_auth=service.registry_auth,
        changed_by=by,
    )


def _again(service: Service, now: int) -> Service:
    """The service with a further iteration begun, if it is a job."""
    if not service.spec.mode.is_job:
        return service
    return dataclasses.replace(service, job_iteration=service.job_iteration + 1, last_execution=now)


def auth_from(service: Service, source: str) -> str:
    """The pull credentials of an update that brings none: ``source`` as in ``registryAuthFrom``."""
    if source in ("", AUTH_FROM_SPEC):
        return service.registry_auth
    if source != AUTH_FROM_PREVIOUS:
        raise InvalidArgument("unsupported registryAuthFrom value", plain=True)
    if service.previous_spec is None:
        raise InvalidArgument("service does not have a previous spec", plain=True)
    return service.previous_registry_auth
