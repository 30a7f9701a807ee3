# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # What secrets and configs have in common: data that never changes, and versions of it.
    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the object. It is that of its first version; later ones are called V(name.v2), V(name.v3) and so on.
      - Required unless O(prune=true).
    type: str
  state:
    description:
      - V(present) creates the object or a new version of it, V(absent) removes all its versions. What a service uses
        is not removed, and the task fails.
      - With V(absent) and the name of a later version, such as V(name.v2), just that one is removed.
    type: str
    choices:
      - present
      - absent
    default: present
  data:
    description:
      - The data. Where it is not what is stored, a new version is made.
      - Needed to create the object. If neither this nor O(src) is given, the data stays as it is.
    type: str
  data_is_b64:
    description:
      - Whether O(data) is base64, as data that is no text must be.
    type: bool
    default: false
  src:
    description:
      - File on the controller that holds the data, byte for byte. It may be encrypted with Ansible Vault.
    type: path
  roll:
    description:
      - Whether services that use an older version are moved to the newest one, by their own update configuration.
      - If not, they stay until they are declared again with M(queenright.swarm.swarm_service), which then takes the
        newest version. So one update changes the data and whatever else is new.
      - Services that were declared with the name or id of an older version are moved too. Where one shall stay on it,
        set this to V(false).
      - Jobs are not moved, for they would be run again.
    type: bool
    default: true
  versions_to_keep:
    description:
      - When a new version is made, how many older versions that nobody needs are kept. The others are removed.
      - Versions that a service uses, or could be rolled back to, do not count and are never removed.
    type: int
    default: 2
  prune:
    description:
      - Whether to remove whatever nobody needs too, of any name, after O(name) is as declared.
      - The newest version of O(name) stays, used or not. Under other names the newest version is removed too if no
        service uses it yet. So prune after the services are declared, or say with O(prune_filters) what may go.
    type: bool
    default: false
  prune_filters:
    description:
      - What O(prune=true) may remove at all.
    type: dict
    suboptions:
      labels:
        description:
          - Only those with all of these labels, each V(key) or V(key=value).
        type: list
        elements: str
      without_labels:
        description:
          - Only those without any of these labels, each V(key) or V(key=value).
        type: list
        elements: str
      until:
        description:
          - Only those created before this time, such as V(2026-05-04T12:00:00Z), or longer ago than V(24h).
        type: str
"""
