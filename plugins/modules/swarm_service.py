# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_service
short_description: Run a service in a swarm
version_added: 0.1.0
description:
  - Creates, changes and removes a service, and waits until its tasks run as declared.
  - An option that is not given is left as it is. An option with the value null goes back to its default. Lists and
    dictionaries of values replace what was there; options of a dictionary with suboptions are merged.
  - Durations are texts such as V(10s), V(1m30s) or V(2h), sizes such as V(64M) or V(1.5G).
  - The task fails if the update pauses or is rolled back, and says why.
  - A job (O(mode=replicated-job) or O(mode=global-job)) is waited for until it has completed, and the task fails if it
    cannot complete any more. Each change of a job runs it again; O(force_update) with another number does just that.
  - The mode of a service cannot be changed. Remove the service first. A job takes neither O(update_config) nor
    O(rollback_config).
author:
  - The queenright contributors (@queenright)
extends_documentation_fragment:
  - queenright.swarm.attributes
  - queenright.swarm.attributes.group
  - queenright.swarm.socket
  - queenright.swarm.managers
  - queenright.swarm.service_options
  - queenright.swarm.wait
attributes:
  check_mode:
    support: full
    details:
      - The runtime plans the change and says what it would be. Where there is no swarm yet it is foreseen.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - Name of the service.
    type: str
    required: true
  state:
    description:
      - V(present) creates the service or brings it to what is declared, V(absent) removes it.
    type: str
    choices:
      - present
      - absent
    default: present
  registry:
    description:
      - Credentials with which the nodes pull the image. They are stored in the swarm and shown to nobody.
      - If not given, those that the service has are kept. With the value null they are forgotten, and the swarm's own
        apply (see M(queenright.swarm.swarm_registry)).
    type: dict
    suboptions:
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
      server:
        description:
          - Address of the registry. If not given, it is that of the image.
        type: str
  resolve_image:
    description:
      - When the tag of O(image) is made into the digest that it means at its registry now, so that all nodes run the
        same image. An image that has a digest is taken as it is; one whose registry cannot be asked keeps its tag, with
        a warning.
      - With V(changed) if the tag is another one than the service has, so that a tag that moves changes nothing; with
        V(always) each time, so that it does; with V(never) not at all.
    type: str
    choices:
      - changed
      - always
      - never
    default: changed
  wait:
    description:
      - Whether to wait until all tasks run as declared (those of a job to their end) or, with O(state=absent), until
        they are gone.
    type: bool
    default: true
seealso:
  - module: queenright.swarm.swarm_service_info
  - module: queenright.swarm.swarm_network
  - module: queenright.swarm.swarm_node
  - module: community.docker.docker_swarm_service
"""

EXAMPLES = r"""
- name: Run three replicas of a web server
  queenright.swarm.swarm_service:
    name: web
    image: nginx:1.27
    replicas: 3
    env:
      TZ: Europe/Berlin
    publish:
      - target_port: 80
        published_port: 8080
        mode: host
    limits:
      cpus: 0.5
      memory: 128M

- name: Run a shop that answers at port 80 of every node, and finds its store by name
  queenright.swarm.swarm_service:
    name: shop
    image: registry.example.com/shop:4
    replicas: 4
    networks:
      - name: mynet
        aliases: [front]
    publish:
      - target_port: 8000
        published_port: 80
        local_first: true
    update_config:
      order: start-first
    drain_timeout: 10s
    stop_grace_period: 30s

- name: Run its store, which is reached as store:6379 by the services on the network and by nobody else
  queenright.swarm.swarm_service:
    name: store
    image: redis:7
    networks:
      - name: mynet

- name: Scale the web server; everything else stays as it is
  queenright.swarm.swarm_service:
    name: web
    replicas: 5

- name: Take the memory limit away again
  queenright.swarm.swarm_service:
    name: web
    limits:
      memory: null

- name: Roll a new image out by two, and go back if it does not stay up
  queenright.swarm.swarm_service:
    name: web
    image: nginx:1.28
    update_config:
      parallelism: 2
      monitor: 10s
      failure_action: rollback

- name: Roll it out with care, so that a batch begins when all of the last one have run for half a minute
  queenright.swarm.swarm_service:
    name: web
    image: nginx:1.29
    update_config:
      parallelism: 2
      monitor: 30s
      gate: monitor
      timeout: 5m
      failure_action: rollback

- name: Give it a certificate's key and a configuration, both declared before
  queenright.swarm.swarm_service:
    name: web
    secrets:
      - secret_name: web_key
        filename: tls.key
        uid: "33"
        mode: "0400"
    configs:
      - config_name: nginx_conf
        filename: /etc/nginx/nginx.conf

