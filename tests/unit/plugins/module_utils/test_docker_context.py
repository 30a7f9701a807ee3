# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The docker context of root."""

from __future__ import annotations

import hashlib
import json
import os

from ansible_collections.queenright.swarm.plugins.module_utils import _docker_context as context
from ansible_collections.queenright.swarm.plugins.module_utils._files import Files

SOCKET = "/run/queenright/engine.sock"


def test_the_context_is_where_docker_looks_for_it_and_says_the_socket(tmp_path):
    assert context.write(Files(check=False), str(tmp_path), SOCKET)
    path = tmp_path / ".docker/contexts/meta" / hashlib.sha256(b"swarm").hexdigest() / "meta.json"
    written = json.loads(path.read_text())
    assert written["Name"] == "swarm"
    assert written["Endpoints"]["docker"]["Host"] == "unix:///run/queenright/engine.sock"
    assert not context.write(Files(check=False), str(tmp_path), SOCKET)


def test_a_rewritten_but_equal_context_is_no_change(tmp_path):
    context.write(Files(check=False), str(tmp_path), SOCKET)
    path = context.path_of(str(tmp_path))
    with open(path) as handle:
        value = json.load(handle)
    with open(path, "w") as handle:
        json.dump(value, handle, indent=3, sort_keys=True)
    assert not context.write(Files(check=False), str(tmp_path), SOCKET)


def test_another_socket_mends_our_context(tmp_path):
    context.write(Files(check=False), str(tmp_path), SOCKET)
    assert context.write(Files(check=False), str(tmp_path), "/run/other.sock")


def test_somebody_elses_context_is_left_alone_and_stays(tmp_path):
    path = context.path_of(str(tmp_path))
    os.makedirs(os.path.dirname(path))
    for text in ('{"Name": "swarm", "Metadata": {"Description": "mine"}}', "no json", "[]"):
        with open(path, "w") as handle:
            handle.write(text)
        assert not context.write(Files(check=False), str(tmp_path), SOCKET)
        assert not context.remove(Files(check=False), str(tmp_path), check=False)
        with open(path) as handle:
            assert handle.read() == text


def test_ours_is_removed_and_check_mode_leaves_it(tmp_path):
    context.write(Files(check=False), str(tmp_path), SOCKET)
    path = context.path_of(str(tmp_path))
    assert context.remove(Files(check=True), str(tmp_path), check=True)
    assert os.path.exists(path)
    assert context.remove(Files(check=False), str(tmp_path), check=False)
    assert not os.path.exists(os.path.dirname(path))
    assert not context.remove(Files(check=False), str(tmp_path), check=False)
