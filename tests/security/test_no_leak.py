# SPDX-License-Identifier: Apache-2.0
"""Nothing secret is in what objects look like, in answers or in logs, even before anything is hidden there."""

from __future__ import annotations

import logging
from pathlib import Path

from security import leaks


async def test_no_secret_is_seen_where_others_read(tmp_path: Path) -> None:
    looked_at, hits = await leaks.scan(tmp_path)
    assert hits == []
    assert looked_at > 60


def test_the_scan_sees_a_secret_in_each_form_and_before_it_is_hidden() -> None:
    secrets = leaks.Secrets()
    text, token = secrets.make(), secrets.token("SWMTKN-1-" + "a" * 50 + "-" + "b" * 25)
    with leaks.hearing() as heard:
        log = logging.getLogger("queenright.test")
        log.debug("joining with %s", token)
        log.debug("plain", extra={"data": text})
        try:
            raise ValueError(text)
        except ValueError:
            log.exception("failed")
    assert [bool(secrets.found(each)) for each in heard.texts] == [True, True, True]
    assert secrets.found(text.encode().hex()) and secrets.found(token[-25:])
    assert not secrets.found("nothing")
