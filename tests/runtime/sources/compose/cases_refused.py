# SPDX-License-Identifier: Apache-2.0
"""Compose files that are read otherwise than by Docker's client, and those that are refused."""

from __future__ import annotations

from typing import Any

from runtime.sources.compose.cases import OVER, service

DIFFERENT: dict[str, tuple[str, str, Any]] = {
    "a test replaces the one before, and is not joined to it": (
        service("healthcheck: {test: [CMD, a]}") + OVER + service("healthcheck: {test: [CMD, b]}"),
        "TaskTemplate.ContainerSpec.Healthcheck.Test",
        ["CMD", "b"],
    ),
    "options of a log driver are not lost where the first file has none": (
        service("logging: {driver: syslog}") + OVER + service("logging: {driver: syslog, options: {a: 1}}"),
        "TaskTemplate.LogDriver.Options",
        {"a": "1"},
    ),
    "ports of other protocols, and those published anywhere, are kept": (
        service("ports: ['53:53/tcp', '53:53/udp', '1', '2']") + OVER + service("ports: ['53:54/udp']"),
        "EndpointSpec.Ports",
        [(0, 1, "tcp"), (0, 2, "tcp"), (53, 53, "tcp"), (53, 54, "udp")],
    ),
    "oom_score_adj": (service("oom_score_adj: 5"), "TaskTemplate.ContainerSpec.OomScoreAdj", 5),
    "new keys in files of an old version": (
        "version: '3.0'\n" + service("stop_grace_period: 1s\ninit: true"),
        "TaskTemplate.ContainerSpec.Init",
        True,
    ),
    "names of one letter are no drives of Windows": (
        service("volumes: ['a:/a']", volumes="a:"),
        "TaskTemplate.ContainerSpec.Mounts",
        [
            {
                "Type": "volume",
                "Source": "shop_a",
                "Target": "/a",
                "VolumeOptions": {"Labels": {"com.docker.stack.namespace": "shop"}},
            }
        ],
    ),
}
"""Taken, and better than by Docker's client: a case, a path in the service's JSON, and what is there."""


