"""Whether the kill file could be made: the way by which a person without a client stops trading must be open."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tradingd.kill_file import KILL_FILE

TRY_AGAIN_S: Final = 5.0


def why_no_kill_file(data_dir: Path) -> str:
    """"" when it could be made."""
    trial = data_dir / f".{KILL_FILE}.trial"
    try:
        os.lstat(data_dir)
        trial.write_text("", encoding="utf-8")
        trial.unlink()
        os.listdir(data_dir)
    except OSError as error:
        return f"{data_dir / KILL_FILE}: the kill file could not be made there ({error.strerror})"
    return ""


async def until_it_can_be_made(data_dir: Path, tell: Callable[[str], object], *, pause_s: float = TRY_AGAIN_S) -> None:
    """Tries again and again; `tell` hears "" at the end."""
    while why_no_kill_file(data_dir):  # noqa: ASYNC110 - a disk is asked, nobody here could set an event
        await asyncio.sleep(pause_s)
    tell("")
