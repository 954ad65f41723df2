"""Paper or live, chosen while the daemon runs: an orderly end, and the same command line again in the other mode.

The configuration has the last word on live: a person may take a live daemon to paper and back, but nothing here can
make one live whose configuration (and consent in the environment) does not say so. "Paper" is written down, so that
a crash does not bring a daemon back to life with real money.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from tradingd.data_dir import write_durably
from tradingd.settings import Settings

MODE_FILE: Final = "mode.json"
Mode = Literal["paper", "live"]
REPLAY_REFUSAL: Final = ("MODE_NOT_ALLOWED", "this is a replay: it has no other mode")


def as_chosen(settings: Settings) -> Settings:
    """The settings in the mode that was chosen last: the configured one, or paper in its place.

    A file that cannot be read means paper: it was written because somebody wanted that.
    """
    if settings.mode != "live" or not os.path.lexists(settings.data_dir / MODE_FILE):
        return settings
    return settings.model_copy(update={"mode": "paper"})


def why_not(
    mode: Mode, *, configured: str, is_replay: bool, working: Sequence[str], held: Sequence[str]
) -> tuple[str, str] | None:
    """Code and sentence of what stands in the way of `mode`; None when nothing does."""
    if is_replay:
        return REPLAY_REFUSAL
    if mode == "live" and configured != "live":
        return (
            "MODE_NOT_ALLOWED",
            'live needs mode = "live" in the configuration, and TRADINGD_ALLOW_LIVE=yes in the environment; '
            "this daemon was configured for paper",
        )
    if held:
        return "NOT_FLAT", f"positions are open ({', '.join(held[:10])}): close them first (`tradingd close --all`)"
    if working:
        return "NOT_FLAT", f"{len(working)} orders work ({', '.join(working[:5])}): cancel them first (`tradingd stop`)"
    return None


def write_choice(data_dir: Path, mode: Mode, by: str) -> None:
    """For the next start; raises OSError."""
    path = data_dir / MODE_FILE
    if mode == "live":
        path.unlink(missing_ok=True)
        return
    write_durably(path, json.dumps({"mode": mode, "by": by}) + "\n")  # a power cut must not bring the real money back


def start_again() -> None:
    """The same program with the same options in this process's place; returns only by raising OSError."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line, no shell
