# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from queenright.model.objects import Config, NodeDescription, Secret, Task
from queenright.model.payloads import CONFIG, LIMITS, SECRET, Payload, PayloadError, missing, payloads_of, rendered
from queenright.spec.container import ConfigReference, ContainerSpec, FileTarget, SecretReference
from queenright.spec.data import ConfigSpec, SecretSpec, Templating
from queenright.spec.service import TaskSpec

NODE = NodeDescription(hostname="host7", architecture="x86_64", os="linux")
PASSWORD = Secret(id="s1", spec=SecretSpec(name="db"), data=b"open sesame")


def config(text: str | bytes, template: bool = True) -> Config:
    driver = Templating(name="golang" if template else None)
    data = text if isinstance(text, bytes) else text.encode()
    return Config(id="c1", spec=ConfigSpec(name="app.conf", templating=driver), data=data)


def container(**more: Any) -> ContainerSpec:
    return ContainerSpec(
        image="app:1",
        secrets=(SecretReference(secret_id="s1", secret_name="db", file=FileTarget(name="password")),),
        configs=(ConfigReference(config_id="c1", config_name="app.conf", file=FileTarget(name="/etc/app.conf")),),
        **more,
    )


def expanded(text: str | bytes, **more: Any) -> bytes:
    spec = container(**more)
    task = Task(
        id="t1",
        service_id="svc",
        service_name="web",
        service_labels={"tier": "front"},
        slot=3,
        node_id="n1",
        spec=TaskSpec(container=spec),
    )
    found = rendered(payloads_of(spec, {"s1": PASSWORD}, {"c1": config(text)}), task, NODE)
    return found[1].data


def secret_file(**file: Any) -> Payload:
    spec = ContainerSpec(
        image="a", secrets=(SecretReference(secret_id="s1", secret_name="db", file=FileTarget(**file)),)
    )
    return payloads_of(spec, {"s1": PASSWORD}, {})[0]


def config_file(**file: Any) -> Payload:
    spec = ContainerSpec(
        image="a", configs=(ConfigReference(config_id="c1", config_name="app.conf", file=FileTarget(**file)),)
    )
    return payloads_of(spec, {}, {"c1": config("")})[0]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (None, "/run/secrets/db"),
        ("password", "/run/secrets/password"),
        ("deep/er", "/run/secrets/deep/er"),
        ("/etc/key", "/etc/key"),
    ],
)
def test_a_secret_is_below_run_secrets_unless_its_target_is_a_path(name: str | None, path: str) -> None:
    assert secret_file(name=name).path == path


@pytest.mark.parametrize(("name", "path"), [(None, "/app.conf"), ("x.conf", "/x.conf"), ("/etc/x.conf", "/etc/x.conf")])
def test_a_config_is_below_the_root_unless_its_target_is_a_path(name: str | None, path: str) -> None:
    assert config_file(name=name).path == path


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "/", "a\0b", "."])
def test_a_target_that_leaves_its_folder_is_refused(name: str) -> None:
    with pytest.raises(PayloadError, match=r"^secret 'db': .* is no name of a file below /run/secrets"):
        secret_file(name=name)


def test_owner_and_permissions_are_those_of_the_reference() -> None:
    file = secret_file(uid="1000", gid="33", mode=0o440)
    assert (file.uid, file.gid, file.mode) == (1000, 33, 0o440)
    plain = secret_file()
    assert (plain.uid, plain.gid, plain.mode) == (0, 0, 0o444)


@pytest.mark.parametrize("uid", ["www-data", "-1", "4294967295", "4294967296"])
def test_names_of_users_are_refused(uid: str) -> None:
    with pytest.raises(PayloadError, match=r"secret 'db': UID"):
        secret_file(uid=uid)


def test_set_user_bits_are_left_out() -> None:
    assert secret_file(mode=0o6755).mode == 0o755


def test_what_is_missing_is_named() -> None:
    assert missing(container(), {}, {}) == "secret 'db'"
    assert missing(container(), {"s1": PASSWORD}, {}) == "config 'app.conf'"
    assert missing(container(), {"s1": PASSWORD}, {"c1": config("")}) == ""


