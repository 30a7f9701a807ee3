# SPDX-License-Identifier: Apache-2.0
"""The options of services, nodes and swarms: the same files the Ansible modules read.

Every module in here is a symbolic link to ``plugins/module_utils/_spec``; edit it there. The files also run on
the managed hosts' own interpreter, so: standard library only, Python 3.8 syntax, no import of any other room.
"""

from __future__ import annotations