REFUSED: dict[str, tuple[str, str]] = {
    "version 2": ("version: '2.4'\n" + service(""), "version: '2.4' is not taken: 3 to 3.13 are, or none at all"),
    "version number": (
        "version: 3.8\n" + service(""),
        "version: expected a text such as '3.8', got 3.8: put it in quotes",
    ),
    "versions differ": (
        "version: '3.1'\n" + service("") + OVER + "version: '3.2'\n" + service(""),
        "version: the files are of different versions: '3.1' and '3.2'",
    ),
    "unknown section": ("volume: {}\n" + service(""), "volume: there is no such key; known are configs, networks, "),
    "unknown key": (service("imagee: x"), "services.web.imagee: there is no such key; known are build, cap_add, "),
    "unknown key below": (
        service("deploy: {replica: 1}"),
        "services.web.deploy.replica: there is no such key; known are ",
    ),
    "number as text": (
        service("deploy: {replicas: many}"),
        "services.web.deploy.replicas: expected a whole number, got 'many'",
    ),
    "quoted number": (
        service("deploy: {replicas: '3'}"),
        "services.web.deploy.replicas: expected a whole number, got '3'",
    ),
    "part of a task": (
        service("deploy: {replicas: 1.5}"),
        "services.web.deploy.replicas: expected a whole number, got 1.5",
    ),
    "negative": (
        service("deploy: {replicas: -1}"),
        "services.web.deploy.replicas: expected a number that is not negative, got -1",
    ),
    "text as number": (
        service("deploy: {resources: {limits: {cpus: 0.5}}}"),
        "services.web.deploy.resources.limits.cpus: expected a text, got 0.5: put it in quotes",
    ),
    "user as number": (service("user: 1000"), "services.web.user: expected a text, got 1000: put it in quotes"),
    "truth in environment": (
        service("environment: {A: true}"),
        "services.web.environment.A: expected a text, a number or nothing, got true: put it in quotes",
    ),
    "list for object": (service("deploy: []"), "services.web.deploy: expected an object or nothing, got a list"),
    "text for object": ("services: web\n", "services: expected an object, got 'web'"),
    "service is nothing": ("services: {web: }\n", "services.web: expected an object, got nothing"),
    "name": ("services: {'a b': {image: x}}\n", "services.a b: 'a b' is no name here"),
    "item": (service("cap_add: [1]"), "services.web.cap_add[0]: expected a text, got 1: put it in quotes"),
    "twice": (service("cap_add: [kill, chown, kill]"), "services.web.cap_add[2]: 'kill' stands there twice"),
    "word": (service("deploy: {mode: many}"), "services.web.deploy.mode: 'many' is none of replicated, global, "),
    "order": (
        service("deploy: {update_config: {order: fast}}"),
        "services.web.deploy.update_config.order: 'fast' is none of start-first, stop-first",
    ),
    "duration": (
        service("stop_grace_period: soon"),
        "services.web.stop_grace_period: 'soon' is no duration: write it as 10s, 1m30s or 2h",
    ),
    "duration without unit": (
        service("healthcheck: {interval: '10'}"),
        "services.web.healthcheck.interval: '10' is no duration",
    ),
    "size": (
        service("deploy: {resources: {limits: {memory: much}}}"),
        "services.web.deploy.resources.limits.memory: 'much' is no size",
    ),
    "cpus": (
        service("deploy: {resources: {limits: {cpus: half}}}"),
        "services.web.deploy.resources.limits.cpus: 'half' is no number of CPUs",
    ),
    "cpus too exact": (
        service("deploy: {resources: {limits: {cpus: '0.0000000001'}}}"),
        "services.web.deploy.resources.limits.cpus: '0.0000000001' is more exact than a billionth of a CPU",
    ),
    "no image": ("services: {web: {command: x}}\n", "services.web.image: is required: a swarm does not build images"),
    "build only": ("services: {web: {build: .}}\n", "services.web.image: is required: a swarm does not build images"),
    "forbidden": (
        service("mem_limit: 1M"),
        "services.web.mem_limit: is not for a swarm: write deploy.resources.limits.memory",
    ),
    "extends": (service("extends: {service: a}"), "services.web.extends: is not for a swarm: "),
    "variable is wrong": (
        service("command: ['$']"),
        "services.web.command[0]: a $ begins no variable there: write $$ for a dollar",
    ),
    "variable required": (
        service("hostname: ${A:?say it}"),
        "services.web.hostname: the variable A is required: say it",
    ),
    "variable required, unset": (service("hostname: ${A?}"), "services.web.hostname: the variable A is required"),
    "variable is no number": (
        "# N=x\n" + service("deploy: {replicas: $N}"),
        "services.web.deploy.replicas: expected a whole number, got 'x'",
    ),
    "variable is no truth": ("# N=x\n" + service("tty: $N"), "services.web.tty: expected true or false, got 'x'"),
    "quote": (service('command: "a \'b"'), "services.web.command: a ' is not closed in the command line"),
    "backslash": (service("command: 'a \\'"), "services.web.command: the command line ends after a \\"),
    "port": (service("ports: ['a:80']"), "services.web.ports[0]: 'a:80' is no port: write it as 80, "),
    "port ranges": (service("ports: ['1-2:1-3']"), "services.web.ports[0]: '1-2:1-3' has ranges of different lengths"),
    "port range backwards": (
        service("ports: ['9-8:80']"),
        "services.web.ports[0]: '9-8:80' is no port: 9-8 is no range",
    ),
    "port too large": (service("ports: ['65536']"), "services.web.ports[0]: '65536' is no port: 65536 is no range"),
    "port protocol": (service("ports: ['80/icmp']"), "services.web.ports[0]: 'icmp' is none of tcp, udp, sctp"),
    "port address": (
        service("ports: ['host:80:80']"),
        "services.web.ports[0]: 'host:80:80' is no port: 'host' is no address",
    ),
    "volume colons": (service("volumes: ['/a:/b:ro:z']"), "services.web.volumes[0]: '/a:/b:ro:z' has too many colons"),
    "volume section": (
        service("volumes: ['/a::ro']"),
        "services.web.volumes[0]: '/a::ro' has an empty section between colons",
    ),
    "volume unknown": (
        service("volumes: ['vv:/v']"),
        "services.web.volumes[0]: there is no volume vv in the volumes of the file",
    ),
    "bind without source": (
        service("volumes: [{type: bind, target: /x}]"),
        "services.web.volumes[0].source: a bind needs the path of what is bound",
    ),
    "tmpfs with source": (
        service("volumes: [{type: tmpfs, target: /x, source: y}]"),
        "services.web.volumes[0].source: a tmpfs has no source",
    ),
    "options of another type": (
        service("volumes: [{type: tmpfs, target: /x, volume: {nocopy: true}}]"),
        "services.web.volumes[0].volume: options of volume do not go with a volume of type tmpfs",
    ),
    "network unknown": (
        service("networks: [a]"),
        "services.web.networks.a: there is no network a in the networks of the file",
    ),
    "secret unknown": (
        service("secrets: [a]"),
        "services.web.secrets[0]: there is no secret a in the secrets of the file",
    ),
    "config unknown": (
        service("configs: [a]"),
        "services.web.configs[0]: there is no config a in the configs of the file",
    ),
    "secret file missing": (
        service("", secrets="a: {file: ./none}"),
        "secrets.a.file: the file './none' is not there",
    ),
    "env file missing": (service("env_file: [none.env]"), "services.web.env_file[0]: the file 'none.env' is not there"),
    "secret without file": (service("", secrets="a: {}"), "secrets.a.file: is required: what has no file is external"),
    "external with labels": (
        service("volumes: ['vv:/v']", volumes="vv: {external: true, labels: {a: b}}"),
        "volumes.vv.labels: does not go with external: it is as it is",
    ),
    "two names": (
        service("", networks="default: {name: a, external: {name: b}}"),
        "networks.default.external.name: is said beside a name: leave it out",
    ),
    "replicas of global": (
        service("deploy: {mode: global, replicas: 2}"),
        "services.web.deploy.replicas: a global service runs one task on each node",
    ),
    "restart": (service("restart: sometimes"), "services.web.restart: 'sometimes' is none of no, always, "),
    "test and disable": (
        service("healthcheck: {disable: true, test: x}"),
        "services.web.healthcheck.test: does not go with disable",
    ),
    "key that is no text": ("services: {1: {image: x}}\n", "services: the key 1 is no text: put it in quotes"),
    "top is a list": ("services: [web]\n", "services: expected an object, got a list"),
}
"""Refused, by Docker's client as well; with how our error begins."""

