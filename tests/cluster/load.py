#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs on a host: writes to the swarm through the host's socket and notes every attempt, until a file appears.

``load.py SOCKET IMAGE PREFIX THREADS STOP_FILE`` prints a JSON line per attempt: ``do`` (create or delete), ``name``,
``began`` and ``ended`` (seconds since the epoch; all hosts of a lab share the clock), ``status`` (0: no answer) and
``text``. Each thread creates services without tasks, one after the other, and deletes its oldest once it has made 20,
so that the store stays small however long it runs.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import threading
import time

KEPT = 20
PATIENCE = 20.0
_print = threading.Lock()


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.path)


def ask(path: str, method: str, target: str, body: object = None) -> tuple[int, str]:
    """(status, text) of a request; status 0 and the error where there was no answer."""
    connection = Connection(path)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def note(do: str, name: str, began: float, status: int, text: str) -> None:
    """One line of the record."""
    line = {"do": do, "name": name, "began": began, "ended": time.time(), "status": status, "text": text[:300]}
    with _print:
        print(json.dumps(line), flush=True)


def service(name: str, image: str) -> dict[str, object]:
    return {
        "Name": name,
        "TaskTemplate": {"ContainerSpec": {"Image": image}},
        "Mode": {"Replicated": {"Replicas": 0}},
    }


def work(path: str, image: str, prefix: str, stop: str) -> None:
    """What one thread does."""
    number = 0
    made: list[str] = []
    while not os.path.exists(stop):
        number += 1
        name = f"{prefix}-{number}"
        began = time.time()
        status, text = ask(path, "POST", "/services/create", service(name, image))
        note("create", name, began, status, text)
        if status == 201:
            made.append(name)
        if len(made) > KEPT:
            oldest = made.pop(0)
            began = time.time()
            note("delete", oldest, began, *ask(path, "DELETE", f"/services/{oldest}"))
        time.sleep(0.02 if status == 201 else 0.1)


def main(argv: list[str]) -> None:
    path, image, prefix, threads, stop = argv
    workers = [
        threading.Thread(target=work, args=(path, image, f"{prefix}-{index}", stop)) for index in range(int(threads))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main(sys.argv[1:])
