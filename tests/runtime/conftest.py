# SPDX-License-Identifier: Apache-2.0
"""For all rooms: generated examples may take the time a busy machine gives them."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("patient")
