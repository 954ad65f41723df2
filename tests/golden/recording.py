"""A made-up recording of Binance frames: trends, rests and noise from a seed, in the format of real ones."""

import random
from pathlib import Path
from typing import Final

START_NS: Final = 1_723_161_600_000_000_000
_STEP_MS: Final = 50
_LEVELS: Final = 12


class _Symbol:
    """One market in whole ticks of 0.01: a drifting, noisy price, a book around it, gapless numbers."""

    def __init__(self, name: str, price_ticks: int, seed: int) -> None:
        self.name = name
        self._stream = name.lower()
        self._chance = random.Random(seed)
        self._price = float(price_ticks)
        self._drift = 0.0
        self._left = 0
        self._trade = 0
        self._update = 1_000 * seed
        self._bids: dict[int, str] = {}
        self._asks: dict[int, str] = {}

    def step(self, now_ms: int) -> list[str]:
        """The frames of 50 ms."""
        self._move()
        mid = round(self._price)
        bid, ask = mid - 1, mid + 1
        frames = []
        if now_ms % 100 == 0:
            frames.append(self._depth(now_ms, bid, ask))
        self._update += 1
        frames.append(self._frame(
            "bookTicker",
            f'{{"u":{self._update},"s":"{self.name}","b":"{_money(bid)}","B":"3.10000","a":"{_money(ask)}",'
            f'"A":"2.70000"}}',
        ))
        for _ in range(self._chance.randint(0, 2)):
            self._trade += 1
            is_sold = self._chance.random() < 0.5
            price = bid if is_sold else ask
            quantity = self._chance.randint(1, 400)
            frames.append(self._frame(
                "trade",
                f'{{"e":"trade","E":{now_ms},"s":"{self.name}","t":{self._trade},"p":"{_money(price)}",'
                f'"q":"{quantity // 100}.{quantity % 100:02d}000","T":{now_ms},'
                f'"m":{"true" if is_sold else "false"},"M":true}}',
            ))
        return frames

    def snapshot(self) -> str:
        """The REST answer that goes with the first depth frame."""
        sides = (_levels(self._bids, falling=True), _levels(self._asks, falling=False))
        return (
            f"https://api.binance.com/api/v3/depth?symbol={self.name}&limit=1000 "
            f'{{"lastUpdateId":{self._update - 1},"bids":[{sides[0]}],"asks":[{sides[1]}]}}'
        )

    def _move(self) -> None:
        if self._left == 0:
            # A trend or a rest of 6 to 20 s; a trend carries 0.3 to 1 %.
            self._left = self._chance.randint(120, 400)
            kind = self._chance.choice((-1, 0, 1))
            self._drift = kind * self._price * self._chance.uniform(0.003, 0.01) / self._left
        self._left -= 1
        self._price += self._drift + self._chance.gauss(0, self._price * 0.00003)

    def _depth(self, now_ms: int, bid: int, ask: int) -> str:
        first = self._update + 1
        self._update += 2
        changes = (
            self._side(self._bids, range(bid, bid - _LEVELS, -1)), self._side(self._asks, range(ask, ask + _LEVELS)),
        )
        return self._frame(
            "depth@100ms",
            f'{{"e":"depthUpdate","E":{now_ms},"s":"{self.name}","U":{first},"u":{self._update},'
            f'"b":[{changes[0]}],"a":[{changes[1]}]}}',
        )

    def _side(self, known: dict[int, str], wanted: range) -> str:
        new = {price: f"{self._chance.randint(1, 9)}.50000" for price in wanted}
        gone = [price for price in sorted(known) if price not in new]
        known.clear()
        known.update(new)
        return ",".join(
            [f'["{_money(price)}","0.00000"]' for price in gone]
            + [f'["{_money(price)}","{size}"]' for price, size in new.items()]
        )

    def _frame(self, kind: str, data: str) -> str:
        return f'{{"stream":"{self._stream}@{kind}","data":{data}}}'


def _levels(side: dict[int, str], *, falling: bool) -> str:
    return ",".join(f'["{_money(price)}","{side[price]}"]' for price in sorted(side, reverse=falling))


def _money(ticks: int) -> str:
    return f"{ticks // 100}.{ticks % 100:02d}000000"


def write_recording(path: Path, *, seed: int, seconds: int, gap_after_s: int = 0, gap_s: int = 0) -> Path:
    """Two symbols; with a gap, `gap_s` seconds of silence after `gap_after_s`."""
    symbols = (_Symbol("BTCUSDT", 6_000_000, seed), _Symbol("ETHUSDT", 250_000, seed + 1))
    start_ms = START_NS // 1_000_000
    with path.open("w") as file:
        for step in range(seconds * 1000 // _STEP_MS):
            now_ms = start_ms + step * _STEP_MS
            if gap_s and now_ms >= start_ms + gap_after_s * 1000:
                now_ms += gap_s * 1000
            ns = now_ms * 1_000_000
            for symbol in symbols:
                for frame in symbol.step(now_ms):
                    ns += 1_700
                    file.write(f"{ns}\t<\t{frame}\n")
                    if step == 0 and "@depth" in frame:
                        file.write(f"{ns}\t=\t{symbol.snapshot()}\n")
    return path
