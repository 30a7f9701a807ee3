# SPDX-License-Identifier: Apache-2.0
"""For all rooms: generated examples may take the time a busy machine gives them.

The same examples in every run, so that a change is never blamed for what another one did; `scripts/test --long`
looks for new ones (``--hypothesis-profile=explore``).
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

settings.register_profile("explore", PATIENT)
settings.register_profile("patient", PATIENT, derandomize=True, database=None)
settings.load_profile("patient")
