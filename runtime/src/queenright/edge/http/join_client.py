# SPDX-License-Identifier: Apache-2.0
"""The joining side: from a manager's address and a join token (or ticket) to a certificate.

Nothing is sent before the root certificate that the manager shows has the digest in the token; the token itself goes
only through TLS that was verified against that root. The port is the control port + 1, which users never name.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import h11

from queenright.edge.http import join_messages
from queenright.lib import addresses
from queenright.lib.addresses import Address, AddressError
from queenright.model.identity import CA_SERVER_NAME, Identity
from queenright.model.join import JoinGrant, JoinLimited, JoinRefused, JoinRequest, NotLeader, NotSigned

CONTROL_PORT = 2377
_MAX_ANSWER = 256 * 1024
_SHORTEST_CONNECT = 0.5

# Checks (root PEM, chain PEM) and says who the chain belongs to; ValueError says what is wrong with it.
CertificateCheck = Callable[[bytes, bytes], Identity]


class JoinError(Exception):
    """No manager let this host in; the text has one sentence for each address that was tried.

    ``refusal`` is the manager's answer where there was one. ``temporary``: a later try, or one after a port was opened,
    may succeed with the same secret.
    """

    def __init__(self, message: str, refusal: JoinRefused | None = None, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.temporary = temporary


class _TryNext(Exception):  # noqa: N818 - steers the loop
    """This address did not work. ``again``: it may work later, without anybody changing anything; ``others``: managers
    that it names, whose addresses may work now; ``refusal``: its answer, if that is what counts in the end.
    """

    def __init__(
        self,
        message: str,
        *,
        again: bool = False,
        after: float = 0.0,
        others: Sequence[Address] = (),
        refusal: JoinRefused | None = None,
    ) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.again = again
        self.after = after
        self.others = others


@dataclass(frozen=True, slots=True)
class Joined:
    """What the new member keeps: the grant, the root its certificate was checked against, and who let it in."""

    grant: JoinGrant
    identity: Identity
    root_pem: bytes
    remote: Address


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds, and how often to begin again where that may help.

    Connecting and waiting fit into ``total``; a manager that is answering is waited for beyond it.
    """

    connect: float = 5.0
    answer: float = 35.0
    rounds: int = 5
    pause: float = 2.0
    total: float = 18.0


async def join(
    remotes: Sequence[str],
    request: JoinRequest,
    *,
    check: CertificateCheck,
    patience: Patience | None = None,
) -> Joined:
    """Become a member through the first manager of ``remotes`` (``HOST`` or ``HOST:PORT``) that lets this host in.

    A manager that has no leader now names the others, which are tried too. ``check`` verifies the certificate that
    comes back against the root and this node's own key. Raises JoinError when all addresses failed, at once when a
    manager refused for good; AddressError for a text that is no address.
    """
    patience = patience or Patience()
    failures: dict[Address, _TryNext] = {}
    left = _targets(remotes)
    clock = asyncio.get_running_loop().time
    end = clock() + patience.total
    for round_number in range(patience.rounds):
        if round_number:
            pause = max(patience.pause, min(failures[target].after for target in left))
            if clock() + pause >= end:
                break
            await asyncio.sleep(pause)
        for number, target in enumerate(left):
            share = max(_SHORTEST_CONNECT, (end - clock()) / (len(left) - number))
            hurried = replace(patience, connect=min(patience.connect, share))
            try:
                return await _join_one(target, request, check, hurried)
            except _TryNext as failure:
                failures[target] = failure
                left += [other for other in failure.others if other not in left and other not in failures]
        left = [target for target in left if failures[target].again]
        if not left:
            break
    raise JoinError(
        "cannot join: " + "; ".join(str(failure) for failure in failures.values()),
        next((failure.refusal for failure in failures.values() if failure.refusal is not None), None),
        temporary=any(failure.again for failure in failures.values()),
    )


def _targets(remotes: Sequence[str]) -> list[Address]:
    """The addresses, each once; every one is checked before the first is tried."""
    if not remotes:
        raise JoinError("no manager's address was given: name at least one as HOST or HOST:PORT")
    targets = list(dict.fromkeys(addresses.parse(text, CONTROL_PORT) for text in remotes))
    for target in targets:
        target.with_port(target.port + 1)
    return targets


async def _join_one(target: Address, request: JoinRequest, check: CertificateCheck, patience: Patience) -> Joined:
    root = await _fetch_root(target, request, patience)
    context = _client_context(target, root)
    body = join_messages.encode_request(request)
    status, answer, retry_after = await _call(target, context, "POST", join_messages.JOIN_PATH, body, patience)
    if status != 200:
        others = _named(join_messages.decode_others(answer))
        raise _refused(target, status, join_messages.decode_refusal(answer, retry_after), others)
    try:
        grant = join_messages.decode_grant(answer)
        identity = check(root, grant.certificate_pem)
    except ValueError as error:
        raise JoinError(f"the manager at {target} gave a certificate this node cannot use: {error}") from None
    if (identity.node_id, identity.cluster_id, identity.role) != (grant.node_id, grant.cluster_id, grant.role):
        raise JoinError(f"the manager at {target} gave a certificate that is not for the membership it granted")
    return Joined(grant, identity, root, target)


