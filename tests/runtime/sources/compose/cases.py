# SPDX-License-Identifier: Apache-2.0
"""Compose files that are taken; what Docker's own client makes of them is in ``golden.json``.

Several files of one stack are parted by ``---``; a first line ``# NAME=value ...`` gives variables.
"""

from __future__ import annotations

import textwrap
from typing import Any

import yaml

FILES = {
    "./key.txt": b"geheim",
    "conf/app.conf": b"a=b\n",
    "/etc/hostname-of-case": b"",
    "one.env": b"# comment\n\nA=1\nB=two words\nHOME\nEMPTY=\n  INDENTED=x\nUNSET_ANYWHERE\n",
    "two.env": b"A=2\r\nC=a=b\n",
}
HOME = {"HOME": "/root"}


def service(body: str, **sections: str) -> str:
    """A file with one service ``web`` of image ``w:1`` and what stands in the body."""
    text = "services:\n  web:\n    image: w:1\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ") + "\n"
    for name, section in sections.items():
        text += f"{name}:\n" + textwrap.indent(textwrap.dedent(section).strip("\n"), "  ") + "\n"
    return text


def split(text: str) -> tuple[list[str], dict[str, str]]:
    """The files of a case, and its variables."""
    variables = dict(HOME)
    first, _, rest = text.partition("\n")
    if first.startswith("# ") and "=" in first:
        variables |= dict(pair.split("=", 1) for pair in first[2:].split(" "))
        text = rest
    return text.split("\n---\n"), variables


