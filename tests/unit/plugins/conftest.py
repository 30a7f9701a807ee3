# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the plugins' tests: hosts with fake runtimes, and running a module as Ansible does."""

from __future__ import annotations

import contextlib
import json
import typing as t

import pytest
from ansible.module_utils import basic
from ansible_collections.queenright.swarm.plugins.module_utils import _standing
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import FakeRuntime, FakeSwarm

Result = dict[str, t.Any]


@pytest.fixture
def new_runtime(tmp_path, monkeypatch) -> t.Iterator[t.Callable[[str], FakeRuntime]]:
    """Makes runtimes, each on a host of its own; no host has a state directory."""
    monkeypatch.setattr(_standing, "STATE_DIR", str(tmp_path / "no-state"))
    with contextlib.ExitStack() as stack:

        def new(name: str = "h1") -> FakeRuntime:
            runtime = FakeRuntime(name).start()
            stack.callback(runtime.stop)
            return runtime

        yield new
    FakeRuntime.known.clear()


@pytest.fixture
def runtime(new_runtime) -> FakeRuntime:
    """A host in no swarm."""
    return new_runtime("h1")


@pytest.fixture
def manager(runtime) -> FakeRuntime:
    """The manager of a swarm."""
    return runtime.become(FakeSwarm("swarm1"), "manager")


@pytest.fixture
def worker(new_runtime, manager) -> FakeRuntime:
    """A worker in the swarm of ``manager``."""
    return new_runtime("h2").become(manager.swarm, "worker")


@contextlib.contextmanager
def _arguments(values: Result) -> t.Iterator[None]:
    try:
        from ansible.module_utils.testing import patch_module_args
    except ImportError:  # before ansible-core 2.19
        before = basic._ANSIBLE_ARGS
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": values}).encode()
        try:
            yield
        finally:
            basic._ANSIBLE_ARGS = before
    else:
        with patch_module_args(values):
            yield


@pytest.fixture
def run_module(capsys) -> t.Callable[..., Result]:
    """``run_module(module, check=False, **options)`` runs a module's main(); the answer is its result."""

    def run(module: t.Any, check: bool = False, diff: bool = True, **options: t.Any) -> Result:
        values = dict(options, _ansible_check_mode=check, _ansible_diff=diff, _ansible_remote_tmp="/tmp")
        capsys.readouterr()
        with _arguments(values), pytest.raises(SystemExit):
            module.main()
        return t.cast("Result", json.loads(capsys.readouterr().out.strip().splitlines()[-1]))

    return run


@pytest.fixture
def triple(run_module) -> t.Callable[..., tuple[Result, Result]]:
    """Check, run, again: check foresees the run, the run changes, again changes nothing. Answers (run, again)."""

    def run(module: t.Any, **options: t.Any) -> tuple[Result, Result]:
        foreseen = run_module(module, check=True, **options)
        done = run_module(module, **options)
        again = run_module(module, **options)
        assert [foreseen["changed"], done["changed"], again["changed"]] == [True, True, False], (foreseen, done, again)
        assert foreseen["diff"] == done["diff"]
        assert foreseen["actions"] == done["actions"]
        return done, again

    return run
