"""What a single run is asked to do beyond the settings."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunOptions:
    """One start of the daemon.

    `replay`: recordings to trade on instead of the venue's stream, in order; empty = the live stream.
    `speed`: of a replay, 1 = as recorded, 0 = as fast as possible. `for_seconds`: stop by itself after this
    much session time; None = run until told to stop. `no_safe` turns the protection after repeated crashes
    off: the daemon then starts trading even when its last starts ended in a crash. `symbols_given`: the user
    named symbols (otherwise a replay takes all that the recording holds).
    `patience_s`: so long a first start that does not reach the venue asks again before it ends; a later one goes on.
    `configured_mode` is what the configuration says, whatever mode was chosen since.
    """

    replay: tuple[Path, ...] = ()
    speed: float = 1.0
    for_seconds: float | None = None
    no_safe: bool = False
    symbols_given: bool = False
    patience_s: float = 0.0
    configured_mode: str = ""
