# SPDX-License-Identifier: Apache-2.0
"""Requests and responses of our own routes."""

from __future__ import annotations

import json

import pytest

from queenright.edge.http.errors import ApiError, grpc_error, grpc_status, grpc_text
from queenright.edge.http.filters import parse_filters
from queenright.edge.http.messages import (
    Request,
    Response,
    error_response,
    json_list_response,
    json_response,
)
from queenright.edge.http.slicing import SLICE_BYTES


def post(body: bytes, content_type: str | None = "application/json") -> Request:
    return Request("POST", "/x", headers={"content-type": content_type} if content_type else {}, body=body)


def query(**parameters: str) -> Request:
    return Request("GET", "/x", query={name: [value] for name, value in parameters.items()})


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"", None), (b"", "application/json"), (b" \n", "application/json"), (b"null", "application/json")],
)
def test_a_body_without_content_is_an_empty_object(body: bytes, content_type: str | None) -> None:
    assert post(body, content_type).json() == {}


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_read_under_any_spelling_of_its_type(content_type: str) -> None:
    assert post(b'{"Name": "web"}', content_type).json() == {"Name": "web"}


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-tar", "application/jsonx"])
def test_another_content_type_is_refused(content_type: str | None) -> None:
    with pytest.raises(ApiError, match="must be 'application/json'") as caught:
        post(b"{}", content_type).json()
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "invalid JSON"),
        (b"{} x", "content after JSON"),
        (b"{}{}", "content after JSON"),
        (b"[]", "got a list"),
        (b'"x"', "got a string"),
        (b"1", "got a number"),
        (b"true", "got a boolean"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": "\xff"}', "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes, text: str) -> None:
    with pytest.raises(ApiError, match=text) as caught:
        post(body).json()
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", True),
        ("true", True),
        ("True", True),
        ("yes", True),
        ("0", False),
        ("false", False),
        ("False", False),
        ("", False),
        ("no", False),
        ("None", False),
    ],
)
def test_flags_follow_dockers_rule(text: str, expected: bool) -> None:
    assert query(force=text).flag("force") is expected
    assert not query().flag("force")


def test_integers_of_the_query() -> None:
    assert query(version="42").integer("version") == 42
    assert query().integer("tail", -1) == -1
    for bad in ("", "x", "1.5", "1_0", "٣"):
        with pytest.raises(ApiError, match="expected an integer"):
            query(version=bad).integer("version")


@pytest.mark.parametrize(
    "text",
    [
        '{"name":["a","b"],"label":[]}',
        '{"name":{"a":true,"b":true,"c":false},"label":{}}',
        '{"name":["a","b"],"label":{}}',
    ],
)
def test_filters_are_read_in_both_encodings(text: str) -> None:
    assert query(filters=text).filters({"name", "label", "id"}) == {"name": ["a", "b"], "label": []}


@pytest.mark.parametrize("text", ["", "{}", "null"])
def test_no_filters(text: str) -> None:
    assert parse_filters(text, {"name"}) == {}


@pytest.mark.parametrize(
    "text", ["{", "[]", '"x"', '{"name":"a"}', '{"name":[1]}', '{"name":{"a":1}}', '{"name":null}']
)
def test_filters_of_another_shape_are_refused(text: str) -> None:
    with pytest.raises(ApiError, match="invalid filters") as caught:
        parse_filters(text, {"name"})
    assert caught.value.status == 400


def test_an_unknown_filter_is_named() -> None:
    with pytest.raises(ApiError) as caught:
        parse_filters('{"foo":["a"]}', {"name"})
    assert (caught.value.status, caught.value.message) == (400, "Invalid filter 'foo'")


def test_json_answers_end_with_a_newline_and_keep_their_order() -> None:
    response = json_response({"b": "é<&>", "a": None}, 201)
    assert (response.status, response.body) == (201, '{"b":"é<&>","a":null}\n'.encode())
    assert response.headers["Content-Type"] == "application/json"


def test_errors_have_dockers_body() -> None:
    response = error_response(ApiError(404, "service nosuch not found"))
    assert (response.status, response.body) == (404, b'{"message":"service nosuch not found"}\n')


async def collect(response: Response) -> list[bytes]:
    return [response.body] if isinstance(response.body, bytes) else [part async for part in response.body]


async def test_what_does_not_belong_to_a_list_is_left_out_of_it() -> None:
    response = json_list_response([None, 1, None, 2, None], lambda number: {"N": number})
    assert response.body == b'[{"N":1},{"N":2}]\n'


async def test_a_short_list_goes_out_in_one_piece() -> None:
    response = json_list_response([{"ID": "a"}, b'{"ID":"b"}'])
    assert response.body == b'[{"ID":"a"},{"ID":"b"}]\n'
    assert json_list_response([]).body == b"[]\n"


async def test_a_long_list_goes_out_in_slices() -> None:
    items = [{"ID": f"{number:025}", "Labels": {"x": "y" * 200}} for number in range(5000)]
    parts = await collect(json_list_response(items))
    assert len(parts) > 3
    assert max(len(part) for part in parts) < SLICE_BYTES + 1000
    assert json.loads(b"".join(parts)) == items


async def test_a_long_list_is_encoded_only_as_it_is_sent() -> None:
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield b'"' + b"x" * SLICE_BYTES + b'"'

    response = json_list_response(items())
    assert len(taken) == 1
    assert len(await collect(response)) == 101
    assert len(taken) == 100


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InvalidArgument", 400),
        ("FailedPrecondition", 400),
        ("OutOfRange", 400),
        ("NotFound", 404),
        ("AlreadyExists", 409),
        ("PermissionDenied", 403),
        ("Unauthenticated", 401),
        ("Unimplemented", 501),
        ("Unavailable", 503),
        ("Unknown", 500),
        ("Aborted", 500),
        ("DeadlineExceeded", 500),
        ("Internal", 500),
    ],
)
def test_codes_of_swarm_errors_have_their_status(code: str, status: int) -> None:
    assert grpc_status(code) == status
    error = grpc_error(code, "the text")
    assert (error.status, error.message) == (status, grpc_text(code, "the text"))


def test_swarm_errors_keep_the_prefix_that_clients_match() -> None:
    assert grpc_text("AlreadyExists", "name conflicts") == "rpc error: code = AlreadyExists desc = name conflicts"
