# SPDX-License-Identifier: Apache-2.0
"""dockerd goes and comes back under our socket."""

from __future__ import annotations

import docker.errors
import pytest


def test_clients_outlive_a_restart_of_dockerd(cli, sdk, engine) -> None:
    events = cli.start("events")
    assert sdk.ping()
    engine.stop()
    done = cli.attempt("ps")
    assert done.returncode == 1
    assert f"Cannot connect to the Docker daemon at unix://{engine.socket}" in done.stderr.decode()
    with pytest.raises(docker.errors.APIError) as caught:
        sdk.containers.list()
    assert caught.value.status_code == 502
    events.wait(60)
    engine.start()
    assert sdk.ping()
    assert isinstance(sdk.containers.list(), list)
    assert "CONTAINER ID" in cli("ps")
