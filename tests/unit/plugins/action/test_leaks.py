# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible prints and leaves at its loudest, of a play full of secrets that come out of a vault."""

from __future__ import annotations

import base64
import textwrap

from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.queenright.swarm.tests.unit.plugins.action.conftest import Fleet
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import FakeSwarm

HUSH, PASSWORD, KEY = "h4rd-to-guess-one", "h4rd-to-guess-two", "h4rd-to-guess-key"
PLAY = """
- queenright.swarm.swarm_secret: {name: one, data: "{{ hush }}"}
- queenright.swarm.swarm_secret: {name: one, data: "{{ hush }}.new", labels: {a: b}}
- queenright.swarm.swarm_secret: {name: bad, data: "{{ hush }}", data_is_b64: true}
  ignore_errors: true
- queenright.swarm.swarm_registry: {server: r.io, username: bob, password: "{{ password }}"}
- queenright.swarm.swarm_service: {name: web, image: nginx, registry: {username: bob, password: "{{ password }}"}}
- queenright.swarm.swarm_ca: {ca_cert: "-----BEGIN OTHER-----", ca_key: "{{ key }}"}
- queenright.swarm.swarm_ca: {rotate_worker_token: true}
  register: ca
- ansible.builtin.debug: {var: ca}
"""


def _forms(text: str) -> set[str]:
    data = text.encode()
    return {text, base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode(), data.hex()}


def test_a_play_at_its_loudest_shows_and_leaves_no_secret(fleet: Fleet, tmp_path) -> None:
    fleet.manager("manager1")
    swarm = FakeSwarm("swarm1")
    fleet.hosts["manager1"].become(swarm, "manager")
    vault = VaultSecret(b"the-password-of-the-vault")
    lines = ""
    for name, value in (("hush", HUSH), ("password", PASSWORD), ("key", KEY)):
        sealed = VaultLib([("default", vault)]).encrypt(value, vault).decode()
        lines += f"{name}: !vault |\n{textwrap.indent(sealed, '  ')}"
    (tmp_path / "vars.yml").write_text(lines)
    (tmp_path / "vault-password").write_text("the-password-of-the-vault\n")
    arguments = ("-vvvvv", "--diff", "-e", f"@{tmp_path}/vars.yml", f"--vault-password-file={tmp_path}/vault-password")
    for check in ((), ("--check",)):
        played = fleet.play(PLAY, *arguments, *check)
        assert played.code == 0, played.output
        secrets = {form for secret in (HUSH, PASSWORD, KEY) for form in _forms(secret)} | set(swarm.tokens.values())
        assert [line for line in played.output.splitlines() if any(secret in line for secret in secrets)] == []
        assert "the-password-of-the-vault" not in played.output
        files = [path for path in tmp_path.rglob("*") if path.is_file() and "collections" not in path.parts]
        left = [path for path in files if any(secret.encode() in path.read_bytes() for secret in secrets)]
        assert left == []
    assert [one.data for one in swarm.data.families["secret", "one"]][:2] == [HUSH.encode(), f"{HUSH}.new".encode()]
