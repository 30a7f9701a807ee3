# SPDX-License-Identifier: Apache-2.0
"""Which requests are ours."""

from __future__ import annotations

import pytest

from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response
from queenright.edge.http.router import Router


async def handler(request: Request) -> Response:
    return Response(200, request.path.encode())


async def other(request: Request) -> Response:
    return Response(200)


def test_names_in_a_pattern_match_one_segment() -> None:
    router = Router()
    router.add("POST", "/services/{id}/update", handler)
    route, params = router.find("POST", "/services/web/update")
    assert (route.handler, params) == (handler, {"id": "web"})


@pytest.mark.parametrize(
    "path", ["/services//update", "/services/a/b/update", "/services/web", "/services/web/update/"]
)
def test_reserved_paths_without_a_route_are_not_found(path: str) -> None:
    router = Router()
    router.add("POST", "/services/{id}/update", handler)
    with pytest.raises(ApiError, match="page not found") as caught:
        router.find("POST", path)
    assert caught.value.status == 404


def test_another_method_on_a_path_of_ours_is_not_found() -> None:
    router = Router()
    router.add("GET", "/nodes", handler)
    with pytest.raises(ApiError, match="page not found"):
        router.find("PUT", "/nodes")


@pytest.mark.parametrize(
    "path", ["/swarm", "/swarm/x", "/tasks/a/b/c", "/secrets", "/configs/x", "/queenright/v2", "/queenright"]
)
def test_every_swarm_path_is_ours(path: str) -> None:
    with pytest.raises(ApiError, match="page not found"):
        Router().find("GET", path)


@pytest.mark.parametrize("path", ["/containers/json", "/", "*", "", "/swarmx", "/x/swarm", "/info", "//swarm"])
def test_everything_else_is_dockerds(path: str) -> None:
    assert Router().find("GET", path) is None


def test_fixed_segments_win_over_names_in_either_order() -> None:
    for patterns in (("/services/{id}", "/services/create"), ("/services/create", "/services/{id}")):
        router = Router()
        for pattern in patterns:
            router.add("POST", pattern, other if "{" in pattern else handler)
        assert router.find("POST", "/services/create")[0].handler is handler
        assert router.find("POST", "/services/x")[0].handler is other


def test_a_second_handler_for_the_same_pattern_is_refused() -> None:
    router = Router()
    router.add("GET", "/nodes", handler)
    with pytest.raises(ValueError, match="has a handler already"):
        router.add("GET", "/nodes", other)


def test_a_read_that_only_the_leader_can_answer_is_handed_on_like_a_write() -> None:
    router = Router()
    router.add("GET", "/nodes", handler)
    router.add("GET", "/queenright/v1/mesh", handler, led=True)
    assert router.find("GET", "/nodes")[0].reads
    assert not router.find("GET", "/queenright/v1/mesh")[0].reads
