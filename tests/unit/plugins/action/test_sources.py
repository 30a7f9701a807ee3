# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller adds to stacks: files, documents as Compose reads them, data beside the options, and who asks."""

from __future__ import annotations

import base64
import getpass
import json

import pytest
from ansible_collections.queenright.swarm.plugins.plugin_utils._sources import git_revision, named, plain
from ansible_collections.queenright.swarm.tests.unit.plugins.action.conftest import Fleet
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import FakeSwarm

HUSH = "h4rd-to-guess"
COMPOSE = """
services:
  web:
    image: web:${TAG}
    ports: [22:22, 8080:80]
    environment: {DAY: 2026-01-02, 3: three}
    env_file: [./web.env]
    secrets: [db]
secrets:
  db: {file: ./db.txt}
x-more: !vault |
  none
"""


def _swarm(fleet: Fleet) -> FakeSwarm:
    fleet.manager("manager1")
    fleet.worker("worker1")
    swarm = FakeSwarm("swarm1")
    fleet.hosts["manager1"].become(swarm, "manager")
    fleet.hosts["worker1"].become(swarm, "worker")
    return swarm


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_compose_file_is_read_on_the_controller_with_all_that_it_names(fleet: Fleet, tmp_path) -> None:
    swarm = _swarm(fleet)
    (tmp_path / "files").mkdir()
    (tmp_path / "files/compose.yml").write_text(COMPOSE.partition("x-more")[0])
    (tmp_path / "files/web.env").write_text("A=b\n")
    (tmp_path / "files/db.txt").write_text(HUSH)
    tasks = """
    - queenright.swarm.swarm_stack: {name: shop, compose: [compose.yml], variables: {TAG: 4}}
    """
    played = fleet.play(tasks, "--limit", "worker1", "-vvvv", "--diff")
    assert played.code == 0, played.output
    [wish] = swarm.stacks.wishes
    [document] = wish["options"]["compose"]
    assert document["services"]["web"]["ports"] == ["22:22", "8080:80"]
    assert document["services"]["web"]["environment"] == {"DAY": "2026-01-02", "3": "three"}
    assert wish["context"]["files"] == {"./web.env": encoded("A=b\n"), "./db.txt": encoded(HUSH)}
    assert wish["context"]["variables"] == {"TAG": "4"}
    assert wish["context"]["user"] == getpass.getuser()
    assert wish["context"]["playbook"].endswith((".yml", ".yaml", ".json"))
    assert [line for line in played.output.splitlines() if HUSH in line or encoded(HUSH) in line] == []


def test_a_file_that_a_compose_file_names_and_that_is_not_there_is_named(fleet: Fleet, tmp_path) -> None:
    _swarm(fleet)
    (tmp_path / "compose.yml").write_text("services: {web: {image: a, env_file: none.env}}\n")
    played = fleet.play("- queenright.swarm.swarm_stack: {name: shop, compose: [compose.yml]}", "--limit", "manager1")
    assert played.code != 0
    assert "none.env, which the Compose file names: Could not find" in played.text()


def test_data_of_stacks_bundles_and_whole_swarms_is_printed_at_no_verbosity(fleet: Fleet, tmp_path) -> None:
    swarm = _swarm(fleet)
    (tmp_path / "shop.dab").write_text('{"Version": "0.1"}')
    (tmp_path / "db.txt").write_text(HUSH)
    (tmp_path / "vars.yml").write_text(f"hush: {HUSH}\n")
    tasks = """
    - queenright.swarm.swarm_stack:
        name: shop
        services: {web: {image: a}}
        secrets: {one: {data: "{{ hush }}"}, two: {src: db.txt}}
    - queenright.swarm.swarm_bundle: {name: other, src: shop.dab}
    - queenright.swarm.swarm_apply:
        registries: [{server: r.io, username: bob, password: "{{ hush }}"}]
        secrets: [{name: three, data: "{{ hush }}"}]
        stacks: [{name: third, services: {web: {image: a}}, secrets: {four: {data: "{{ hush }}"}}}]
    """
    played = fleet.play(tasks, "--limit", "worker1", "-vvvv", "--diff", "-e", f"@{tmp_path}/vars.yml")
    assert played.code == 0, played.output
    shop, other, third = swarm.stacks.wishes
    assert shop["options"]["secrets"] == {"one": {"data": encoded(HUSH)}, "two": {"data": encoded(HUSH)}}
    assert other["options"]["bundle"] == '{"Version": "0.1"}'
    assert third["options"]["secrets"] == {"four": {"data": encoded(HUSH)}}
    assert [one.data for one in swarm.data.families["secret", "three"]] == [HUSH.encode()]
    shown = [line for line in played.output.splitlines() if HUSH in line or encoded(HUSH) in line]
    assert shown == []


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ("secrets: {key: {data: x}}", "secrets: a list of mappings is needed"),
        ("secrets: [key]", "secrets: a list of mappings is needed"),
        ("stacks: none", "stacks: a list of mappings is needed"),
        (
            "services: [{name: a, registry: {password: h4rd-to-guess}}]",
            "services[0].registry: credentials are said once",
        ),
        ("stacks: [{name: a, registries: [{password: h4rd-to-guess}]}]", "stacks[0].registries: credentials are said"),
    ],
)
def test_what_would_get_lost_or_be_shown_is_refused_before_anything_is_sent(
    fleet: Fleet, declared: str, words: str
) -> None:
    swarm = _swarm(fleet)
    played = fleet.play(f"- queenright.swarm.swarm_apply: {{{declared}}}", "--limit", "manager1", "-vvv")
    assert played.code != 0
    assert words in played.text()
    assert swarm.stacks.wishes == [] and not swarm.services
    invoked = [line for line in played.output.splitlines() if '"password"' in line]
    assert invoked == []


def test_the_files_of_compose_documents_are_named_once_each() -> None:
    documents = [
        {"services": {"a": {"env_file": "a.env"}, "b": {"env_file": ["a.env", {"path": "b.env"}]}, "c": None}},
        {"secrets": {"s": {"file": "s.txt"}, "e": {"external": True}}, "configs": {"c": {"file": "c.txt"}}, "x": 1},
        {"services": ["no mapping"]},
    ]
    assert sorted(named(documents)) == ["a.env", "b.env", "c.txt", "s.txt"]


def test_what_is_sent_is_nothing_but_json() -> None:
    class Text(str):
        pass

    found = plain({1: Text("a"), False: (1, 2.5, None, False, b"x")})
    assert json.loads(json.dumps(found)) == {"1": "a", "False": [1, 2.5, None, False, "b'x'"]}
    assert type(found["1"]) is str


def test_the_commit_that_is_checked_out_is_found_from_any_folder_of_the_tree(tmp_path) -> None:
    commit, packed = 40 * "a", 40 * "b"
    git = tmp_path / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (tmp_path / "plays/deep").mkdir(parents=True)
    assert git_revision(str(tmp_path / "plays/deep")) == ""
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert git_revision(str(tmp_path)) == ""
    (git / "packed-refs").write_text(f"# pack-refs\n{packed} refs/heads/main\n")
    assert git_revision(str(tmp_path / "plays/deep")) == packed
    (git / "refs/heads/main").write_text(commit + "\n")
    assert git_revision(str(tmp_path / "plays/deep")) == commit
    (git / "HEAD").write_text(packed + "\n")
    assert git_revision(str(tmp_path)) == packed
    assert git_revision("") == ""
