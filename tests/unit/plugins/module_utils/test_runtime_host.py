# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The flow of swarm_runtime on a host: what it does, what it says, what it refuses."""

from __future__ import annotations

import os
import tarfile
import typing as t

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils import (
    _docker_context,
    _install,
    _mesh_host,
    _runtime_host,
    _spare,
)
from ansible_collections.queenright.swarm.plugins.module_utils import _service_manager as managers
from ansible_collections.queenright.swarm.plugins.module_utils._engine import DEFAULT_SOCKET, EngineError
from ansible_collections.queenright.swarm.plugins.module_utils._install import InstallError, Releases
from ansible_collections.queenright.swarm.plugins.module_utils._python import PythonMissingError
from ansible_collections.queenright.swarm.plugins.module_utils._runtime_host import RuntimeHost
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_host import FakeHost

DEFAULTS = {
    "socket": DEFAULT_SOCKET,
    "state": "present",
    "purge": False,
    "python": None,
    "wheelhouse": None,
    "wheelhouse_remote": False,
    "index_url": None,
    "extra_index_urls": [],
    "index_ca_cert": None,
    "proxy": None,
    "settings": None,
    "service_manager": "systemd",
    "docker_context": True,
    "mesh": True,
    "activate": True,
    "keep_quorum": True,
    "keep_releases": 2,
    "ready_timeout": 0,
    "unlock_key": None,
    "bundle": {"release": "1", "digest": "d1", "path": "/tmp/w.whl", "wheelhouse": None},
}


class Daemon:
    """What answers on the socket: a status, or an error while it is None."""

    status: dict[str, t.Any] | None = {"state": "inactive", "ready": True}

    def get(self, path):
        if Daemon.status is None:
            raise EngineError("nobody listens", missing=True)
        return Daemon.status

    def post(self, path, body, timeout):
        assert path == "/swarm/unlock"
        if body["UnlockKey"] != "SWMKEY-1-right":
            raise EngineError("swarm could not be unlocked: invalid key provided", 401)
        Daemon.status = {"state": "active", "role": "manager", "has_quorum": True, "ready": True}


