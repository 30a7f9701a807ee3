# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the stack. What it has is called C(<name>_<key>).
    type: str
    required: true
  state:
    description:
      - V(present) brings the stack to what is declared, all of it in one write or nothing.
      - V(absent) removes it with all that it has.
      - V(rolled_back) puts the revision before the present one in force, or O(revision).
    type: str
    choices:
      - present
      - absent
      - rolled_back
    default: present
  revision:
    description:
      - Number of the revision to put in force with O(state=rolled_back).
    type: int
  labels:
    description:
      - Labels of the stack itself.
    type: dict
  prune:
    description:
      - Whether what the source names no longer is removed. Services go at once; networks, secrets and configs as soon as nothing uses
        them. By default it is.
    type: bool
  keep:
    description:
      - How many former revisions are kept, to go back to. V(5) by default.
    type: int
  on_failure:
    description:
      - What becomes of the stack if one of its services cannot be made what it shall be. V(rollback) puts the whole stack back to the
        revision before, V(pause) leaves it as it is. A stack without a revision before it pauses. V(rollback) by default.
    type: str
    choices:
      - rollback
      - pause
  timeout:
    description:
      - Time that a service has to become what it shall be, such as V(5m); V(0s) for ever. V(15m) by default.
    type: str
  resolve_image:
    description:
      - When the tag of an image is made into the digest that it means at its registry now.
      - With V(changed) if the tag is another one than the service has, with V(always) each time, with V(never) not at all.
    type: str
    choices:
      - changed
      - always
      - never
    default: changed
  registries:
    description:
      - Credentials for the registries of the images. Without them the swarm's own apply (see M(queenright.swarm.swarm_registry)).
    type: list
    elements: dict
    suboptions:
      server:
        description:
          - Address of the registry.
        type: str
        required: true
      username:
        description:
          - Name of the user.
        type: str
        required: true
      password:
        description:
          - Password or access token of the user.
        type: str
        required: true
  note:
    description:
      - Words on this revision, kept with it.
    type: str
  git_revision:
    description:
      - Commit that declares it, kept with the revision. By default the one that is checked out where the playbook is.
    type: str
  user:
    description:
      - Who declares it, kept with the revision. By default the user who runs Ansible.
    type: str
  playbook:
    description:
      - Playbook that declares it, kept with the revision. By default the name of the one that runs.
    type: str
  contents:
    description:
      - Data that is shown nowhere, in base64. The task fills it with the files that are named on the controller, and with the data of
        secrets and configs.
    type: dict
"""
