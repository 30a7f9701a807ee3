# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_runtime
short_description: Install, upgrade or remove the queenright runtime on a host
version_added: 0.1.0
description:
  - Puts the runtime C(queenright) on a host, in a virtual environment of its own below C(/opt/queenright/releases),
    and starts its service.
  - The runtime needs Python 3.11 or later on the host. The module looks for one and fails before any change where there
    is none. Ansible itself may use another Python.
  - Containers keep running while the runtime is upgraded, restarted or removed.
  - A manager is restarted only while the others are a majority without it, and it has to agree with them again before
    the task ends; see O(keep_quorum). So managers are to be upgraded one after another, with C(throttle=1) on the task or
    C(serial=1) on the play. The role P(queenright.swarm.runtime#role) does that.
  - The module has an action plugin of the same name, which brings the runtime's wheel from the controller to the host.
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  socket:
    description:
      - Path of the socket that the runtime shall listen on.
    type: path
    default: /run/queenright/engine.sock
  state:
    description:
      - V(present) installs this collection's version of the runtime, or another one given by O(wheel).
      - V(absent) removes it. This is refused while the host is in a swarm; see M(queenright.swarm.swarm_leave).
    type: str
    choices: [present, absent]
    default: present
  purge:
    description:
      - With O(state=absent), remove C(/var/lib/queenright) and C(/etc/queenright) as well.
    type: bool
    default: false
  wheel:
    description:
      - Path on the controller of a wheel to install instead of the collection's own.
    type: path
  python:
    description:
      - Path on the host of the Python to make the virtual environment with. By default the newest that will do is found.
    type: path
  wheelhouse:
    description:
      - Directory with wheels of the runtime's dependencies. If it is given, no index is asked. Wheels for several versions
        of Python may lie in it.
      - The playbook C(queenright.swarm.wheelhouse) makes one.
    type: path
  wheelhouse_remote:
    description:
      - Whether O(wheelhouse) is a directory on the host. Otherwise it is one on the controller, and its files are copied.
    type: bool
    default: false
  index_url:
    description:
      - Package index to install the dependencies from, instead of the one that pip on the host is configured for.
      - One dependency has no wheel on PyPI; pip makes it on the host, and may ask the index for C(setuptools) to do so.
        No compiler is needed.
    type: str
  extra_index_urls:
    description:
      - Further package indexes.
    type: list
    elements: str
    default: []
  index_ca_cert:
    description:
      - File on the host with the certificates to trust for the index.
    type: path
  proxy:
    description:
      - Proxy for the index, such as V(http://proxy.example.com:3128).
    type: str
  settings:
    description:
      - Settings of the daemon, written to C(/etc/queenright/config.toml). C(queenright config) shows what is known.
        Among them is C(prefer_local_images), with which images that the node has are used without asking their
        registry.
      - If not given, an existing file is left as it is.
    type: dict
  service_manager:
    description:
      - How the daemon is started. V(auto) takes systemd where it runs, else an init script. V(none) leaves it to you.
    type: str
    choices: [auto, systemd, sysv, none]
    default: auto
  docker_context:
    description:
      - Make a context C(swarm) for root's docker command line, where there is one, so that C(docker --context swarm)
        speaks to the runtime. A context of that name which somebody else made is left alone.
    type: bool
    default: true
  mesh:
    description:
      - Prepare the host for overlay networks and published ports. Where NetworkManager or systemd-networkd runs, it is told
        by a file to leave the links of networks (C(sw-*), C(svx-*), C(svb-*) and C(swgw0)) alone. RV(network_packages)
        names packages that are wanting; the role P(queenright.swarm.runtime#role) installs them.
      - A swarm that publishes ports on the nodes of tasks only, and has no networks, needs none of it.
    type: bool
    default: true
  activate:
    description:
      - Whether to use the release, after it was installed. Otherwise that is all that is done; no service is touched, so
        that it can be done on all hosts at once, and a later run has only to switch.
    type: bool
    default: true
  keep_quorum:
    description:
      - Do not restart a manager while the swarm would have no quorum without it. The others are waited for as long as
        O(ready_timeout) says, then the task fails before anything is changed.
      - It does not apply to a swarm of one or two managers, nor if there is no quorum anyway.
    type: bool
    default: true
  keep_releases:
    description:
      - Releases that are kept, the one in use included.
    type: int
    default: 2
  ready_timeout:
    description:
      - Seconds to wait for the daemon to answer after it was started. If a new release does not answer, the host goes
        back to the release before.
    type: int
    default: 60
  unlock_key:
    description:
      - The unlock key of the swarm. A manager that needs it after it was restarted by this task is given it. Without it,
        the task says in a warning that the manager is locked.
    type: str
  bundle:
    description:
      - Set by the action plugin, which describes the wheel of the controller. Not for playbooks.
    type: dict
    suboptions:
      release:
        description: Name of the release.
        type: str
        required: true
      digest:
        description: SHA-256 of the wheel.
        type: str
        required: true
      path:
        description: Where the wheel lies on the host, once it was copied.
        type: path
      wheelhouse:
        description: Where a tar file with the wheels of the dependencies lies on the host, once it was copied.
        type: path
requirements:
  - Python 3.11 or later with its module venv on the host (Debian and Ubuntu have it in the package python3-venv).
  - systemd, or an init that runs scripts in C(/etc/init.d).
seealso:
  - module: queenright.swarm.swarm_init
  - module: queenright.swarm.swarm_join
"""

EXAMPLES = r"""
- name: Install the runtime
  queenright.swarm.swarm_runtime:

- name: Install it without an index, from wheels on the controller
  queenright.swarm.swarm_runtime:
    wheelhouse: "{{ playbook_dir }}/wheelhouse"

- name: Install it on a host of a swarm that has no use for networks
  queenright.swarm.swarm_runtime:
    mesh: false

- name: Remove it with all it kept
  queenright.swarm.swarm_runtime:
    state: absent
    purge: true
"""

RETURN = r"""
release:
  description: Name of the release in use, empty after a removal.
  returned: success
  type: str
  sample: 0.1.0
python:
  description: Version of the Python that runs the runtime, empty after a removal.
  returned: success
  type: str
  sample: 3.11.2
actions:
  description: What was done, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [install release 0.1.0, start the service]
python_packages:
  description: Packages of the distribution that bring a Python that will do, where none was found.
  returned: failure for want of a Python
  type: list
  elements: str
  sample: [python3-venv]
network_packages:
  description: Packages that overlay networks and published ports need and the host lacks. Nothing else needs them.
  returned: success
  type: list
  elements: str
  sample: [nftables]
leads:
  description: Whether the host is the manager that leads the others, as the task ends.
  returned: success
  type: bool
  sample: false
needs_wheel:
  description: Whether the action plugin has to bring the wheel.
  returned: success
  type: bool
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import DEFAULT_SOCKET
from ansible_collections.queenright.swarm.plugins.module_utils._install import InstallError
from ansible_collections.queenright.swarm.plugins.module_utils._python import PythonMissingError
from ansible_collections.queenright.swarm.plugins.module_utils._runtime_host import RuntimeHost


def main():
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "default": DEFAULT_SOCKET},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "purge": {"type": "bool", "default": False},
            "wheel": {"type": "path"},
            "python": {"type": "path"},
            "wheelhouse": {"type": "path"},
            "wheelhouse_remote": {"type": "bool", "default": False},
            "index_url": {"type": "str"},
            "extra_index_urls": {"type": "list", "elements": "str", "default": []},
            "index_ca_cert": {"type": "path"},
            "proxy": {"type": "str"},
            "settings": {"type": "dict"},
            "service_manager": {"type": "str", "choices": ["auto", "systemd", "sysv", "none"], "default": "auto"},
            "docker_context": {"type": "bool", "default": True},
            "mesh": {"type": "bool", "default": True},
            "activate": {"type": "bool", "default": True},
            "keep_quorum": {"type": "bool", "default": True},
            "keep_releases": {"type": "int", "default": 2},
            "ready_timeout": {"type": "int", "default": 60},
            "unlock_key": {"type": "str", "no_log": True},
            "bundle": {
                "type": "dict",
                "options": {
                    "release": {"type": "str", "required": True},
                    "digest": {"type": "str", "required": True},
                    "path": {"type": "path"},
                    "wheelhouse": {"type": "path"},
                },
            },
        },
        supports_check_mode=True,
    )
    try:
        result = RuntimeHost(module).run()
    except PythonMissingError as error:
        module.fail_json(msg=str(error), python_packages=error.packages)
    except InstallError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
