# SPDX-License-Identifier: Apache-2.0
"""Flags before environment before file before defaults; mistakes are named with their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from queenright.app import settings
from queenright.app.settings import SettingsError


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_the_defaults_hold() -> None:
    found = settings.load({}, {})
    assert (str(found.state_dir), str(found.socket), found.log_level) == (
        "/var/lib/queenright",
        "/run/queenright/engine.sock",
        "info",
    )


def test_a_flag_wins_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    path = config(tmp_path, 'log_level = "error"\nsocket_group = "a"\nstate_dir = "/file"\n')
    environment = {"QUEENRIGHT_SOCKET_GROUP": "b", "QUEENRIGHT_STATE_DIR": "/env"}
    found = settings.load({"state_dir": "/flag"}, environment, path)
    assert (found.log_level, found.socket_group, str(found.state_dir)) == ("error", "b", "/flag")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('log_level = "info"\nsocket_gruop = "x"\n', r"config\.toml, line 2: there is no setting 'socket_gruop'"),
        ('\n\nlog_level = "loud"\n', "line 3: log_level must be one of"),
        ("snapshot_entries = 0\n", "line 1: snapshot_entries must be a whole number above 0"),
        ('prefer_local_images = "yes"\n', "prefer_local_images must be true or false, not 'yes'"),
        ('state_dir = "relative"\n', "state_dir must be an absolute path"),
        ("[tasks]\nx = 1\n", "line 1: there is no setting 'tasks'"),
        ("this is no toml", "config.toml: "),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings.load({}, {}, config(tmp_path, text))


@pytest.mark.parametrize(
    ("flags", "environment", "words"),
    [
        ({}, {"QUEENRIGHT_LOG_LEVL": "x"}, "environment variable QUEENRIGHT_LOG_LEVL"),
        ({}, {"QUEENRIGHT_LOG_LEVEL": "x"}, "the environment variable QUEENRIGHT_LOG_LEVEL: log_level must be"),
        ({"log_level": "x"}, {}, "the flag --log-level: log_level must be"),
        ({}, {"QUEENRIGHT_CONFIG": "/nowhere/at/all"}, "/nowhere/at/all: there is no such file"),
    ],
)
def test_a_mistake_elsewhere_is_named_too(flags: dict[str, Any], environment: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings.load(flags, environment)


def test_numbers_may_come_as_text_from_the_environment() -> None:
    assert settings.load({}, {"QUEENRIGHT_SNAPSHOT_ENTRIES": "77"}).snapshot_entries == 77


def test_a_switch_is_a_truth_value_in_the_file_and_a_text_elsewhere(tmp_path: Path) -> None:
    assert not settings.load({}, {}).prefer_local_images
    assert settings.load({}, {}, config(tmp_path, "prefer_local_images = true\n")).prefer_local_images
    assert settings.load({}, {"QUEENRIGHT_PREFER_LOCAL_IMAGES": "true"}).prefer_local_images
    assert not settings.load(
        {"prefer_local_images": "false"}, {"QUEENRIGHT_PREFER_LOCAL_IMAGES": "true"}
    ).prefer_local_images


def test_files_of_tasks_are_beside_the_host_socket_in_a_folder_of_their_own() -> None:
    assert settings.load({"socket": "/run/q/engine.sock"}, {}).data_root == Path("/run/q/task-files")


def test_an_empty_log_file_means_standard_error(tmp_path: Path) -> None:
    assert settings.load({}, {}, config(tmp_path, 'log_file = ""\n')).log_file is None
