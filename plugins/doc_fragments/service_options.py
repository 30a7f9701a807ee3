# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Written by scripts/docs from plugins/module_utils/_spec: change the rows there.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  labels:
    description:
      - >-
        Labels of the service. Labels of its containers are O(container_labels).
    type: dict
  image:
    description:
      - >-
        Reference of the image, such as V(nginx:1.27) or V(repo/app@sha256:...).
    type: str
  container_labels:
    description:
      - >-
        Labels of the containers. Labels of the service are O(labels).
    type: dict
  command:
    description:
      - >-
        Program to run instead of the image's entrypoint.
    type: list
    elements: str
  args:
    description:
      - >-
        Arguments instead of the image's command.
    type: list
    elements: str
  hostname:
    description:
      - >-
        Host name inside the container.
    type: str
  env:
    description:
      - >-
        Environment, as a dictionary or as a list of V(NAME=value).
    type: raw
  working_dir:
    description:
      - >-
        Directory in which the program starts.
    type: str
  user:
    description:
      - >-
        User the program runs as, V(name), V(uid) or V(uid:gid).
    type: str
  groups:
    description:
      - >-
        Additional groups of the program.
    type: list
    elements: str
  privileges:
    description:
      - >-
        What the container may do beyond the default.
    type: dict
    suboptions:
      selinux:
        description:
          - >-
            SELinux labels of the container.
        type: dict
        suboptions:
          disable:
            description:
              - >-
                Switch SELinux separation off for the container.
            type: bool
          user:
            description:
              - >-
                SELinux user label.
            type: str
          role:
            description:
              - >-
                SELinux role label.
            type: str
          type:
            description:
              - >-
                SELinux type label.
            type: str
          level:
            description:
              - >-
                SELinux level label.
            type: str
      seccomp:
        description:
          - >-
            Seccomp profile of the container.
        type: dict
        suboptions:
          mode:
            description:
              - >-
                Which seccomp profile applies.
            type: str
            choices:
              - default
              - unconfined
              - custom
          profile:
            description:
              - >-
                The custom profile, base64 of its JSON.
            type: str
      apparmor:
        description:
          - >-
            AppArmor profile of the container.
        type: dict
        suboptions:
          mode:
            description:
              - >-
                Whether the Engine's AppArmor profile applies.
            type: str
            choices:
              - default
              - disabled
      no_new_privileges:
        description:
          - >-
            Keep processes from gaining privileges.
        type: bool
  init:
    description:
      - >-
        Run a small init as process 1 that reaps children.
      - >-
        If it was never set, V(false) applies.
    type: bool
  stop_signal:
    description:
      - >-
        Signal that asks the program to end.
      - >-
        If it was never set, the image's signal, else SIGTERM applies.
    type: str
  tty:
    description:
      - >-
        Give the program a terminal.
    type: bool
  open_stdin:
    description:
      - >-
        Keep standard input open.
    type: bool
  read_only:
    description:
      - >-
        Mount the container's root read-only.
    type: bool
  mounts:
    description:
      - >-
        What is mounted into the container.
    type: list
    elements: dict
    suboptions:
      target:
        description:
          - >-
            Absolute path inside the container.
        type: str
        required: true
      source:
        description:
          - >-
            Path on the node (bind) or name of the volume; none makes an anonymous volume.
        type: str
      type:
        description:
          - >-
            Kind of the mount.
          - >-
            If it was never set, V(volume) applies.
        type: str
        choices:
          - bind
          - volume
          - tmpfs
      read_only:
        description:
          - >-
            Mount it read-only.
        type: bool
      bind:
        description:
          - >-
            Options of a bind mount.
        type: dict
        suboptions:
          propagation:
            description:
              - >-
                How mounts below the bind are passed on.
            type: str
            choices:
              - private
              - rprivate
              - shared
              - rshared
              - slave
              - rslave
          non_recursive:
            description:
              - >-
                Bind only the directory itself, not what is mounted below it.
            type: bool
          create_mountpoint:
            description:
              - >-
                Create the source directory where it is missing.
            type: bool
          read_only_non_recursive:
            description:
              - >-
                Of a read-only mount, leave what is mounted below it writable.
            type: bool
          read_only_force_recursive:
            description:
              - >-
                Of a read-only mount, fail where what is mounted below it cannot be made read-only.
            type: bool
          relabel:
            description:
              - >-
                Give the source an SELinux label that all containers (V(shared)) or one container (V(private))
                may use.
            type: str
            choices:
              - shared
              - private
      volume:
        description:
          - >-
            Options of a volume mount.
        type: dict
        suboptions:
          no_copy:
            description:
              - >-
                Do not fill a new volume with the image's files at the target.
            type: bool
          labels:
            description:
              - >-
                Labels of a volume created for this mount.
            type: dict
          subpath:
            description:
              - >-
                Path inside the volume to mount instead of its root.
            type: str
          driver:
            description:
              - >-
                Driver of a volume created for this mount.
            type: dict
            suboptions:
              name:
                description:
                  - >-
                    Name of the volume driver.
                type: str
              options:
                description:
                  - >-
                    Options of the volume driver.
                type: dict
      tmpfs:
        description:
          - >-
            Options of a tmpfs mount.
        type: dict
        suboptions:
          size:
            description:
              - >-
                Size of the tmpfs, such as V(64M).
              - >-
                If it was never set, no limit applies.
            type: str
          mode:
            description:
              - >-
                Permissions of the tmpfs root as an integer.
            type: int
          options:
            description:
              - >-
                Options of the mount, such as V(noexec) or V(uid=1000).
            type: list
            elements: str
  stop_grace_period:
    description:
      - >-
        Time between the stop signal and the kill.
      - >-
        If it was never set, 10s applies.
    type: str
  healthcheck:
    description:
      - >-
        How the container's health is probed.
      - >-
        If it was never set, the image's probe applies.
    type: dict
    suboptions:
      test:
        description:
          - >-
            The probe, V([CMD, program, arg]), V([CMD-SHELL, command line]) or V([NONE]) for no probe.
        type: list
        elements: str
      interval:
        description:
          - >-
            Time between two probes.
          - >-
            If it was never set, 30s applies.
        type: str
      timeout:
        description:
          - >-
            Time after which a probe counts as failed.
          - >-
            If it was never set, 30s applies.
        type: str
      retries:
        description:
          - >-
            Failures in a row that make the container unhealthy.
          - >-
            If it was never set, 3 applies.
        type: int
      start_period:
        description:
          - >-
            Time at the start in which failures do not count.
        type: str
      start_interval:
        description:
          - >-
            Time between two probes within the start period.
        type: str
  hosts:
    description:
      - >-
        Lines of /etc/hosts, each V(ADDRESS NAME).
    type: list
    elements: str
  dns:
    description:
      - >-
        Addresses of name servers.
    type: list
    elements: str
  dns_search:
    description:
      - >-
        Search domains of the resolver.
    type: list
    elements: str
  dns_options:
    description:
      - >-
        Options of the resolver.
    type: list
    elements: str
  sysctls:
    description:
      - >-
        Kernel parameters of the container's namespaces.
    type: dict
  cap_add:
    description:
      - >-
        Capabilities to add.
    type: list
    elements: str
  cap_drop:
    description:
      - >-
        Capabilities to drop.
    type: list
    elements: str
  ulimits:
    description:
      - >-
        Resource limits of processes.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - >-
            Name of the limit, such as V(nofile).
        type: str
        required: true
      soft:
        description:
          - >-
            Soft limit.
        type: int
        required: true
      hard:
        description:
          - >-
            Hard limit.
        type: int
        required: true
  oom_score_adj:
    description:
      - >-
        How readily the kernel ends the container when memory is short.
    type: int
  secrets:
    description:
      - >-
        Secrets that the containers can read as files.
    type: list
    elements: dict
    suboptions:
      secret_id:
        description:
          - >-
            Id of the secret, where it shall be just that one.
          - >-
            If it was never set, that of the newest version of O(secrets[].secret_name) applies.
        type: str
      secret_name:
        description:
          - >-
            Name of the secret as M(queenright.swarm.swarm_secret) declares it, which means its newest
            version. With the name of a later version, such as V(app.v2), it is just that one, until that
            module moves the service to the newest one.
        type: str
        required: true
      filename:
        description:
          - >-
            Name of the file below /run/secrets (a secret) or below the root (a config), or an absolute path.
          - >-
            If it was never set, the object's name, without its version applies.
        type: str
      uid:
        description:
          - >-
            Owner of the file as a number.
          - >-
            If it was never set, 0 applies.
        type: str
      gid:
        description:
          - >-
            Group of the file as a number.
          - >-
            If it was never set, 0 applies.
        type: str
      mode:
        description:
          - >-
            Permissions of the file, as a number or as octal digits in quotes.
          - >-
            If it was never set, 0444 applies.
        type: raw
  configs:
    description:
      - >-
        Configs that the containers can read as files.
    type: list
    elements: dict
    suboptions:
      config_id:
        description:
          - >-
            Id of the config, where it shall be just that one.
          - >-
            If it was never set, that of the newest version of O(configs[].config_name) applies.
        type: str
      config_name:
        description:
          - >-
            Name of the config as M(queenright.swarm.swarm_config) declares it, which means its newest
            version. With the name of a later version, such as V(app.v2), it is just that one, until that
            module moves the service to the newest one.
        type: str
        required: true
      filename:
        description:
          - >-
            Name of the file below /run/secrets (a secret) or below the root (a config), or an absolute path.
          - >-
            If it was never set, the object's name, without its version applies.
        type: str
      uid:
        description:
          - >-
            Owner of the file as a number.
          - >-
            If it was never set, 0 applies.
        type: str
      gid:
        description:
          - >-
            Group of the file as a number.
          - >-
            If it was never set, 0 applies.
        type: str
      mode:
        description:
          - >-
            Permissions of the file, as a number or as octal digits in quotes.
          - >-
            If it was never set, 0444 applies.
        type: raw
  limits:
    description:
      - >-
        What a container may use at most.
    type: dict
    suboptions:
      cpus:
        description:
          - >-
            CPUs a container may use at most, such as V(0.5).
          - >-
            If it was never set, no limit applies.
        type: float
      memory:
        description:
          - >-
            Memory a container may use at most, such as V(256M).
          - >-
            If it was never set, no limit applies.
        type: str
      pids:
        description:
          - >-
            Processes a container may have at most.
          - >-
            If it was never set, no limit applies.
        type: int
  reservations:
    description:
      - >-
        What a node must have free to be given a task.
    type: dict
    suboptions:
      cpus:
        description:
          - >-
            CPUs that a node must have free for a task.
        type: float
      memory:
        description:
          - >-
            Memory that a node must have free for a task.
        type: str
      generic_resources:
        description:
          - >-
            Other resources that a node must have free for a task.
        type: list
        elements: dict
        suboptions:
          kind:
            description:
              - >-
                Kind of the resource, as the nodes call it.
            type: str
            required: true
          value:
            description:
              - >-
                How many a task needs.
            type: int
            required: true
  swap:
    description:
      - >-
        Swap a container may use beside its memory, such as V(64M); V(-1) is no limit. It needs a limit of
        memory.
    type: str
  memory_swappiness:
    description:
      - >-
        How readily the kernel swaps the container's memory out, V(0) to V(100); V(-1) is the node's own.
    type: int
  restart_policy:
    description:
      - >-
        When and how a task that ended is replaced.
    type: dict
    suboptions:
      condition:
        description:
          - >-
            After which ends a task is replaced.
          - >-
            If it was never set, V(any) applies.
        type: str
        choices:
          - 'none'
          - on-failure
          - any
      delay:
        description:
          - >-
            Time before the replacement starts; none when the node is down.
          - >-
            If it was never set, 5s applies.
        type: str
      max_attempts:
        description:
          - >-
            Replacements per slot at most; V(0) is no limit.
          - >-
            If it was never set, V(0) applies.
        type: int
      window:
        description:
          - >-
            Time over which attempts are counted; V(0s) is for ever.
          - >-
            If it was never set, V(0s) applies.
        type: str
  placement:
    description:
      - >-
        On which nodes tasks may run.
    type: dict
    suboptions:
      constraints:
        description:
          - >-
            Conditions a node must meet, such as V(node.labels.zone == a). All must hold.
        type: list
        elements: str
      preferences:
        description:
          - >-
            Labels, such as V(node.labels.rack), to spread over, first to last.
        type: list
        elements: dict
        suboptions:
          spread:
            description:
              - >-
                Label whose values are filled evenly.
            type: str
            required: true
      max_replicas_per_node:
        description:
          - >-
            Tasks of the service per node at most; V(0) is no limit.
        type: int
      platforms:
        description:
          - >-
            Platforms the image exists for.
        type: list
        elements: dict
        suboptions:
          architecture:
            description:
              - >-
                Architecture, such as V(x86_64) or V(amd64).
            type: str
          os:
            description:
              - >-
                Operating system, such as V(linux).
            type: str
  logging:
    description:
      - >-
        Where the containers' output goes.
    type: dict
    suboptions:
      driver:
        description:
          - >-
            Name of the log driver.
        type: str
      options:
        description:
          - >-
            Options of the log driver.
        type: dict
  networks:
    description:
      - >-
        Networks the containers are attached to: networks of the swarm (see
        M(queenright.swarm.swarm_network)), or V(bridge) or V(host) of each node.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - >-
            Name or id of the network.
        type: str
        required: true
      aliases:
        description:
          - >-
            Further names of the service on that network.
        type: list
        elements: str
      driver_opts:
        description:
          - >-
            Options for the network's driver.
        type: dict
  force_update:
    description:
      - >-
        A counter; changing it replaces all tasks though nothing else changed.
    type: int
  mode:
    description:
      - >-
        Whether the service runs O(replicas) tasks or one on each node, or is a job: O(total_completions)
        tasks, or one on each node, that run to their end.
      - >-
        If it was never set, V(replicated) applies.
    type: str
    choices:
      - replicated
      - global
      - replicated-job
      - global-job
  replicas:
    description:
      - >-
        Number of tasks of a replicated service.
      - >-
        If it was never set, V(1) applies.
    type: int
  max_concurrent:
    description:
      - >-
        Tasks of a replicated job that run at the same time.
      - >-
        If it was never set, 1 applies.
    type: int
  total_completions:
    description:
      - >-
        Tasks of a replicated job that shall complete.
      - >-
        If it was never set, O(max_concurrent) applies.
    type: int
  update_config:
    description:
      - >-
        How a change is rolled out.
    type: dict
    suboptions:
      parallelism:
        description:
          - >-
            Tasks replaced at the same time; V(0) is all.
          - >-
            If it was never set, V(1) applies.
        type: int
      delay:
        description:
          - >-
            Pause between two groups.
          - >-
            If it was never set, V(0s) applies.
        type: str
      failure_action:
        description:
          - >-
            What happens when too many new tasks fail.
          - >-
            If it was never set, V(pause) applies.
        type: str
        choices:
          - pause
          - continue
          - rollback
      monitor:
        description:
          - >-
            Time after its start in which the end of a new task counts as a failure.
          - >-
            If it was never set, 5s applies.
        type: str
      max_failure_ratio:
        description:
          - >-
            Share of failed tasks, 0 to 1, that is borne.
          - >-
            If it was never set, V(0) applies.
        type: float
      order:
        description:
          - >-
            Whether the old task is stopped before the new one starts.
          - >-
            If it was never set, V(stop-first) applies.
        type: str
        choices:
          - stop-first
          - start-first
      gate:
        description:
          - >-
            What the next group waits for, that the tasks of a group are running (V(running)) or that they
            have been for the monitor time (V(monitor)).
          - >-
            If it was never set, V(running) applies.
        type: str
        choices:
          - running
          - monitor
      timeout:
        description:
          - >-
            Time after which a new task that is not running counts as failed; V(0s) is never.
          - >-
            If it was never set, 15m applies.
        type: str
  rollback_config:
    description:
      - >-
        How a change is taken back.
    type: dict
    suboptions:
      parallelism:
        description:
          - >-
            Tasks replaced at the same time; V(0) is all.
          - >-
            If it was never set, V(1) applies.
        type: int
      delay:
        description:
          - >-
            Pause between two groups.
          - >-
            If it was never set, V(0s) applies.
        type: str
      failure_action:
        description:
          - >-
            What happens when too many new tasks fail.
          - >-
            If it was never set, V(pause) applies.
        type: str
        choices:
          - pause
          - continue
      monitor:
        description:
          - >-
            Time after its start in which the end of a new task counts as a failure.
          - >-
            If it was never set, 5s applies.
        type: str
      max_failure_ratio:
        description:
          - >-
            Share of failed tasks, 0 to 1, that is borne.
          - >-
            If it was never set, V(0) applies.
        type: float
      order:
        description:
          - >-
            Whether the old task is stopped before the new one starts.
          - >-
            If it was never set, V(stop-first) applies.
        type: str
        choices:
          - stop-first
          - start-first
      gate:
        description:
          - >-
            What the next group waits for, that the tasks of a group are running (V(running)) or that they
            have been for the monitor time (V(monitor)).
          - >-
            If it was never set, V(running) applies.
        type: str
        choices:
          - running
          - monitor
      timeout:
        description:
          - >-
            Time after which a new task that is not running counts as failed; V(0s) is never.
          - >-
            If it was never set, 15m applies.
        type: str
  endpoint_mode:
    description:
      - >-
        How the service's name is answered on its networks, with a virtual address that is balanced in the
        kernel (V(vip)) or with the addresses of its tasks (V(dnsrr)), which goes with ports of mode V(host)
        only.
      - >-
        If it was never set, V(vip) applies.
    type: str
    choices:
      - vip
      - dnsrr
  publish:
    description:
      - >-
        Ports of the service that are reachable from outside.
    type: list
    elements: dict
    suboptions:
      target_port:
        description:
          - >-
            Port inside the container.
        type: int
        required: true
      published_port:
        description:
          - >-
            Port outside. If not given, one of 30000 to 32767 is chosen and kept.
        type: int
      protocol:
        description:
          - >-
            Transport protocol.
          - >-
            If it was never set, V(tcp) applies.
        type: str
        choices:
          - tcp
          - udp
          - sctp
      mode:
        description:
          - >-
            V(ingress) answers on every node, also on one that runs no task; V(host) on the nodes that run a
            task.
          - >-
            If it was never set, V(ingress) applies.
        type: str
        choices:
          - ingress
          - host
      name:
        description:
          - >-
            A name for the port.
        type: str
      local_first:
        description:
          - >-
            Whether a node that runs a task of the service gives it the connections itself, so that the task
            sees the client's address. For ports of mode V(ingress).
        type: bool
  drain_timeout:
    description:
      - >-
        How long a task that is about to stop waits at most until all nodes have ceased to send it
        connections.
      - >-
        If it was never set, 5s applies.
    type: str
"""