- name: Run a job of ten parts, three at a time, and wait until all have completed
  queenright.swarm.swarm_service:
    name: import
    image: registry.example.com/import:3
    mode: replicated-job
    total_completions: 10
    max_concurrent: 3
    env:
      PART: "{{ '{{.Task.Slot}}' }}"
    restart_policy:
      condition: on-failure
      max_attempts: 3
    wait_timeout: 1800

- name: Tidy up once on every node, now and when another one joins
  queenright.swarm.swarm_service:
    name: tidy
    image: registry.example.com/tidy:1
    mode: global-job

- name: Run an agent on every worker
  queenright.swarm.swarm_service:
    name: agent
    image: registry.example.com/agent:7
    mode: global
    placement:
      constraints:
        - node.role == worker
    registry:
      username: puller
      password: "{{ vault_registry_password }}"

- name: Remove the web server
  queenright.swarm.swarm_service:
    name: web
    state: absent
"""

RETURN = r"""
service:
  description: The service's spec as the Engine API shows it; empty if it was removed.
  type: dict
  returned: success
  sample:
    Name: web
    Labels: {}
    TaskTemplate:
      ContainerSpec:
        Image: nginx:1.27@sha256:6784fb0834aa7dbbe12e3d7471e69c290df3e6ba810dc38b34ae33d3c1c05f7d
      Resources:
        Limits: {}
        Reservations: {}
      Placement: {}
      ForceUpdate: 0
      Runtime: container
    Mode:
      Replicated:
        Replicas: 3
id:
  description: The id of the service, empty if it would be created in check mode.
  type: str
  returned: success
  sample: x04xgc2oq3xhdcm35vcmymxqx
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample:
    - update service web
changes:
  description: The values that changed, by their path in the spec.
  type: dict
  returned: success
  sample:
    Mode.Replicated.Replicas:
      before: 3
      after: 5
progress:
  description: What the runtime said last while the task waited.
  type: dict
  returned: if O(wait=true), not in check mode
  sample:
    converged: true
    state: converged
    running: 5
    desired: 5
    update:
      state: completed
      message: update completed
    reasons: []
reasons:
  description: Why the service is not as declared, most important first.
  type: list
  elements: str
  returned: if waiting failed
  sample:
    - "task web.4 on node worker2: no such image: nginx:1.72"
manager:
  description: Inventory name of the manager that did it.
  type: str
  returned: if it was not the host of the task
  sample: manager1
foreseen:
  description: Whether the result is foreseen, because no manager could be asked yet. Only in check mode.
  type: bool
  returned: if it is
  sample: true
forecast:
  description:
    - What would become of tasks, as the swarm stands now. C(services) has an item for each service whose tasks would
      change, with C(name), the numbers of tasks C(created) and C(stopped), C(batches) (the slots that are renewed
      together, and after how many seconds at the earliest), C(serving) (how many serve C(before) and C(after), and the
      C(fewest) at any time), C(nodes) (how many tasks each gets) and C(unplaced) (slots for which there is no node, and
      why).
    - The same is said in short lines when diff mode is on.
  type: dict
  returned: in check or diff mode, if tasks change
  sample:
    complete: true
    services:
      - name: web
        created: 4
        stopped: 4
        serving:
          before: 4
          fewest: 2
          after: 4
        batches:
          - after: 0.0
            slots: ["1", "2"]
          - after: 6.0
            slots: ["3", "4"]
        nodes:
          node1: 2
          node2: 2
        unplaced: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._objects import service
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    MANAGERS_ARGUMENTS,
    SOCKET_ARGUMENTS,
    STATE_ARGUMENTS,
    WAIT_ARGUMENTS,
    run,
)
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import argument_spec
from ansible_collections.queenright.swarm.plugins.module_utils._spec.service import ServiceSpec

REGISTRY = {
    "username": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "server": {"type": "str"},
}


def main() -> None:
    arguments = dict(
        argument_spec(ServiceSpec),
        name={"type": "str", "required": True},
        registry={"type": "dict", "options": REGISTRY},
        resolve_image={"type": "str", "choices": ["changed", "always", "never"], "default": "changed"},
    )
    for more in (MANAGERS_ARGUMENTS, SOCKET_ARGUMENTS, STATE_ARGUMENTS, WAIT_ARGUMENTS):
        arguments.update(more)
    run(AnsibleModule(argument_spec=arguments, supports_check_mode=True), service)


if __name__ == "__main__":
    main()
