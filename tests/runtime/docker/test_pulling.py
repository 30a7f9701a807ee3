# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from docker.errors import APIError
from requests import Response

from queenright.agent.ports import TaskError, TemporaryError
from queenright.edge.docker import pulling
from queenright.edge.docker.pulling import Progress, pull, refusal


def line(layer: str, status: str, current: int = 0, total: int = 0) -> dict[str, Any]:
    return {"id": layer, "status": status, "progressDetail": {"current": current, "total": total} if total else {}}


def text_after(*lines: dict[str, Any]) -> str:
    progress = Progress()
    for item in lines:
        progress.take(item)
    return progress.text


def test_before_the_first_layer_is_known_it_is_just_a_pull() -> None:
    assert text_after({"status": "Pulling from library/app", "id": "1.0"}) == "pulling image"


def test_the_bytes_of_all_layers_are_added_up() -> None:
    lines = (
        line("a", "Downloading", 2_000_000, 4_000_000),
        line("b", "Downloading", 500_000, 6_000_000),
        line("c", "Waiting"),
    )
    assert text_after(*lines) == "pulling image: 0 of 3 layers, 2.5 of 10.0 MB"


def test_unpacking_takes_nothing_back_of_what_was_downloaded() -> None:
    lines = (
        line("a", "Downloading", 4_000_000, 4_000_000),
        line("a", "Download complete"),
        line("a", "Extracting", 1_000, 4_000_000),
    )
    assert text_after(*lines) == "pulling image: 0 of 1 layers, 4.0 of 4.0 MB"


def test_layers_that_are_there_already_count_as_done() -> None:
    lines = (
        line("a", "Already exists"),
        line("b", "Downloading", 1_000_000, 1_000_000),
        line("b", "Pull complete"),
        {"status": "Digest: sha256:abc"},
    )
    assert text_after(*lines) == "pulling image: 2 of 2 layers, 1.0 of 1.0 MB"


@pytest.mark.parametrize(
    "text",
    [
        "Get https://r.example/v2/: dial tcp: lookup r.example: no such host",
        "Get https://r.example/v2/: net/http: TLS handshake timeout",
        "received unexpected HTTP status: 503 Service Unavailable",
        "toomanyrequests: You have reached your pull rate limit",
        "unexpected EOF",
        "dial tcp 192.0.2.1:443: connect: no route to host",
    ],
)
def test_what_may_pass_is_worth_another_try(text: str) -> None:
    assert isinstance(refusal(text), TemporaryError)


@pytest.mark.parametrize(
    "text",
    [
        "manifest for app:9 not found: manifest unknown: manifest unknown",
        "pull access denied for app, repository does not exist or may require 'docker login': denied",
        "Head https://r.example/v2/app/manifests/1: unauthorized: authentication required",
        "no matching manifest for linux/arm64 in the manifest list entries",
        "write /var/lib/docker/tmp/x: no space left on device",
        "http: server gave HTTP response to HTTPS client",
        "x509: certificate signed by unknown authority",
        "words that nobody has foreseen",
    ],
)
def test_what_lasts_is_the_tasks_error(text: str) -> None:
    assert isinstance(refusal(text), TaskError)


@pytest.mark.parametrize(("status", "kind"), [(429, TemporaryError), (503, TemporaryError), (404, TaskError)])
def test_a_status_without_known_words_decides(status: int, kind: type[Exception]) -> None:
    assert isinstance(refusal("slow down", status), kind)


class Client:
    def __init__(self, *lines: dict[str, Any], error: APIError | None = None) -> None:
        self.lines, self.error = lines, error

    def pull(self, image: str, **_options: Any) -> Any:
        if self.error is not None:
            raise self.error
        return iter(self.lines)


def test_progress_is_told_at_once_and_then_seldom_and_only_if_it_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    told: list[str] = []

    def tick() -> float:
        now[0] += 4.0
        return now[0]

    monkeypatch.setattr(pulling.time, "monotonic", tick)
    lines = [line("a", "Downloading", part * 100_000, 1_000_000) for part in range(11)] + [line("a", "Waiting")] * 20
    pull(Client(*lines), "app:1", {}, told.append)  # type: ignore[arg-type]
    assert told[0] == "pulling image: 0 of 1 layers, 0.0 of 1.0 MB"
    assert 4 <= len(told) <= 6
    assert len(set(told)) == len(told)


def test_an_error_in_the_stream_ends_the_pull_with_its_meaning() -> None:
    bad = {"error": "denied: no", "errorDetail": {"message": "denied: no"}}
    with pytest.raises(TaskError, match=r"^denied: no$"):
        pull(Client({"status": "Pulling"}, bad), "app:1", {}, lambda text: None)  # type: ignore[arg-type]


def test_an_answer_that_refuses_says_what_the_engine_said() -> None:
    response = Response()
    response.status_code = 500
    error = APIError("500 Server Error", response, "Get https://r.example/v2/: EOF")
    with pytest.raises(TemporaryError, match=r"^Get https://r.example/v2/: EOF$"):
        pull(Client(error=error), "app:1", {}, lambda text: None)  # type: ignore[arg-type]
