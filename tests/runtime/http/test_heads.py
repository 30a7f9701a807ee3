# SPDX-License-Identifier: Apache-2.0
"""Heads and the framing they announce."""

from __future__ import annotations

import pytest

from queenright.edge.http.errors import RequestError, ResponseError
from queenright.edge.http.framing import Chunked, Sized, UntilClose
from queenright.edge.http.heads import RequestHead, head_end, parse_request, parse_response, parse_version


def request(target: str = "/", headers: str = "", method: str = "GET", version: str = "1.1") -> RequestHead:
    return parse_request(f"{method} {target} HTTP/{version}\r\nHost: docker\r\n{headers}\r\n".encode())


@pytest.mark.parametrize(
    ("target", "path", "version"),
    [
        ("/v1.41/services", "/services", (1, 41)),
        ("/services", "/services", None),
        ("/v1.41", "/v1.41", None),
        ("/version", "/version", None),
        ("/v1.41/", "/", (1, 41)),
        ("/volumes/x", "/volumes/x", None),
        ("/v2/x", "/x", (2, 0)),
        ("/v./x", "/v./x", None),
        ("http://docker/v1.30/nodes?x=1", "/nodes", (1, 30)),
        ("http://docker", "/", None),
        ("/v1.41/services/a%20b", "/services/a b", (1, 41)),
        ("*", "*", None),
    ],
)
def test_the_version_is_cut_from_the_path(target: str, path: str, version: tuple[int, int] | None) -> None:
    head = request(target)
    assert (head.path, head.version) == (path, version)


def test_the_query_is_decoded() -> None:
    head = request("/services?filters=%7B%22name%22%3A%5B%22a%22%5D%7D&status=true&empty=&tag=a&tag=b")
    assert head.query() == {"filters": ['{"name":["a"]}'], "status": ["true"], "empty": [""], "tag": ["a", "b"]}


def test_headers_are_found_by_lower_case_name_and_repeated_ones_joined() -> None:
    head = request(headers="X-Registry-Auth: abc\r\nAccept: a\r\naccept: b\r\n")
    assert head.headers["x-registry-auth"] == "abc"
    assert head.headers["accept"] == "a, b"


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/9\r\nHost: a\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(raw)
    assert caught.value.status == 400


def test_an_unknown_transfer_coding_is_not_implemented() -> None:
    with pytest.raises(RequestError) as caught:
        request(headers="Transfer-Encoding: gzip\r\n", method="POST")
    assert caught.value.status == 501


def test_the_framing_of_a_request() -> None:
    assert request().framing().done
    assert isinstance(request(headers="Content-Length: 5\r\n").framing(), Sized)
    assert isinstance(request(headers="Transfer-Encoding: chunked\r\n").framing(), Chunked)


@pytest.mark.parametrize(
    ("version", "connection", "expected"),
    [
        ("1.1", "", True),
        ("1.1", "close", False),
        ("1.1", "Upgrade, Close", False),
        ("1.0", "", False),
        ("1.0", "Keep-Alive", True),
    ],
)
def test_keep_alive(version: str, connection: str, expected: bool) -> None:
    assert (
        request(headers=f"Connection: {connection}\r\n" if connection else "", version=version).keep_alive is expected
    )


def test_a_client_of_http_1_0_is_never_told_to_continue() -> None:
    assert request(headers="Expect: 100-Continue\r\n").expects_continue
    assert not request(headers="Expect: 100-continue\r\n", version="1.0").expects_continue


@pytest.mark.parametrize(
    ("head", "method", "kind"),
    [
        ("200 OK\r\nContent-Length: 3", "GET", Sized),
        ("200 OK\r\nContent-Length: 3", "HEAD", None),
        ("200 OK\r\nTransfer-Encoding: chunked", "GET", Chunked),
        ("200 OK\r\nTransfer-Encoding: chunked", "HEAD", None),
        ("204 No Content", "DELETE", None),
        ("304 Not Modified", "POST", None),
        ("200 OK", "POST", UntilClose),
        ("100 Continue", "POST", None),
    ],
)
def test_the_framing_of_a_response(head: str, method: str, kind: type | None) -> None:
    framing = parse_response(f"HTTP/1.1 {head}\r\n\r\n".encode()).framing(method)
    assert framing.done if kind is None else isinstance(framing, kind) and not framing.done


def test_switching_protocols_is_a_final_head() -> None:
    head = parse_response(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
    assert (head.status, head.interim) == (101, False)
    assert parse_response(b"HTTP/1.1 100 Continue\r\n\r\n").interim


def test_what_is_no_response_is_refused() -> None:
    with pytest.raises(ResponseError):
        parse_response(b"SSH-2.0-OpenSSH\r\n\r\n")


def test_the_end_of_a_head_is_found_across_pieces() -> None:
    buffer = bytearray(b"GET / HTTP/1.1\r\nHost: a\r\n\r")
    assert head_end(buffer) == 0
    searched = len(buffer)
    buffer += b"\nbody"
    assert buffer[: head_end(buffer, searched)].endswith(b"\r\n\r\n")
    assert buffer[head_end(buffer, searched) :] == b"body"


def test_heads_with_bare_newlines_end_too() -> None:
    raw = b"GET /x HTTP/1.1\nHost: a\n\n"
    assert head_end(bytearray(raw)) == len(raw)
    assert parse_request(raw).path == "/x"


def test_versions_are_read_as_numbers() -> None:
    assert parse_version("1.9") < parse_version("1.12")
    assert parse_version("1") == (1, 0)
    assert parse_version("1.41.2") == (1, 41)
