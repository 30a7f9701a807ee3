# SPDX-License-Identifier: Apache-2.0
"""A hundred new connections at once while the certificate changes."""

from __future__ import annotations

from security.handshakes import AT_ONCE, Changing, storm


async def test_no_handshake_fails_while_the_certificate_changes() -> None:
    site = Changing()
    await site.start()
    try:
        outcomes = await storm(site, rounds=2)
    finally:
        await site.stop()
    assert len(outcomes) == 2 * AT_ONCE
    assert {outcome for outcome in outcomes if outcome[0] != "OK"} == set()
    assert site.turns >= 10