class World:
    """A host whose files lie below ``root``. ``run`` is one run of the module."""

    def __init__(self, root, host) -> None:
        self.root, self.host = root, host
        self.releases = Releases(str(root / "opt"), str(root / "bin/queenright"))

    def run(self, check=False, **options):
        module = type("Module", (), {})()
        module.params = dict(DEFAULTS, **options)
        module.check_mode = check
        module.run_command = self.host.run
        self.warnings: list[str] = []
        module.warn = self.warnings.append
        return RuntimeHost(module).run()

    def upgrade(self, release: str, **options):
        bundle = {"release": release, "digest": "d" + release, "path": "/tmp/w.whl", "wheelhouse": None}
        return self.run(bundle=bundle, **options)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    for name in ("UNITS", "INIT_D", "LOGROTATE_D", "SYSTEMD_RUNS"):
        monkeypatch.setattr(managers, name, str(tmp_path / name))
        (tmp_path / name).mkdir()
    for module in (managers, _runtime_host):
        monkeypatch.setattr(module, "STATE_FILE", str(tmp_path / "state/state.json"))
    monkeypatch.setattr(managers, "UPDATE_RC", str(tmp_path / "none"))
    monkeypatch.setattr(_runtime_host, "STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(_runtime_host, "CONFIG", str(tmp_path / "etc/config.toml"))
    monkeypatch.setattr(_runtime_host, "LOG", str(tmp_path / "queenright.log"))
    monkeypatch.setattr(_runtime_host, "find_python", lambda run, wanted: ("/usr/bin/python3.11", "3.11.2"))
    monkeypatch.setattr(_runtime_host, "Engine", lambda path, timeout: Daemon())
    monkeypatch.setattr(_runtime_host, "_remove_socket", lambda path: None)
    monkeypatch.setattr(_docker_context, "docker_is_there", lambda: True)
    monkeypatch.setattr(_docker_context, "root_home", lambda: str(tmp_path / "root"))
    monkeypatch.setattr(_install, "SELINUX", str(tmp_path / "none"))
    monkeypatch.setattr(_mesh_host, "SYSTEMD", str(tmp_path / "none"))
    moved = [one._replace(path=str(tmp_path / one.path.lstrip("/"))) for one in _mesh_host.MANAGERS]
    monkeypatch.setattr(_mesh_host, "MANAGERS", moved)
    world = World(tmp_path, FakeHost())
    monkeypatch.setattr(_runtime_host, "Releases", lambda prefix: world.releases)
    monkeypatch.setattr(Daemon, "status", {"state": "inactive", "ready": True})
    return world


def join_a_swarm(world: World) -> None:
    (world.root / "state").mkdir(exist_ok=True)
    (world.root / "state/state.json").write_text('{"cluster_id": "c1"}')


def test_a_first_run_installs_all_and_a_second_changes_nothing(world):
    first = world.run()
    assert first["changed"]
    assert first["release"] == "1"
    assert first["python"] == "3.11.2"
    assert first["actions"] == [
        "install release 1 with Python 3.11.2",
        "write the service files",
        "start the service",
        "write the docker context swarm",
    ]
    assert world.host.running
    again = world.run()
    assert not again["changed"]
    assert again["actions"] == []
    assert again["diff"] == []
    assert again["python"] == "3.11.2"


def test_check_mode_foretells_the_same_actions_and_touches_nothing(world):
    before = world.files()
    foretold = world.run(check=True)
    assert world.files() == before
    assert not world.host.did("venv")
    assert foretold["actions"] == world.run()["actions"]


def test_a_host_that_lacks_the_release_asks_for_the_wheel_before_it_changes_anything(world):
    bundle = {"release": "1", "digest": "d1", "path": None, "wheelhouse": None}
    answer = world.run(bundle=bundle)
    assert answer["needs_wheel"]
    assert world.files() == set()
    assert not world.run(bundle=bundle, check=True)["needs_wheel"]
    world.run()
    assert not world.run(bundle=bundle)["changed"]


def test_without_a_python_nothing_is_changed(world, monkeypatch):
    def none(run, wanted):
        raise PythonMissingError("install python3-venv", ["python3-venv"])

    monkeypatch.setattr(_runtime_host, "find_python", none)
    with pytest.raises(PythonMissingError):
        world.run()
    assert world.files() == set()


def test_an_upgrade_restarts_the_daemon_keeps_the_last_release_and_drops_the_oldest(world):
    world.run()
    assert "switch from release 1 to 2" in world.upgrade("2")["actions"]
    world.host.commands.clear()
    third = world.upgrade("3")
    assert third["release"] == "3"
    assert "restart the service" in third["actions"]
    assert "remove release 1" in third["actions"]
    assert sorted(os.listdir(world.releases.directory)) == ["2", "3"]
    assert not world.host.did("docker")


def test_a_release_that_does_not_come_up_is_taken_back(world, monkeypatch):
    world.run()
    monkeypatch.setattr(Daemon, "status", None)
    with pytest.raises(InstallError, match=r"does not answer: nobody listens(?s:.*)runs release 1 again"):
        world.upgrade("2")
    assert world.releases.current() == "1"
    assert world.host.commands[-1][:2] == ["systemctl", "start"]


def test_a_release_that_loses_the_membership_is_taken_back(world, monkeypatch):
    world.run()
    monkeypatch.setattr(Daemon, "status", {"state": "error", "error": "the log is of a newer format"})
    with pytest.raises(InstallError, match=r"newer format\nThe host runs release 1 again"):
        world.upgrade("2")
    assert world.releases.current() == "1"


def managing(*silent: str, voters: int = 3, quorum: bool = True) -> dict[str, t.Any]:
    """The status of manager n1, to which the nodes in ``silent`` do not answer."""
    members = [
        {"node_id": f"n{n}", "addr": f"host{n}:2377", "voter": True, "reachable": f"n{n}" not in silent}
        for n in range(1, voters + 1)
    ]
    return {
        "state": "active",
        "role": "manager",
        "node_id": "n1",
        "ready": True,
        "leader": {"node_id": "n1", "addr": "host1:2377"},
        "has_quorum": quorum,
        "raft": {"members": members},
    }


def test_a_manager_is_restarted_while_the_others_are_a_majority(world, monkeypatch):
    world.run()
    join_a_swarm(world)
    monkeypatch.setattr(Daemon, "status", managing())
    upgraded = world.upgrade("2")
    assert "restart the service" in upgraded["actions"]
    assert upgraded["leads"]


@pytest.mark.parametrize("check", [True, False])
def test_a_manager_that_cannot_be_spared_stays_as_it_is(world, monkeypatch, check):
    world.run(settings={"log_level": "info"})
    join_a_swarm(world)
    monkeypatch.setattr(Daemon, "status", managing("n3"))
    for change in ({"settings": {"log_level": "debug"}}, {"socket": "/run/other.sock"}):
        before = {path: (world.root / path).read_bytes() for path in world.files()}
        with pytest.raises(InstallError, match=r"no quorum meanwhile: of its 3 managers, host3:2377 do not answer"):
            world.run(check=check, **change)
        assert {path: (world.root / path).read_bytes() for path in world.files()} == before
    with pytest.raises(InstallError, match="no quorum meanwhile"):
        world.upgrade("2", check=check)
    assert world.releases.current() == "1"
    assert not world.run()["changed"], "what needs no restart is no matter"


@pytest.mark.parametrize(
    "status",
    [
        managing("n3", "n2", quorum=False),
        managing("n2", voters=2),
        managing(voters=1),
        managing("n5", "n4", voters=7),
        {"state": "active", "role": "worker", "node_id": "n9", "ready": True},
    ],
)
def test_where_no_quorum_can_be_lost_the_daemon_is_restarted(world, monkeypatch, status):
    world.run()
    join_a_swarm(world)
    monkeypatch.setattr(Daemon, "status", status)
    assert "restart the service" in world.upgrade("2")["actions"]


def test_a_manager_is_restarted_all_the_same_if_that_is_wanted(world, monkeypatch):
    world.run()
    join_a_swarm(world)
    monkeypatch.setattr(Daemon, "status", managing("n3"))
    assert "restart the service" in world.upgrade("2", keep_quorum=False)["actions"]


def test_other_managers_are_given_time_to_come_back(world, monkeypatch):
    world.run()
    join_a_swarm(world)
    monkeypatch.setattr(_spare, "PAUSE", 0.01)
    answers = [managing("n3"), managing("n2")]
    monkeypatch.setattr(Daemon, "get", lambda self, path: answers.pop(0) if answers else managing())
    assert world.upgrade("2", ready_timeout=30)["release"] == "2"
    assert answers == []


def test_a_release_whose_manager_does_not_find_the_others_is_taken_back(world, monkeypatch):
    world.run()
    join_a_swarm(world)
    answers = [managing()]
    monkeypatch.setattr(Daemon, "get", lambda self, path: answers.pop() if answers else managing(quorum=False))
    with pytest.raises(InstallError, match=r"does not hear from the others\nThe host runs release 1 again"):
        world.upgrade("2")
    assert world.releases.current() == "1"


def test_a_release_can_be_brought_now_and_used_later(world):
    world.run()
    world.host.commands.clear()
    staged = world.upgrade("2", activate=False)
    assert staged["actions"] == ["install release 2 with Python 3.11.2"]
    assert (staged["release"], world.releases.current()) == ("1", "1")
    assert not world.host.did("systemctl")
    assert not world.upgrade("2", activate=False)["changed"]
    used = world.upgrade("2")
    assert used["actions"] == ["switch from release 1 to 2", "restart the service"]
    assert not world.upgrade("2")["changed"]


def test_a_release_that_was_brought_again_is_used_though_its_name_is_the_same(world):
    world.run()
    other = {"release": "1", "digest": "d9", "path": "/tmp/w.whl", "wheelhouse": None}
    assert world.run(bundle=other, activate=False)["changed"]
    assert world.run(bundle=other)["actions"] == ["restart the service"]
    assert not world.run(bundle=other)["changed"]


def test_a_host_in_no_swarm_is_not_waked_to_ask_who_leads(world, monkeypatch):
    world.run()
    asked = []
    monkeypatch.setattr(Daemon, "get", lambda self, path: asked.append(path))
    assert not world.run()["leads"]
    assert asked == []


def test_a_first_release_that_does_not_answer_says_what_its_log_says(world, monkeypatch):
    monkeypatch.setattr(Daemon, "status", None)
    monkeypatch.setattr(managers.Systemd, "last_words", lambda self: "address in use")
    with pytest.raises(InstallError, match=r"Its log ends with:\naddress in use$"):
        world.run()


def test_a_daemon_that_was_stopped_is_started_and_the_run_says_so(world):
    world.run()
    world.host.running = False
    assert world.run()["actions"] == ["start the service"]


def test_settings_are_written_sorted_and_a_changed_one_restarts(world):
    settings = {"log_level": "debug", "snapshot_entries": 5, "socket_group": 'a"b'}
    assert "write %s" % (world.root / "etc/config.toml") in world.run(settings=settings)["actions"]
    text = (world.root / "etc/config.toml").read_text()
    assert text.splitlines()[1:] == ['log_level = "debug"', "snapshot_entries = 5", 'socket_group = "a\\"b"']
    assert not world.run(settings=settings)["changed"]
    changed = world.run(settings={"log_level": "info"})
    assert "restart the service" in changed["actions"]
    assert 'log_level = "info"' in changed["diff"][0]["after"]
    assert not world.run()["changed"], "settings that are not given are left alone"


def test_settings_that_the_release_does_not_take_are_refused_before_they_are_written(world):
    world.run(settings={"log_level": "info"})
    world.host.fail_at("config --config", "line 2: there is no setting 'colour'")
    with pytest.raises(InstallError, match="there is no setting 'colour'"):
        world.run(settings={"colour": "blue"})
    assert "colour" not in (world.root / "etc/config.toml").read_text()
    with pytest.raises(InstallError, match=r"settings\.a must be a text"):
        world.run(settings={"a": [1]})


def test_wheels_of_the_controller_are_unpacked_for_pip(world, tmp_path):
    archive = tmp_path / "wheels.tar"
    for name in ("a.whl", "b.whl"):
        (tmp_path / name).write_text(name)
    with tarfile.open(archive, "w") as tar:
        for name in ("a.whl", "b.whl"):
            tar.add(tmp_path / name, arcname="../../" + name)
    seen = []

    def run(command, **more):
        if "--find-links" in command:
            seen.extend(sorted(os.listdir(command[command.index("--find-links") + 1])))
        return FakeHost.run(world.host, command)

    world.host.run = run
    world.run(bundle=dict(DEFAULTS["bundle"], wheelhouse=str(archive)))
    assert seen == ["a.whl", "b.whl"]


def test_a_wheelhouse_of_the_host_that_is_none_is_said(world):
    with pytest.raises(InstallError, match="the wheelhouse /nowhere is no directory"):
        world.run(wheelhouse="/nowhere", wheelhouse_remote=True)


def test_no_docker_command_line_no_context(world, monkeypatch):
    monkeypatch.setattr(_docker_context, "docker_is_there", lambda: False)
    world.run()
    assert not (world.root / "root").exists()


def test_a_host_in_a_swarm_keeps_its_runtime(world):
    world.run()
    join_a_swarm(world)
    for check in (True, False):
        with pytest.raises(InstallError, match="in swarm c1: let it leave first"):
            world.run(state="absent", check=check)
    (world.root / "state/state.json").write_text("{")
    with pytest.raises(InstallError, match="of an unknown id"):
        world.run(state="absent")
    assert world.releases.current() == "1"


def test_removal_leaves_nothing_but_the_state_and_purge_takes_that_too(world):
    world.run(settings={"log_level": "info"})
    (world.root / "state").mkdir()
    (world.root / "state/lock").write_text("")
    (world.root / "queenright.log").write_text("old words")
    foretold = world.run(state="absent", check=True)
    removed = world.run(state="absent")
    assert removed["changed"]
    assert removed["release"] == ""
    assert foretold["actions"] == removed["actions"]
    assert world.files() == {"state/lock", "etc/config.toml", "queenright.log"}
    assert not world.run(state="absent")["changed"]
    assert world.run(state="absent", purge=True)["changed"]
    assert world.files() == set()
    assert not world.run(state="absent", purge=True)["changed"]


def test_state_of_a_swarm_without_a_runtime_is_not_purged(world):
    join_a_swarm(world)
    assert not world.run(state="absent")["changed"]
    with pytest.raises(InstallError, match="in swarm c1"):
        world.run(state="absent", purge=True)


def test_an_init_script_serves_where_systemd_does_not_run(world):
    (world.root / "SYSTEMD_RUNS").rmdir()
    world.run(service_manager="auto")
    assert world.files() >= {"INIT_D/queenright", "LOGROTATE_D/queenright"}
    assert not [path for path in world.files() if path.startswith("UNITS/")]
    assert world.host.did("INIT_D/queenright start")
    assert not world.run(service_manager="auto")["changed"]
    assert world.run(state="absent")["changed"]
    assert world.host.did("INIT_D/queenright stop")


def test_a_socket_elsewhere_is_told_to_unit_and_daemon(world):
    world.run(socket="/run/other.sock")
    assert "run --socket /run/other.sock\n" in (world.root / "UNITS/queenright.service").read_text()
    assert "ListenStream=/run/other.sock\n" in (world.root / "UNITS/queenright.socket").read_text()


def test_service_manager_none_starts_nothing(world):
    actions = world.run(service_manager="none")["actions"]
    assert actions == ["install release 1 with Python 3.11.2", "write the docker context swarm"]
    assert not world.host.did("systemctl")


def test_a_call_past_the_action_plugin_is_explained(world):
    with pytest.raises(InstallError, match="through its action plugin"):
        world.run(bundle=None)


def test_a_manager_of_links_that_runs_is_told_to_leave_ours_alone_and_forgets_it_at_the_end(world, monkeypatch):
    monkeypatch.setattr(_mesh_host, "SYSTEMD", str(world.root))
    world.host.units = {"NetworkManager.service": "active", "systemd-networkd.service": "inactive"}
    foreseen = world.run(check=True)
    assert "keep NetworkManager off the links of networks" in foreseen["actions"]
    assert not world.host.did("reload")
    first = world.run()
    assert "keep NetworkManager off the links of networks" in first["actions"]
    path = world.root / "etc/NetworkManager/conf.d/90-queenright.conf"
    assert "unmanaged-devices+=interface-name:sw-??????????;" in path.read_text()
    assert "interface-name:swgw0" in path.read_text()
    assert world.host.did("systemctl reload NetworkManager.service")
    assert not world.host.did("networkctl")
    assert world.run()["actions"] == []
    world.host.units["systemd-networkd.service"] = "active"
    assert world.run()["actions"] == ["keep systemd-networkd off the links of networks"]
    network = (world.root / "etc/systemd/network/00-queenright.network").read_text()
    assert "Name=sw-?????????? svx-?????????? svb-?????????? swgw0\n\n[Link]\nUnmanaged=yes\n" in network
    gone = world.run(state="absent")
    assert (
        len([action for action in gone["actions"] if "queenright.conf" in action or "queenright.network" in action])
        == 2
    )
    assert not path.exists()


def test_a_host_whose_swarm_has_no_networks_is_left_alone(world, monkeypatch):
    monkeypatch.setattr(_mesh_host, "SYSTEMD", str(world.root))
    monkeypatch.setattr(_mesh_host, "packages", lambda: ["nftables"])
    world.host.units = {"NetworkManager.service": "active", "systemd-networkd.service": "active"}
    plain = world.run(mesh=False)
    assert plain["network_packages"] == []
    assert not any("queenright.conf" in name or name.endswith(".network") for name in world.files())
    assert world.run()["network_packages"] == ["nftables"]


def test_a_manager_of_links_that_does_not_read_its_file_is_an_error(world, monkeypatch):
    monkeypatch.setattr(_mesh_host, "SYSTEMD", str(world.root))
    world.host.units = {"NetworkManager.service": "active"}
    world.host.fail_at("reload NetworkManager", "it is masked")
    with pytest.raises(InstallError, match=r"does not read it .*: it is masked"):
        world.run()


def test_nftables_is_wanting_where_there_is_neither_its_command_nor_its_library(tmp_path, monkeypatch):
    monkeypatch.setattr(_mesh_host, "PROGRAMS", (str(tmp_path / "nft"),))
    monkeypatch.setattr(_mesh_host, "LIBRARY", "libqueenright-none.so.1")
    assert _mesh_host.packages() == ["nftables"]
    (tmp_path / "nft").write_text("")
    (tmp_path / "nft").chmod(0o755)
    assert _mesh_host.packages() == []


@pytest.mark.parametrize(
    ("key", "state", "words"),
    [
        (None, "locked", ["needs the unlock key", "swarm_unlock"]),
        ("SWMKEY-1-wrong", "locked", ["needs the unlock key", "did not help", "invalid key provided"]),
        ("SWMKEY-1-right", "active", []),
    ],
)
def test_a_manager_that_is_locked_by_its_restart_is_unlocked_or_named(world, monkeypatch, key, state, words):
    world.run()
    monkeypatch.setattr(Daemon, "status", {"state": "locked", "role": "manager", "ready": False})
    done = world.upgrade("2", unlock_key=key, ready_timeout=30)
    assert done["release"] == "2", "a locked manager is no reason to go back"
    assert Daemon.status["state"] == state
    assert ("unlock this host" in done["actions"]) is (state == "active")
    assert len(world.warnings) == (1 if words else 0)
    for word in words:
        assert word in world.warnings[0]
    assert "SWMKEY" not in "".join(world.warnings)
