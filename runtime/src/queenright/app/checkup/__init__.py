# SPDX-License-Identifier: Apache-2.0
"""Whether a host is fit for a swarm: the files of ``plugins/module_utils/_checkup``, which the modules use as well.

Standard library only: a host is looked at before anything is installed on it.
"""

from __future__ import annotations
