"""Named sessions: what was run, on which data, by which version, and what came of it; stored as one JSON file each."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from market.money import to_text
from research.backtest.runner import Result, Trade

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


class SessionError(ValueError):
    """No such session, or a name that cannot be one."""


@dataclass(frozen=True, slots=True)
class SessionStore:
    """Sessions under one folder."""

    root: Path

    def write(self, name: str, document: Mapping[str, Any]) -> Path:
        """Whole or not at all; a session of the same name is replaced."""
        path = self._path(name)
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_text(to_json(document))
        os.replace(temporary, path)
        return path

    def read(self, name: str) -> dict[str, Any]:
        path = self._path(name)
        try:
            document: dict[str, Any] = json.loads(path.read_text())
        except OSError:
            there = ", ".join(self.names()) or "none yet"
            raise SessionError(f"no session is called {name!r}: there are {there}") from None
        except ValueError as error:
            raise SessionError(f"{path}: damaged ({error}). Run it again.") from error
        return document

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.root.glob("*.json")) if self.root.is_dir() else []

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise SessionError(f"{name!r} is no name for a session: letters, digits, _ . and - only")
        return self.root / f"{name}.json"


def to_json(document: Mapping[str, Any]) -> str:
    """The same document gives the same bytes."""
    return json.dumps(document, sort_keys=True, indent=1, allow_nan=False) + "\n"


def trade_rows(trades: Sequence[Trade]) -> list[dict[str, Any]]:
    """For JSON: money as decimal text, times as UTC ns."""
    return [
        {
            "symbol": each.symbol, "side": each.side, "entry_ts": each.entry_ts, "entry_price": _text(each.entry_price),
            "exit_ts": each.exit_ts, "exit_price": _text(each.exit_price), "quantity": _text(each.quantity),
            "fees": _text(each.fees), "pnl": _text(each.pnl),
        }
        for each in trades
    ]


def result_document(
    result: Result, ts: Sequence[int], figures: Mapping[str, Any], fingerprint: str, about: Mapping[str, Any],
) -> dict[str, Any]:
    """What `--json OUT` holds. Deterministic: no clock, no machine."""
    return {
        "about": dict(about), "trades": trade_rows(result.trades), "stats": dict(figures),
        "equity": [[at, round(value, 8)] for at, value in zip(ts, result.equity, strict=True)],
        "open_quantity": _text(result.open_quantity), "cash": _text(result.cash), "denials": dict(result.denials),
        "fingerprint": fingerprint,
    }


def _text(value: Decimal) -> str:
    """Plain digits, at most twelve after the point."""
    return to_text(round(value, 12).normalize() if value else value)
