# SPDX-License-Identifier: Apache-2.0
"""Compose files of several parts, the later ones laid over the earlier ones."""

from __future__ import annotations

from runtime.sources.compose.cases import OVER, service

LAID: dict[str, str] = {
    "over: image and plain": service("tty: true\nhostname: a\nuser: u")
    + OVER
    + "services: {web: {image: 'w:2', hostname: b, tty: false}}",
    "over: another service": service("") + OVER + "services: {db: {image: 'd:1'}}",
    "over: environment": service("environment: {A: 1, B: 2, C: 3, D: }")
    + OVER
    + service("environment: ['A=9', 'B=', 'C', 'D=4', 'E=', 'F']"),
    "over: labels": service("labels: {a: 1, b: 2}") + OVER + service("labels: ['a=', 'c=3']"),
    "over: command": service("command: a b\nentrypoint: e") + OVER + service("command: c\nentrypoint: []"),
    "over: ports": service("ports: ['8080:80', '90:90']")
    + OVER
    + service("ports: ['8080:80', '7000:70', {target: 91, published: 90, mode: host, protocol: tcp}]"),
    "over: volumes": service("volumes: ['/b:/b', '/a:/a:ro', 'vv:/v']", volumes="vv:")
    + OVER
    + service("volumes: ['/z:/a', '/c:/c']"),
    "over: volumes untouched": service("volumes: ['/b:/b', '/a:/a:ro']") + OVER + service(""),
    "over: secrets": service("secrets: [k, {source: l, target: x}]", secrets="k: {external: true}\nl: {external: true}")
    + OVER
    + service("secrets: [{source: k, mode: 256}]"),
    "over: networks": service("networks: {a: {aliases: [x]}, b: }", networks="a:\nb:\nc:")
    + OVER
    + service("networks: {a: {aliases: [y]}, c: {aliases: [z]}}"),
    "over: networks null": service("networks: {a: {aliases: [x]}}", networks="a:") + OVER + service("networks: [a]"),
    "over: network entry": service("networks: [a]", networks="a: {attachable: true, labels: {x: y}}")
    + OVER
    + "services: {}\nnetworks: {a: {internal: true}}",
    "over: volume entry": service("volumes: ['aa:/a']", volumes="aa: {driver: x, driver_opts: {o: p}}")
    + OVER
    + "services: {}\nvolumes: {aa: {name: n}}",
    "over: secret entry": service("secrets: [a]", secrets="a: {file: ./key.txt, labels: {x: y}}")
    + OVER
    + "services: {}\nsecrets: {a: {external: true}}",
    "over: logging one driver": service("logging: {driver: syslog, options: {a: 1, b: 2}}")
    + OVER
    + service("logging: {driver: syslog, options: {b: 3, c: 4}}"),
    "over: logging other driver": service("logging: {driver: syslog, options: {a: 1}}")
    + OVER
    + service("logging: {driver: json-file, options: {c: 4}}"),
    "over: logging no driver": service("logging: {driver: syslog, options: {a: 1}}")
    + OVER
    + service("logging: {options: {c: 4}}"),
    "over: ulimits": service("ulimits: {nofile: 1, nproc: 2}")
    + OVER
    + service("ulimits: {nofile: {soft: 3, hard: 4}}"),
    "over: lists": service("cap_add: [kill]\ndns: 1.1.1.1\nextra_hosts: ['a:1.1.1.1']\ndns_search: [a]")
    + OVER
    + service("cap_add: [chown]\ndns: [2.2.2.2]\nextra_hosts: ['b:1.1.1.2']\ndns_search: b"),
    "over: deploy": service(
        """
        deploy:
          replicas: 2
          labels: {a: 1}
          update_config: {parallelism: 2, delay: 1s, order: start-first}
          placement: {constraints: [a == b], max_replicas_per_node: 2}
          resources: {limits: {cpus: '1', memory: 1M}, reservations: {memory: 1M}}
        """
    )
    + OVER
    + service(
        """
        deploy:
          replicas: 0
          labels: {b: 2}
          update_config: {parallelism: 0, failure_action: rollback}
          placement: {constraints: [c == d]}
          resources: {limits: {memory: 2M}}
          restart_policy: {condition: none}
        """
    ),
    "over: deploy mode": service("deploy: {mode: global, labels: {a: 1}}") + OVER + service("deploy: {labels: {b: 1}}"),
    "over: healthcheck": service("healthcheck: {interval: 1s, retries: 3}")
    + OVER
    + service("healthcheck: {test: [CMD, b], interval: 2s, timeout: 3s, retries: 0}"),
    "over: init false": service("init: true\ntty: true") + OVER + service("init: false\ntty: false"),
    "over: network driver_opts": service("networks: {a: {driver_opts: {x: 1}}}", networks="a:")
    + OVER
    + service("networks: {a: {driver_opts: {y: 1}}}"),
    "over: generic resources": service(
        "deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: gpu, value: 2}}]}}}"
    )
    + OVER
    + service(
        "deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: gpu, value: 1}}]}}}"
    ),
    "over: init": service("init: true\nstop_grace_period: 5s") + OVER + service("stop_grace_period: 7s"),
    "over: sysctls": service("sysctls: {a: 1}") + OVER + service("sysctls: {b: 2, a: 3}"),
    "over: three files": service("environment: {A: 1}\nports: ['1:1']")
    + OVER
    + service("environment: {B: 2}\nports: ['2:2']")
    + OVER
    + service("environment: {A: 3}\nports: ['3:3']"),
}
"""Taken; Docker's client makes the same of them."""