def parsed(text: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    files, variables = split(text)
    return [yaml.safe_load(one) for one in files], variables


OVER = "\n---\n"
VALID: dict[str, str] = {
    "smallest": service(""),
    "version 3": "version: '3'\n" + service(""),
    "version 3.0": "version: '3.0'\n" + service("command: a"),
    "version 3.13": "version: '3.13'\n" + service("command: a"),
    "extras": "x-top: {a: [1]}\n" + service("x-own: 1", networks="default: {x-n: 1}"),
    "no services": "services: {}\nnetworks: {a: {}}\n",
    "two services": "services: {b: {image: 'b:1'}, a: {image: 'a@sha256:" + "0" * 64 + "'}}\n",
    "name with dots": "services: {a.b-c_d: {image: 'b:1'}}\n",
    # command lines
    "command text": service('command: run --flag \'a b\' "c \\" d" e\\ f # not this'),
    "command list": service("command: ['run', 'a b', '']\nentrypoint: [\"/x\"]"),
    "command empty quotes": service("command: a '' \"\" b''c"),
    "command folded": service("command: >\n  a\n  b\n  c"),
    "command backslashes": service(r"""command: 'a \n b "\n" c'"""),
    "command single quotes": service("command: \"a 'b\\\\' c\""),
    "command hash inside": service("command: a#b c"),
    "entrypoint text": service("entrypoint: /bin/sh -c 'exit 0'"),
    # environment
    "environment map": service(
        "environment: {A: x, B: 1, C: 1.5, D: , E: '', F: 'a=b', G: 1.0e+21, H: 1.0, I: 0.00001}"
    ),
    "environment list": service("environment: [A=x, B, 'C=', 'D=a=b']"),
    "environment of the caller": "# A=outer B=outer\n" + service("environment: {A: inner, B: , C: }"),
    "environment of the caller for empty": "# A=outer\n" + service("environment: ['A=']"),
    "big numbers": service("environment: {A: 12345678901234567890, B: 1.0e+16, C: 123456789.125, D: -0.0001, E: -1}"),
    "floats": service("environment: {F: 999999.5, G: 1000000.0, H: -1234567.0, I: 1.5e-7}"),
    "env_file": service("env_file: one.env"),
    "env_files": service("env_file: [one.env, two.env]\nenvironment: {B: own}"),
    "labels": service("labels: {a: b, c: 1, d: , e: 1.5}"),
    "labels list": service("labels: ['a=b', 'c', 'd=', 'e=f=g']"),
    # plain ones
    "plain": service(
        """
        hostname: h
        user: '1000:1000'
        working_dir: /w
        tty: true
        stdin_open: true
        read_only: true
        stop_signal: SIGUSR1
        stop_grace_period: 1m30s
        init: true
        """
    ),
    "plain false": service("tty: false\nstdin_open: false\nread_only: false\ninit: false\nhostname: ''\nuser: ''"),
    "durations": service("stop_grace_period: 1h2m3.5s4ms5us6ns"),
    "duration zero": service("stop_grace_period: '0'"),
    "hostname template": service("hostname: '{{.Node.Hostname}}-{{.Task.Slot}}'"),
    "isolation": service("isolation: default"),
    "dns": service("dns: 8.8.8.8\ndns_search: example.com"),
    "dns lists": service("dns: [8.8.8.8, '::1']\ndns_search: [a.example, b.example]"),
    "extra_hosts list": service("extra_hosts: ['a:1.2.3.4', 'b:::1', 'a:1.2.3.5']"),
    "extra_hosts map": service("extra_hosts: {b: 1.2.3.4, a: '::1'}"),
    "sysctls": service("sysctls: {net.core.somaxconn: 1024, net.ipv4.tcp_syncookies: 0}"),
    "sysctls list": service("sysctls: ['net.core.somaxconn=1024']"),
    "capabilities": service("cap_add: [net_admin, CAP_SYS_TIME, sys_time]\ncap_drop: [chown, NET_ADMIN]"),
    "capabilities all": service("cap_add: [ALL, chown]\ncap_drop: [all]"),
    "capabilities drop all": service("cap_drop: [ALL, chown]\ncap_add: [kill]"),
    "ulimits": service("ulimits: {nofile: {soft: 20000, hard: 40000}, nproc: 65535, core: 0, memlock: -1}"),
    "logging": service("logging: {driver: json-file, options: {max-size: 10m, max-file: 3, x: }}"),
    "logging empty": service("logging: {}"),
    # healthchecks
    "healthcheck": service(
        "healthcheck: {test: curl -f localhost, interval: 10s, timeout: 1s, retries: 5, start_period: 1m}"
    ),
    "healthcheck list": service("healthcheck: {test: [CMD, curl, '-f', x], start_interval: 2s, start_period: 4s}"),
    "healthcheck disabled": service("healthcheck: {disable: true}"),
    "healthcheck none": service("healthcheck: {test: [NONE]}"),
    "healthcheck interval only": service("healthcheck: {interval: 3s}"),
    # ports
    "ports": service(
        "ports: ['80', '8080:80', '443:443/tcp', '53:53/udp', '9000-9002:90-92', '7000-7001:70', '100-102', '7:7/sctp']"
    ),
    "port number": service("ports: [3000]"),
    "port address": service("ports: ['127.0.0.1:8080:80', '127.0.0.1::81']"),
    "ports long": service(
        """
        ports:
          - {target: 80, published: 8080, protocol: udp, mode: host}
          - {target: 81}
          - {target: 82, published: 8082}
        """
    ),
    "ports empty": service("ports: []"),
    # volumes
    "volumes short": service(
        "volumes: ['/anonymous', 'named:/n', '/bind:/b:ro', 'named:/c:ro,nocopy', '~/x:/h', '/p:/p:rslave']",
        volumes="named:",
    ),
    "volumes long": service(
        """
        volumes:
          - {type: volume, source: named, target: /n, volume: {nocopy: true}, read_only: true}
          - {type: bind, source: /b, target: /b, bind: {propagation: rshared}}
          - {type: tmpfs, target: /t, tmpfs: {size: 1048576}}
          - {type: tmpfs, target: /u}
          - {type: volume, target: /v}
          - {type: bind, source: /c, target: /c, consistency: cached}
        """,
        volumes="named: {driver: local, driver_opts: {type: nfs, o: 'addr=1.2.3.4', n: 1}, labels: {a: b}}",
    ),
    "volumes names": service(
        "volumes: ['aa:/a', 'bb:/b', 'cc:/c', 'dd:/d']",
        volumes="""
        aa: {name: other}
        bb: {external: true}
        cc: {external: {name: theirs}}
        dd: {external: true, name: also-theirs}
        """,
    ),
    "volume name with variables": "# N=x\n"
    + service("volumes: ['aa:/a']", volumes="aa: {name: 'v-${N}-{{.Task.Slot}}'}"),
    # networks
    "networks list": service("networks: [b, a]", networks="a:\nb: {}"),
    "networks map": service(
        "networks: {a: {aliases: [x, y]}, b: , default: {}}", networks="a: {}\nb: {driver: overlay}\nunused: {}"
    ),
    "network driver_opts": service("networks: {a: {driver_opts: {x: 1, y: z}}}", networks="a:"),
    "networks whole": service(
        "networks: [a]",
        networks="""
        a:
          driver: overlay
          driver_opts: {com.docker.network.driver.mtu: 1400, encrypted: ''}
          attachable: true
          internal: true
          labels: [x=y]
          ipam: {driver: default, config: [{subnet: 10.9.0.0/24}]}
        """,
    ),
    "networks names": service(
        "networks: [a, b, c, d]",
        networks="""
        a: {name: other}
        b: {external: true}
        c: {external: {name: theirs}}
        d: {external: true, name: also-theirs}
        """,
    ),
    "network host": service("networks: [h]", networks="h: {external: true, name: host}"),
    "network default": service("", networks="default: {attachable: true, name: mine}"),
    "network default external": service("", networks="default: {external: true, name: theirs}"),
    # secrets and configs
    "secrets": service(
        """
        secrets: [key, {source: own, target: /etc/k, uid: '1', gid: '2', mode: 0440}, {source: theirs}]
        configs: [conf, {source: conf, target: /etc/app, mode: 256}]
        """,
        secrets="""
        key: {file: ./key.txt}
        own: {file: ./key.txt, name: plain, labels: {a: b}}
        theirs: {external: true, name: outside}
        unused: {file: ./key.txt, template_driver: golang}
        """,
        configs="""
        conf: {file: conf/app.conf, template_driver: golang, labels: [x=1]}
        other: {external: {name: o}}
        """,
    ),
    "tmpfs": service("tmpfs: /run"),
    "fixed address": service("networks: {a: {ipv4_address: 10.0.0.1}}", networks="a:"),
    "bind made": service("volumes: [{type: bind, source: /x, target: /x, bind: {create_host_path: true}}]"),
    # deploy
    "deploy nothing": service("deploy:"),
    "deploy": service(
        """
        deploy:
          mode: replicated
          replicas: 6
          endpoint_mode: vip
          labels: {a: b, c: 1}
          update_config:
            {parallelism: 3, delay: 10s, failure_action: pause, monitor: 6s, max_failure_ratio: .3, order: start-first}
          rollback_config:
            {parallelism: 0, delay: 10s, failure_action: pause, monitor: 60s, max_failure_ratio: 0.5, order: stop-first}
          restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 120s}
          placement:
            constraints: [node.role == manager, node.labels.x==y]
            preferences: [{spread: node.labels.az}, {spread: node.labels.rack}]
            max_replicas_per_node: 5
          resources:
            limits: {cpus: '0.001', memory: 50M, pids: 100}
            reservations:
              cpus: '0.0001'
              memory: 20M
              generic_resources:
                - {discrete_resource_spec: {kind: gpu, value: 2}}
                - {discrete_resource_spec: {kind: ssd, value: 1}}
        """
    ),
    "deploy empty configs": service(
        "deploy: {update_config: {}, rollback_config: {}, restart_policy: {}, resources: {}}"
    ),
    "deploy global": service("deploy: {mode: global, endpoint_mode: DNSRR}"),
    "deploy job": service("deploy: {mode: replicated-job, replicas: 4}"),
    "deploy job of one": service("deploy: {mode: replicated-job}"),
    "deploy global job": service("deploy: {mode: global-job}"),
    "deploy none": service("deploy: {replicas: 0, restart_policy: {max_attempts: 0, delay: 0s}}"),
    "sizes": service("deploy: {resources: {limits: {memory: 1.5gb}, reservations: {memory: '1024'}}}"),
    "sizes kib": service("deploy: {resources: {limits: {memory: 4 KiB}, reservations: {memory: 7b}}}"),
    "cpus fraction": service("deploy: {resources: {limits: {cpus: '1/4'}, reservations: {cpus: '1e-1'}}}"),
    "restart always": service("restart: always"),
    "restart on failure": service("restart: on-failure:3"),
    "restart unless stopped": service("restart: unless-stopped"),
    "restart no": service("restart: 'no'"),
    "restart and policy": service("restart: always\ndeploy: {restart_policy: {condition: none}}"),
    # what is ignored
    "ignored": service(
        """
        build: .
        cgroup_parent: x
        cgroupns_mode: private
        container_name: c
        devices: ['/dev/a:/dev/b']
        domainname: d
        expose: [80, '90']
        external_links: [a]
        ipc: host
        links: [b]
        mac_address: 02:42:ac:11:65:43
        network_mode: bridge
        pid: host
        privileged: true
        security_opt: [a]
        shm_size: 64M
        userns_mode: host
        """
    ),
    "depends_on": "services: {a: {image: 'a:1', depends_on: [b]}, b: {image: 'b:1'}}\n",
    # variables
    "variables": "# A=x B= N=3 T=yes\n"
    + service(
        """
        command: ['$A', '${A}', '${B:-d}', '${B-d}', '${C:-d}', '${C-d}', '$$A', '$${A}', '${A:?e}', '${B?e}']
        entrypoint: ['a${A}b', '$A$A', '${C}']
        deploy: {replicas: $N, labels: {l: $N}}
        tty: ${T}
        hostname: ${A}-${D:-{{.Task.Slot}}}
        """
    ),
    "variables in casts": "# I=5 F=0.25 Y=on\n"
    + service(
        """
        ports: [{target: '${I}', published: '8${I}'}]
        healthcheck: {test: x, retries: '${I}'}
        read_only: '${Y}'
        stdin_open: '${NOT:-false}'
        ulimits: {nofile: '${I}', nproc: {soft: '${I}', hard: '1${I}'}}
        volumes: [{type: volume, target: /x, read_only: '${Y}'}]
        secrets: [{source: k, mode: '${I}'}]
        deploy:
          update_config: {parallelism: '${I}', max_failure_ratio: '${F}'}
          restart_policy: {max_attempts: '${I}'}
          placement: {max_replicas_per_node: '${I}'}
        """,
        secrets="k: {external: '${Y}'}",
        networks="default: {internal: '${Y}', attachable: '${Y}'}",
    ),
    "variables unbraced default": "# A=1\n" + service("command: ['$B-x y', '$A-x', '$A:-x']"),
    "variables default with separators": service("command: ['${A:-b:-c}', '${A-b-c}', '${A:-}', '${A:-x?y}']"),
    "variables in keys stay": "# A=1\n" + service("environment: {'$A': x}"),
}
"""Taken; Docker's client makes the same of them."""