def test_a_secret_and_a_config_cannot_be_the_same_file() -> None:
    spec = ContainerSpec(
        image="a",
        secrets=(SecretReference(secret_id="s1", secret_name="db", file=FileTarget(name="/x")),),
        configs=(ConfigReference(config_id="c1", config_name="app.conf", file=FileTarget(name="x")),),
    )
    with pytest.raises(PayloadError, match=r"config 'app.conf' and secret 'db' would be the same file /x"):
        payloads_of(spec, {"s1": PASSWORD}, {"c1": config("")})


def test_data_without_a_template_language_is_taken_as_it_is() -> None:
    spec = container()
    task = Task(id="t1", service_id="svc", spec=TaskSpec(container=spec))
    files = payloads_of(spec, {"s1": PASSWORD}, {"c1": config("{{.Nothing}} \xff", template=False)})
    assert rendered(files, task, NODE) == files


def test_a_templated_config_knows_service_task_and_node() -> None:
    text = "{{.Service.Name}} {{.Service.Labels.tier}} {{.Task.Slot}} {{.Task.Name}} {{.Node.ID}} {{.Node.Hostname}}"
    assert expanded(text) == b"web front 3 web.3.t1 n1 host7"


def test_a_templated_config_can_hold_a_secret_and_the_environment() -> None:
    text = 'pw={{ secret "password" }} mode={{env "MODE"}} host={{env "WHERE"}} none=[{{env "NONE"}}]'
    env = ("MODE=a=b", "WHERE={{.Node.Hostname}}", "BARE")
    assert expanded(text, env=env) == b"pw=open sesame mode=a=b host=host7 none=[]"


def test_what_a_template_takes_from_another_file_is_not_expanded_again() -> None:
    assert expanded('{{config "/etc/app.conf"}}') == b'{{config "/etc/app.conf"}}'


def test_bytes_that_are_no_text_cross_a_template_unchanged() -> None:
    assert expanded(b"\xff\xfe{{.Task.Slot}}\x00") == b"\xff\xfe3\x00"


def test_a_target_that_the_task_does_not_have_is_named_with_its_line() -> None:
    with pytest.raises(PayloadError, match=r"^config 'app.conf', line 2: secret target other not found$"):
        expanded('first\n{{secret "other"}}')


@pytest.mark.parametrize("text", ["{{secret}}", '{{secret "a" "b"}}', "{{range .X}}", "{{.Nothing}}", "{{.Task.Slot"])
def test_placeholders_that_cannot_be_expanded_are_errors(text: str) -> None:
    with pytest.raises(PayloadError, match=r"^config 'app.conf', line 1: "):
        expanded(text)


@pytest.mark.parametrize("placeholder", ['{{"hush" "hush"}}', '{{secret "hush"}}'])
def test_nothing_of_a_templated_secret_stands_in_an_error(placeholder: str) -> None:
    spec = ContainerSpec(image="a", secrets=(SecretReference(secret_id="s2", secret_name="db"),))
    data = f"x\n{placeholder}".encode()
    secret = Secret(id="s2", spec=SecretSpec(name="db", templating=Templating(name="golang")), data=data)
    task = Task(id="t1", service_id="svc", spec=TaskSpec(container=spec))
    with pytest.raises(PayloadError) as caught:
        rendered(payloads_of(spec, {"s2": secret}, {}), task, NODE)
    assert str(caught.value) == "secret 'db', line 2: a placeholder that cannot be expanded"


def test_an_expanded_file_has_to_stay_below_the_limit_of_its_kind() -> None:
    with pytest.raises(PayloadError, match=r"once expanded; it has to stay below 1024000"):
        expanded("{{.Task.Slot}}" + "x" * LIMITS[CONFIG])
    assert LIMITS[SECRET] == 512000


def test_an_unknown_template_language_is_refused() -> None:
    strange = Config(id="c1", spec=ConfigSpec(name="app.conf", templating=Templating(name="jinja")), data=b"")
    with pytest.raises(PayloadError, match=r"unrecognized template type 'jinja'"):
        payloads_of(container(), {"s1": PASSWORD}, {"c1": strange})


def test_the_data_of_a_file_is_not_in_its_repr() -> None:
    assert "sesame" not in repr(secret_file())
