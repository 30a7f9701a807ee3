# SPDX-License-Identifier: Apache-2.0
"""Refusals: what programs read off them (class, code, reason) and what people read (the text)."""

from __future__ import annotations

import inspect
import re
from types import ModuleType

import pytest

from queenright.model import errors, join
from queenright.model.errors import InvalidArgument, OutcomeUnknown, OutOfSequence, Refusal, TooLarge
from queenright.model.join import REFUSALS, BadToken, JoinLimited, JoinRefused

# The codes of gRPC, in the spelling that clients match in texts ("rpc error: code = NotFound desc = ...").
GRPC = {
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
    "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable",
    "DataLoss", "Unauthenticated",
}  # fmt: skip


def defined(module: ModuleType) -> list[type[Refusal]]:
    found = [item for _, item in inspect.getmembers(module, inspect.isclass) if item.__module__ == module.__name__]
    return [item for item in found if issubclass(item, Refusal)]


def made(kind: type[Refusal]) -> Refusal:
    """One with nothing said beyond what it needs."""
    return kind() if issubclass(kind, JoinRefused | OutOfSequence) else kind("words")


ERRORS, JOINS = defined(errors), defined(join)
each_error = pytest.mark.parametrize("kind", [*ERRORS, *JOINS], ids=lambda kind: kind.__name__)
each_join = pytest.mark.parametrize("kind", JOINS, ids=lambda kind: kind.__name__)


@each_error
def test_every_refusal_has_a_code_that_grpc_knows(kind: type[Refusal]) -> None:
    assert kind.code in GRPC - {"OK"}


@each_error
def test_a_refusal_says_its_text_and_nothing_else(kind: type[Refusal]) -> None:
    refusal = made(kind)
    assert str(refusal) == (kind.default if issubclass(kind, JoinRefused) else str(refusal.args[0]))
    assert str(refusal).strip()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("InvalidArgument", "InvalidArgument"),
        ("TooLarge", "InvalidArgument"),
        ("NotFound", "NotFound"),
        ("AlreadyExists", "AlreadyExists"),
        ("FailedPrecondition", "FailedPrecondition"),
        ("PermissionDenied", "PermissionDenied"),
        ("Unauthenticated", "Unauthenticated"),
        ("Unimplemented", "Unimplemented"),
        ("Unavailable", "Unavailable"),
        ("OutOfSequence", "Unknown"),
        ("OutcomeUnknown", "Unavailable"),
    ],
)
def test_each_refusal_has_the_code_that_clients_expect(name: str, code: str) -> None:
    assert getattr(errors, name).code == code


def test_a_text_is_shown_with_the_rpc_prefix_unless_it_is_plain() -> None:
    assert not InvalidArgument("no").plain
    assert InvalidArgument("no", plain=True).plain


def test_a_stale_update_is_told_in_dockers_words() -> None:
    assert str(OutOfSequence()) == "update out of sequence"
    assert str(OutOfSequence("other")) == "other"


def test_what_may_have_happened_is_not_taken_for_what_did_not() -> None:
    assert not issubclass(OutcomeUnknown, errors.Unavailable), "a retry of Unavailable could do it twice"
    assert not isinstance(OutcomeUnknown("x"), errors.FailedPrecondition)


def test_too_much_for_one_entry_is_an_invalid_argument_to_whoever_does_not_care() -> None:
    with pytest.raises(InvalidArgument):
        raise TooLarge("x")


def test_every_refused_join_can_be_told_by_its_word() -> None:
    assert set(REFUSALS.values()) == set(JOINS)
    assert {word: kind.reason for word, kind in REFUSALS.items()} == {word: word for word in REFUSALS}
    assert len({kind.reason for kind in JOINS}) == len(JOINS), "no word for two"


def test_the_words_of_refused_joins_never_change() -> None:
    known = "refused bad-token ticket-used ticket-expired ticket-of-other-key bad-request rate-limited not-leader"
    assert set(known.split()) <= set(REFUSALS), "nodes of other releases read them"


@each_join
def test_the_word_of_a_refused_join_is_one_for_programs(kind: type[JoinRefused]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.reason)
    assert kind().plain, "joiners get the text as it is"


@each_join
def test_a_refused_join_says_what_is_wrong_unless_more_is_known(kind: type[JoinRefused]) -> None:
    assert str(kind()) == kind.default
    assert str(kind("exactly this")) == "exactly this"
    assert kind.default[0].islower() or kind is BadToken, "it stands after a colon"
    assert not kind.default.endswith(".")


@pytest.mark.parametrize("reason", ["bad-token", "ticket-used", "ticket-expired", "ticket-of-other-key"])
def test_a_secret_that_does_not_open_names_the_way_to_one_that_does(reason: str) -> None:
    assert re.search(r"ask a manager|get (a new )?one", str(REFUSALS[reason]()))


def test_a_wrong_token_is_told_in_words_that_clients_match() -> None:
    assert str(BadToken()).startswith("A valid join token is necessary to join this cluster")


def test_a_node_that_joins_too_often_is_told_when_to_come_back() -> None:
    assert JoinLimited().retry_after > 0
    assert JoinLimited("slow down", retry_after=2.5).retry_after == 2.5
    assert REFUSALS["rate-limited"] is JoinLimited
