# SPDX-License-Identifier: Apache-2.0
"""Which specification of a service its tasks go by now.

A service of a stack may have to wait for others (``Service.awaits``). Its new specification stands in it already, with
the ports and names that it holds, but its tasks go by the one before: they stay, and those that end are replaced by
their like.
"""

from __future__ import annotations

import dataclasses

from queenright.model.objects import Service


def in_force(service: Service) -> Service | None:
    """The service as its tasks shall see it; None for one whose first specification waits, so that it has no tasks.

    It is for looking at, never to be written. It keeps ``awaits``, and has no update: what that had done, stays.
    """
    if not service.awaits:
        return service
    if service.previous_spec is None:
        return None
    return dataclasses.replace(
        service,
        spec=service.previous_spec,
        spec_version=service.previous_spec_version,
        previous_spec=None,
        previous_spec_version=0,
        registry_auth=service.previous_registry_auth,
        previous_registry_auth="",
        update_status=None,
        job_iteration=max(0, service.job_iteration - 1),
    )


def reached_by(service: Service) -> Service:
    """The service as others reach it now: by the ports and networks of what runs, and else of what is to run."""
    return in_force(service) or service