STRICTER: dict[str, tuple[str, str]] = {
    "unknown key of a mount": (
        service("volumes: [{type: volume, target: /x, volume: {subpath: y}}]"),
        "services.web.volumes[0].volume.subpath: there is no such key; known are nocopy",
    ),
    "large": (
        service("deploy: {replicas: 99999999999999999999}"),
        "services.web.deploy.replicas: 99999999999999999999 is too large",
    ),
    "endpoint mode": (
        service("deploy: {endpoint_mode: x}"),
        "services.web.deploy.endpoint_mode: 'x' is none of vip, dnsrr",
    ),
    "port mode": (
        service("ports: [{target: 80, mode: x}]"),
        "services.web.ports[0].mode: 'x' is none of ingress, host",
    ),
    "relative bind": (
        service("volumes: ['./x:/x']"),
        "services.web.volumes[0]: './x' is relative to a directory that nodes do not have: write an absolute path",
    ),
    "driver": (
        service("networks: [a]", networks="a: {driver: bridge}"),
        "networks.a.driver: 'bridge' is no driver of a swarm's network; there is overlay",
    ),
    "secret driver": (service("", secrets="a: {driver: vault}"), "secrets.a.driver: secret drivers are plugins"),
    "template driver": (
        service("", configs="a: {file: ./key.txt, template_driver: jinja}"),
        "configs.a.template_driver: there is no 'jinja'; there is golang",
    ),
    "cluster volume": (
        service("volumes: [{type: cluster, source: vv, target: /x}]", volumes="vv:"),
        "services.web.volumes[0].type: volumes of type cluster are not supported; there are bind, volume, tmpfs",
    ),
    "credentials": (
        service("credential_spec: {file: x}"),
        "services.web.credential_spec: is for Windows containers, which queenright does not run",
    ),
    "isolation": (
        service("isolation: hyperv"),
        "services.web.isolation: is for Windows containers, which queenright does not run",
    ),
    "port without target": (service("ports: [{published: 80}]"), "services.web.ports[0].target: is required"),
    "port 0": (
        service("ports: ['80:0']"),
        "services.web.ports[0]: '80:0' is no port: containers have none of number 0",
    ),
    "long port 0": (service("ports: [{target: 0}]"), "services.web.ports[0].target: 0 is no port"),
    "long port too large": (
        service("ports: [{target: 1, published: 70000}]"),
        "services.web.ports[0].published: 70000 is no port",
    ),
    "propagation": (
        service("volumes: [{type: bind, source: /x, target: /x, bind: {propagation: x}}]"),
        "services.web.volumes[0].bind.propagation: 'x' is none of private, ",
    ),
    "restart condition": (
        service("deploy: {restart_policy: {condition: x}}"),
        "services.web.deploy.restart_policy.condition: 'x' is none of none, on-failure, any",
    ),
    "date": (
        service("environment: {A: 2020-01-01}"),
        "services.web.environment.A: a date is no value here: put it in quotes",
    ),
    "subnet": (
        service("networks: [a]", networks="a: {ipam: {config: [{}]}}"),
        "networks.a.ipam.config[0].subnet: is required",
    ),
    "condition": (
        "services: {a: {image: 'a:1', depends_on: {b: {condition: x}}}, b: {image: 'b:1'}}",
        "services.a.depends_on.b.condition: 'x' is none of started, healthy, completed",
    ),
}
"""Refused, though Docker's client takes it (and what listens behind it may not)."""