async def _fetch_root(target: Address, request: JoinRequest, patience: Patience) -> bytes:
    """The root certificate, only if it is the one the token was made for."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.minimum_version = ssl.TLSVersion.TLSv1_3
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # what comes is public, and worth nothing until its digest is checked
    status, root, _ = await _call(target, unverified, "GET", join_messages.ROOT_PATH, b"", patience)
    if status != 200:
        raise _TryNext(f"{_listener(target)} answered {status} instead of the root certificate: is it a manager?")
    if not request.secret.pins(root):
        raise _TryNext(
            f"remote CA does not match fingerprint: the root certificate of {target} is not the one in the "
            f"{request.secret.kind.title} (the token is of another swarm or older than the last root rotation, or "
            "somebody intercepts the connection); nothing was sent"
        )
    return root


def _client_context(target: Address, root: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cadata=root.decode("ascii"))
    except (ValueError, ssl.SSLError):
        raise _TryNext(f"the root certificate of {target} cannot be read") from None
    return context


def _named(texts: Sequence[str]) -> list[Address]:
    """Addresses that another manager gave; what is none is passed over."""
    found = []
    for text in texts:
        with contextlib.suppress(AddressError):
            address = addresses.parse(text, CONTROL_PORT)
            address.with_port(address.port + 1)
            found.append(address)
    return found


def _refused(target: Address, status: int, refusal: JoinRefused | None, others: Sequence[Address] = ()) -> Exception:
    """What to raise for an answer that is no grant."""
    if refusal is None:
        return _TryNext(f"{_listener(target)} answered {status}", again=status >= 500)
    if isinstance(refusal, JoinLimited):
        return _TryNext(f"{target}: {refusal}", again=True, after=refusal.retry_after)
    if isinstance(refusal, NotLeader):
        return _TryNext(f"{target}: {refusal}", again=True, others=others)
    if isinstance(refusal, NotSigned):  # the caller has more patience than this room
        return _TryNext(f"{target}: {refusal}", refusal=refusal)
    return JoinError(f"{refusal} (answer of {target})", refusal)


def _listener(target: Address) -> str:
    return f"{target.host} port {target.port + 1}"


async def _call(
    target: Address, context: ssl.SSLContext, method: str, path: str, body: bytes, patience: Patience
) -> tuple[int, bytes, str]:
    """One request on one connection: status, body and Retry-After. Raises _TryNext for everything that goes wrong."""
    name = CA_SERVER_NAME if context.check_hostname else None
    try:
        async with asyncio.timeout(patience.connect):
            reader, writer = await asyncio.open_connection(
                target.host, target.port + 1, ssl=context, server_hostname=name or CA_SERVER_NAME
            )
    except ssl.SSLCertVerificationError as error:
        raise _TryNext(f"{_listener(target)} showed a certificate that is not a manager's: {_tls(error)}") from None
    except ssl.SSLError as error:
        raise _TryNext(f"{_listener(target)} does not speak TLS 1.3 as a manager does: {_tls(error)}") from None
    except OSError as error:
        raise _unreachable(target, error) from None
    try:
        async with asyncio.timeout(patience.answer):
            return await _exchange(reader, writer, target, method, path, body)
    except h11.ProtocolError:
        raise _TryNext(f"{_listener(target)} does not answer as a manager does: it is not HTTP") from None
    except OSError as error:
        what = str(error) or f"no answer within {patience.answer:g} s"
        raise _TryNext(f"{_listener(target)} broke off: {what}", again=True) from None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(1.0):
                await writer.wait_closed()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Address, method: str, path: str, body: bytes
) -> tuple[int, bytes, str]:
    state = h11.Connection(h11.CLIENT)
    headers = [("host", str(target.with_port(target.port + 1))), ("connection", "close")]
    if body:
        headers += [("content-type", "application/json"), ("content-length", str(len(body)))]
    data = state.send(h11.Request(method=method, target=path, headers=headers)) or b""
    if body:
        data += state.send(h11.Data(data=body)) or b""
    writer.write(data + (state.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    status, retry_after, answer = 0, "", bytearray()
    while True:
        event = state.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(64 * 1024)
            if not data:
                raise ConnectionError("the connection was closed before the answer was whole")
            state.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
            retry_after = dict(event.headers).get(b"retry-after", b"").decode("ascii", "replace")
        elif isinstance(event, h11.Data):
            answer += event.data
            if len(answer) > _MAX_ANSWER:
                raise ConnectionError(f"the answer is larger than {_MAX_ANSWER} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(answer), retry_after
        elif not isinstance(event, h11.InformationalResponse):
            raise ConnectionError("the answer is of a kind that was not asked for")


def _unreachable(target: Address, error: OSError) -> _TryNext:
    # asyncio's own text repeats the address; a name that is not known has a negative number and a text of its own.
    known = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    what = known or str(error) or "no answer in time"
    return _TryNext(
        f"{_listener(target)} cannot be reached ({what}): is {target.host} a manager, and are the TCP ports "
        f"{target.port} and {target.port + 1} open to this host?",
        again=True,
    )


def _tls(error: ssl.SSLError) -> str:
    """OpenSSL's reason; for times, what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (9, 10):  # not yet valid, has expired
            return f"{error.verify_message}; compare the clocks of this host and of the manager"
        return str(error.verify_message)
    return (error.reason or "handshake failed").replace("_", " ").lower()
