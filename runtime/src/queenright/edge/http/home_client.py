# SPDX-License-Identifier: Apache-2.0
"""Asks a manager to let this member in again, over its join listener.

The connection proves nothing, and need not: nothing secret is sent, and what comes back is judged by whom it is for.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from queenright.edge.http import home_messages, join_messages
from queenright.edge.http.asking import NoAnswerError, ask
from queenright.lib import addresses
from queenright.model.home import HomeGrant, HomeRequest

CONTROL_PORT = 2377
TIMEOUT = 40.0  # seconds: the manager may have to ask the leader, and that one an authority outside
SHORT = 5.0  # for what a manager knows itself
MOST = 256 * 1024


class HomeError(Exception):
    """This manager did not let the node in; the text says why."""


async def root(manager: str) -> bytes:
    """The root certificate (PEM) that a manager (``host:port`` of its control port) shows. Raises HomeError."""
    return await _ask("GET", manager, join_messages.ROOT_PATH, b"", SHORT)


async def come(manager: str, chain_pem: bytes, csr_pem: bytes, prove: Callable[[bytes], bytes]) -> HomeGrant:
    """What a manager grants, unchecked. ``prove`` makes the proof for a challenge. Raises HomeError."""
    try:
        challenge = home_messages.decode_challenge(await _ask("GET", manager, home_messages.CHALLENGE_PATH, b"", SHORT))
        request = HomeRequest(chain_pem, csr_pem, challenge, prove(challenge))
        body = home_messages.encode_request(request)
        return home_messages.decode_grant(await _ask("POST", manager, home_messages.HOME_PATH, body, TIMEOUT))
    except ValueError as error:
        raise HomeError(f"manager {manager} gave an answer that cannot be read: {error}") from error


async def _ask(method: str, manager: str, path: str, body: bytes, timeout: float) -> bytes:
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.minimum_version = ssl.TLSVersion.TLSv1_3
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    try:
        address = addresses.parse(manager, CONTROL_PORT)
        url = f"https://{address.with_port(address.port + 1)}{path}"
        status, answer = await ask(method, url, body, unverified, timeout=timeout, most=MOST)
    except (NoAnswerError, addresses.AddressError) as error:
        raise HomeError(f"manager {manager}: {error}") from error
    if status != 200:
        refusal = join_messages.decode_refusal(answer)
        raise HomeError(f"manager {manager}: {refusal or f'it answered with status {status}'}")
    return answer
