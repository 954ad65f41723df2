"""Waiting until a venue that wants no requests (429, 418) may be asked again."""

import asyncio
from collections.abc import Callable
from typing import Final

from exchanges.answers import NoAnswerError

LONGEST_PAUSE_S: Final = 60.0
"""A Retry-After beyond this is not waited for: the caller is told instead."""
_LEAST_PAUSE_S: Final = 0.001


async def wait_out_ban(banned_for_s: Callable[[], float], url: str, share: str) -> None:
    """Until `banned_for_s` is 0; raises `NoAnswerError` where that is too far away.

    `url` is what is to be asked, `share` says how daemons should divide the limit ("one daemon per account").
    """
    while (pause := banned_for_s()) > 0:  # it may be lengthened meanwhile
        if pause > LONGEST_PAUSE_S:
            raise NoAnswerError(
                f"{url}: the venue wants no requests for another {pause:.0f} s (rate limit). "
                f"Wait, and ask less: fewer symbols, or {share}."
            )
        await asyncio.sleep(max(pause, _LEAST_PAUSE_S))
