"""The synthetic market on disk: a small snapshot, replaced as a whole, and a log of closed candles."""

import os
from io import BufferedWriter
from pathlib import Path
from typing import Final

import orjson

from exchanges.practice.candles import TIERS_MS, Bar
from exchanges.practice.config import PracticeError
from exchanges.practice.synthetic import SyntheticMarket

_VERSION: Final = 1
_REWRITE_BYTES: Final = 24 * 1024 * 1024


class MarketFile:
    """Saves and restores one market. The log may run ahead of the snapshot; what is ahead is ignored."""

    def __init__(self, folder: Path, market: SyntheticMarket, seed: int) -> None:
        self._snapshot = folder / f"market-{seed}.json"
        self._candles = folder / f"candles-{seed}.jsonl"
        self._market = market
        self._log: BufferedWriter | None = None
        self._waiting: list[bytes] = []

    def restore(self) -> bool:
        """Continue from disk where there is something; raises `PracticeError` when it cannot be understood."""
        self._snapshot.parent.mkdir(parents=True, exist_ok=True)
        if not self._snapshot.exists():
            self._candles.unlink(missing_ok=True)
            self._log = self._candles.open("ab")
            return False
        try:
            state = orjson.loads(self._snapshot.read_bytes())
            if state["version"] != _VERSION:
                raise ValueError(f"version {state['version']}, expected {_VERSION}")
            self._market.load_state(state["market"])
            self._load_candles()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PracticeError(
                f"{self._snapshot}: cannot be continued ({error}): move the file away for a new market"
            ) from error
        return True

    def closed(self, name: str, tier: int, bar: Bar) -> None:
        """A candle has closed; it goes to disk with the next `save`."""
        self._waiting.append(orjson.dumps([name, tier, *bar.to_list()]))

    def save(self) -> None:
        """Candles first, then the snapshot that counts on them."""
        if self._log is not None and self._waiting:
            self._log.write(b"\n".join([*self._waiting, b""]))
            self._log.flush()
            self._waiting.clear()
        replace(self._snapshot, orjson.dumps({"version": _VERSION, "market": self._market.to_state()}))
        if self._log is not None and self._log.tell() > _REWRITE_BYTES:
            self._rewrite()

    def save_all(self) -> None:
        """After a restart or a leap: the log anew from what is in memory, then the snapshot."""
        self._waiting.clear()
        self._rewrite()
        self.save()

    def close(self) -> None:
        self.save()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _load_candles(self) -> None:
        lines = self._candles.read_bytes().split(b"\n")[:-1] if self._candles.exists() else []
        for line in lines:
            name, tier, *numbers = orjson.loads(line)
            one = self._market.pairs.get(name)
            if one is None:
                continue
            bar = Bar(*numbers)
            forming, kept = one.candles.forming[tier], one.candles.closed[tier]
            is_ahead = forming is None or bar.open_ms >= forming.open_ms
            if not is_ahead and not (kept and kept[-1].open_ms >= bar.open_ms):
                kept.append(bar)

    def _rewrite(self) -> None:
        """Only the candles still kept."""
        lines = [
            orjson.dumps([name, tier, *bar.to_list()])
            for name, one in self._market.pairs.items()
            for tier, bars in enumerate(one.candles.closed)
            for bar in bars
            if bar.open_ms + TIERS_MS[tier] > one.anchor_ms  # what lies before is generated anew
        ]
        if self._log is not None:
            self._log.close()
        replace(self._candles, b"\n".join([*lines, b""]) if lines else b"")
        self._log = self._candles.open("ab")


def replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a restart, sees the old or the new one and nothing between."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(content)
    os.replace(temporary, path)
