"""What the console says before the story begins and after it has ended."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from tradingd.version import VERSION

_NAMED: Final = 8


def welcome(mode: str, where: str, symbols: Sequence[str], url: str, data_dir: Path) -> str:
    """Where to look, how to log in, how to stop. `url` "": the control API could not be opened yet."""
    names = ", ".join(symbols[:_NAMED]) + (f" and {len(symbols) - _NAMED} more" if len(symbols) > _NAMED else "")
    is_usual = data_dir.absolute() == Path("data").absolute()
    where_it_is = "" if is_usual else f" --data-dir {short(data_dir)}"
    control = [
        f"  control   {url}/docs   (health: {url}/api/health)",
        f"  look      .venv/bin/tradingd status{where_it_is}   (or orders, positions, explain ORDER; no password)",
        f"  log in    POST {url}/api/auth/login as operator (lost the password? tradingd user password)",
    ] if url else ["  control   not yet: it is tried again and again, as the alert says"]
    lines = [
        "",
        f"tradingd {VERSION}: {mode} trading on {where} ({names})",
        *control,
        f"  stop      Ctrl-C, or .venv/bin/tradingd shutdown{where_it_is}   (state is kept in {short(data_dir)})",
        "",
    ]
    return "\n".join(lines) + "\n"


def farewell(
    reason: str, held: Sequence[str], armed: int, data_dir: Path, guarded: Collection[str] = frozenset(),
) -> str:
    """Why it ended, and what nobody watches from now on. `guarded`: symbols with a stop resting at the venue."""
    text = f"{reason}; state is kept in {short(data_dir)}"
    safe, bare = [name for name in held if name in guarded], [name for name in held if name not in guarded]
    if safe:
        text += f"; {_stay(safe)} open with a stop resting at the venue"
    if bare:
        text += f"; {_stay(bare)} open, watched by nobody until the next start"
    return f"{text} ({armed} stops and trails of our own sleep)" if held else text


def _stay(names: Sequence[str]) -> str:
    return f"{'1 position stays' if len(names) == 1 else f'{len(names)} positions stay'} ({', '.join(names)})"


def short(path: Path) -> str:
    """Relative to the working directory where that is shorter to read."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
