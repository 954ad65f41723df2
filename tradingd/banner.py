"""What the console says before the story begins and after it has ended."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tradingd.version import VERSION

_NAMED: Final = 8


def welcome(mode: str, where: str, symbols: Sequence[str], url: str, data_dir: Path) -> str:
    """Where to look, how to log in, how to stop."""
    names = ", ".join(symbols[:_NAMED]) + (f" and {len(symbols) - _NAMED} more" if len(symbols) > _NAMED else "")
    lines = [
        "",
        f"tradingd {VERSION}: {mode} trading on {where} ({names})",
        f"  control   {url}/docs   (health: {url}/api/health)",
        "  look      .venv/bin/tradingd status | orders | positions | explain ORDER   (no password needed)",
        f"  log in    POST {url}/api/auth/login as operator (lost the password? tradingd user password)",
        f"  stop      Ctrl-C, or .venv/bin/tradingd shutdown   (state is kept in {short(data_dir)})",
        "",
    ]
    return "\n".join(lines) + "\n"


def farewell(reason: str, held: Sequence[str], armed: int, data_dir: Path) -> str:
    """Why it ended, and what nobody watches from now on."""
    text = f"{reason}; state is kept in {short(data_dir)}"
    if held:
        stay = "1 position stays" if len(held) == 1 else f"{len(held)} positions stay"
        text += f"; {stay} open ({', '.join(held)}), watched by nobody until the next start ({armed} stops and trails)"
    return text


def short(path: Path) -> str:
    """Relative to the working directory where that is shorter to read."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
