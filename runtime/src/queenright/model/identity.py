# SPDX-License-Identifier: Apache-2.0
"""Who a certificate says that its holder is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Role = Literal["worker", "manager"]

# The organisational unit in the certificate, which is also a DNS name a client can ask for.
UNIT_OF_ROLE: dict[Role, str] = {"worker": "swarm-worker", "manager": "swarm-manager"}
ROLE_OF_UNIT: dict[str, Role] = {unit: role for role, unit in UNIT_OF_ROLE.items()}

# Managers answer to this name as well: the server name of the join listener.
CA_SERVER_NAME = "swarm-ca"


@dataclass(frozen=True, slots=True)
class Identity:
    """The content of a node certificate that matters: ``serial`` in lower-case hexadecimal, times in UTC.

    What the certificate says, not what holds: the role that counts is the one in the store.
    """

    node_id: str
    cluster_id: str
    role: Role
    serial: str
    not_before: datetime
    not_after: datetime
