# SPDX-License-Identifier: Apache-2.0
"""``/secrets`` and ``/configs`` as the docker CLI, the SDK and community.docker use them."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from runtime.api.kit import Api
from runtime.manager.kit import World, service_json

from queenright.edge.http.api.until import SECOND, until
from queenright.edge.http.errors import ApiError

KINDS = ("secret", "config")
DATA = b"h4rd-to-guess\x00\xff"
TEXT = base64.b64encode(DATA).decode()


async def created(api: Api, kind: str, name: str = "app", **more: Any) -> str:
    status, answer = await api.call("POST", f"/{kind}s/create", {"Name": name, "Data": TEXT, **more})
    assert (status, list(answer)) == (201, ["ID"]), answer
    return str(answer["ID"])


def filtered(kind: str, filters: object) -> str:
    return f"/{kind}s?filters={quote(json.dumps(filters))}"


async def test_a_secret_shows_everything_but_its_data() -> None:
    api = Api.manager(World.make())
    key = await created(api, "secret", Labels={"a": "b"})
    shown = await api.get("/secrets/app")
    assert shown == {
        "ID": key,
        "Version": {"Index": 3},
        "CreatedAt": "2023-11-14T22:13:20.000000000Z",
        "UpdatedAt": "2023-11-14T22:13:20.000000000Z",
        "Spec": {"Name": "app", "Labels": {"a": "b"}},
    }
    assert await api.get("/secrets") == [shown]


async def test_a_config_shows_its_data() -> None:
    api = Api.manager(World.make())
    key = await created(api, "config", Templating={"Name": "golang"})
    shown = await api.get(f"/configs/{key[:8]}")
    assert shown["Spec"] == {"Name": "app", "Labels": {}, "Templating": {"Name": "golang"}, "Data": TEXT}
    assert await api.get("/configs") == [shown]


@pytest.mark.parametrize("kind", KINDS)
async def test_both_alphabets_of_base64_are_read(kind: str) -> None:
    world = World.make()
    api = Api.manager(world)
    for name, data in (("one", base64.b64encode(b"\xfb\xff\xfe")), ("two", base64.urlsafe_b64encode(b"\xfb\xff\xfe"))):
        await created(api, kind, name, Data=data.decode())
        found = world.store.get(kind, (await api.get(f"/{kind}s/{name}"))["ID"])
        assert found is not None
        assert getattr(found, "data", b"") == b"\xfb\xff\xfe"


@pytest.mark.parametrize("kind", KINDS)
async def test_refusals_are_in_dockers_words_and_quote_no_data(kind: str) -> None:
    api = Api.manager(World.make())
    await created(api, kind)
    most = 512_000 if kind == "secret" else 1_024_000
    too_much = base64.b64encode(b"h" * most).decode()
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"Name": "APP", "Data": TEXT}, 409, f"rpc error: code = AlreadyExists desc = {kind} APP already exists"),
        ({"Data": TEXT}, 400, "rpc error: code = InvalidArgument desc = name must be provided"),
        ({"Name": "-", "Data": TEXT}, 400, "invalid name, only 64"),
        ({"Name": "new"}, 400, f"{kind} data must be larger than 0 and less than {most} bytes"),
        ({"Name": "new", "Data": too_much}, 400, f"{kind} data must be larger than 0 and less than {most} bytes"),
        ({"Name": "new", "Data": "h4rd!"}, 400, "invalid JSON: Data: expected base64"),
        ({"Name": "new", "Data": ["h4rd"]}, 400, "invalid JSON: Data: expected base64"),
        ({"Name": "new", "Data": TEXT, "Templating": {"Name": "perl"}}, 400, "'perl' is none of golang"),
    ]
    for body, status, words in cases:
        found, message = await api.error("POST", f"/{kind}s/create", body)
        assert (found, words in message) == (status, True), message
        assert "h4rd" not in message
    driver = await api.error("POST", "/secrets/create", {"Name": "new", "Driver": {"Name": "vault"}})
    assert driver == (400, "Driver: secret drivers are plugins, which queenright does not run")


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_not_there_is_not_found(kind: str) -> None:
    api = Api.manager(World.make())
    assert await api.error("GET", f"/{kind}s/nosuch") == (404, f"{kind} nosuch not found")
    assert await api.error("DELETE", f"/{kind}s/nosuch") == (404, f"{kind} nosuch not found")
    body = {"Name": "nosuch"}
    assert (await api.error("POST", f"/{kind}s/nosuch/update?version=1", body))[0] == 404


@pytest.mark.parametrize("kind", KINDS)
async def test_labels_are_updated_by_version_and_nothing_else_is(kind: str) -> None:
    api = Api.manager(World.make())
    await created(api, kind)
    index = (await api.get(f"/{kind}s/app"))["Version"]["Index"]
    status, body = await api.raw(
        "POST", f"/{kind}s/app/update?version={index}", {"Name": "app", "Labels": {"x": "y"}, "Data": TEXT}
    )
    assert (status, body) == (200, b"")
    assert (await api.get(f"/{kind}s/app"))["Spec"]["Labels"] == {"x": "y"}
    old = await api.error("POST", f"/{kind}s/app/update?version={index}", {"Name": "app"})
    assert old == (500, "rpc error: code = Unknown desc = update out of sequence")
    now = (await api.get(f"/{kind}s/app"))["Version"]["Index"]
    changed = base64.b64encode(b"other").decode()
    for body_ in ({"Name": "app", "Data": changed}, {"Name": "other"}, {}):
        found = await api.error("POST", f"/{kind}s/app/update?version={now}", body_)
        assert found == (400, "rpc error: code = InvalidArgument desc = only updates to Labels are allowed")
    assert (await api.error("POST", f"/{kind}s/app/update?version=", {"Name": "app"}))[0] == 400


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_is_used_stays_and_one_that_is_not_goes(kind: str) -> None:
    api = Api.manager(World.make())
    key = await created(api, kind)
    word = kind.capitalize()
    file = {"Name": "app", "UID": "0", "GID": "0", "Mode": 0o444}
    spec = service_json(container={f"{word}s": [{f"{word}ID": key, f"{word}Name": "app", "File": file}]})
    assert (await api.call("POST", "/services/create", spec))[0] == 201
    stored = (await api.get("/services/web"))["Spec"]["TaskTemplate"]["ContainerSpec"][f"{word}s"]
    assert stored == [{f"{word}ID": key, f"{word}Name": "app", "File": file}]
    text = f"rpc error: code = InvalidArgument desc = {kind} 'app' is in use by the following service: web"
    assert await api.error("DELETE", f"/{kind}s/app") == (400, text)
    await api.raw("DELETE", "/services/web")
    assert await api.raw("DELETE", f"/{kind}s/{key}") == (204, b"")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_with_a_wrong_reference_is_refused(kind: str) -> None:
    api = Api.manager(World.make())
    word = kind.capitalize()
    for reference, words in (
        ({f"{word}ID": "x"}, f"malformed {kind} reference"),
        ({f"{word}ID": "x", f"{word}Name": "app"}, "malformed file"),
        ({f"{word}ID": "x", f"{word}Name": "app", "File": {"Name": "app"}}, f"{kind} not found: app"),
    ):
        status, message = await api.error("POST", "/services/create", service_json(container={f"{word}s": [reference]}))
        assert (status, words in message) == (400, True), message


@pytest.mark.parametrize("kind", KINDS)
async def test_lists_are_filtered_as_docker_does(kind: str) -> None:
    api = Api.manager(World.make())
    keys = {name: await created(api, kind, name, Labels={"n": name}) for name in ("app", "app2", "db")}
    expected: list[tuple[object, set[str]]] = [
        ({"name": ["app"]}, {"app", "app2"}),
        ({"name": {"db": True}}, {"db"}),
        ({"id": [keys["db"][:9]]}, {"db"}),
        ({"label": ["n=app2"]}, {"app2"}),
        ({"label": ["n"]}, {"app", "app2", "db"}),
        ({"label": ["n=app"], "name": ["db"]}, set()),
    ]
    for filters, names in expected:
        assert {one["Spec"]["Name"] for one in await api.get(filtered(kind, filters))} == names, filters
    assert await api.error("GET", filtered(kind, {"colour": ["red"]})) == (400, "Invalid filter 'colour'")


async def test_only_secrets_have_the_filter_of_whole_names() -> None:
    api = Api.manager(World.make())
    for name in ("app", "app2"):
        await created(api, "secret", name)
    assert [one["Spec"]["Name"] for one in await api.get(filtered("secret", {"names": ["app"]}))] == ["app"]
    assert (await api.error("GET", filtered("config", {"names": ["app"]})))[0] == 400


@pytest.mark.parametrize("kind", KINDS)
async def test_templating_is_refused_to_clients_that_are_too_old_for_it(kind: str) -> None:
    api = Api.manager(World.make())
    body = {"Name": "app", "Data": TEXT, "Templating": {"Name": "golang"}}
    status, answer = await api.raw("POST", f"/{kind}s/create", body, version=(1, 36))
    assert status == 400
    text = f"{kind} templating is not supported on the specified API version: 1.36"
    assert json.loads(answer) == {"message": text}
    assert (await api.raw("POST", f"/{kind}s/create", body, version=(1, 37)))[0] == 201


@pytest.mark.parametrize("kind", KINDS)
async def test_prune_removes_what_nobody_uses(kind: str) -> None:
    api = Api.manager(World.make())
    keys = {name: await created(api, kind, name, Labels={"n": name}) for name in ("app", "db")}
    path = f"/queenright/v1/{kind}s/prune"
    only = quote(json.dumps({"label!": ["n=db"]}))
    expected = {"deleted": [{"id": keys["app"], "name": "app"}]}
    assert await api.call("POST", f"{path}?filters={only}&dry_run=1") == (200, expected)
    assert len(await api.get(f"/{kind}s")) == 2
    assert await api.call("POST", f"{path}?filters={only}") == (200, expected)
    young = quote(json.dumps({"until": ["1h"]}))
    assert await api.call("POST", f"{path}?filters={young}") == (200, {"deleted": []})
    assert await api.call("POST", f"{path}?spare=db") == (200, {"deleted": []})
    assert await api.call("POST", path) == (200, {"deleted": [{"id": keys["db"], "name": "db"}]})
    assert (await api.error("POST", f"{path}?filters={quote(json.dumps({'x': ['y']}))}"))[0] == 400


async def test_registries_are_listed_without_their_credentials() -> None:
    api = Api.manager(World.make())
    auth = base64.b64encode(json.dumps({"username": "bob", "password": "h4rd-to-guess"}).encode()).decode()
    wish = {"kind": "registry", "name": "r.example.com", "options": {"username": "bob"}, "context": {"data": auth}}
    assert (await api.call("POST", "/queenright/v1/apply", wish))[0] == 200
    status, text = await api.raw("GET", "/queenright/v1/registries")
    assert status == 200
    assert b"h4rd" not in text
    assert [one["Spec"] for one in json.loads(text)] == [{"Server": "r.example.com", "Username": "bob"}]


@pytest.mark.parametrize("path", ["/secrets", "/configs", "/secrets/x", "/queenright/v1/registries"])
async def test_a_worker_knows_none(path: str) -> None:
    status, message = await Api.worker().error("GET", path)
    assert status == 503
    assert "not a swarm manager" in message


NOW = 1_700_000_000 * SECOND


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h", 1_700_000_000 - 3600),
        ("1h30m", 1_700_000_000 - 5400),
        ("1600000000", 1_600_000_000),
        ("2020-09-13T12:26:40Z", 1_600_000_000),
        ("2020-09-13T14:26:40+02:00", 1_600_000_000),
        ("2020-09-13", 1_599_955_200),
    ],
)
def test_a_time_may_be_said_in_dockers_ways(text: str, seconds: int) -> None:
    assert until([text], NOW) == seconds * SECOND


@pytest.mark.parametrize("values", [["soon"], [""], ["nan"], ["-5"], ["1h", "2h"]])
def test_what_is_no_time_is_refused(values: list[str]) -> None:
    with pytest.raises(ApiError):
        until(values, NOW)


def test_no_filter_is_any_time() -> None:
    assert until([], NOW) == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_dry_run_of_each_write_changes_nothing_and_shows_no_data(kind: str) -> None:
    world = World.make()
    api = Api.manager(world)
    await created(api, kind, "app")
    index, version = world.store.index, (await api.get(f"/{kind}s/app"))["Version"]["Index"]
    calls: list[tuple[str, str, object]] = [
        ("POST", f"/{kind}s/create?dry_run=1", {"Name": "new", "Data": TEXT}),
        ("POST", f"/{kind}s/app/update?version={version}&dry_run=1", {"Name": "app", "Labels": {"a": "b"}}),
        ("DELETE", f"/{kind}s/app?dry_run=1", None),
    ]
    for method, path, body in calls:
        status, answer = await api.raw(method, path, body)
        assert status == 200, answer
        assert json.loads(answer)["changed"] is True
        assert TEXT.encode() not in answer
        assert b"h4rd" not in answer
    assert world.store.index == index
    assert (await api.error("POST", f"/{kind}s/create?dry_run=1", {"Name": "APP", "Data": TEXT}))[0] == 409
