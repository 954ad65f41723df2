"""The synthetic market: all pairs stepped together, 100 ms at a time, pure of any clock.

The same configuration and start state give the same steps: chance depends on seed, pair and step number only.
Client orders do not move it (fills of clients are not printed), so the path is the seed's alone.
"""

import math
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from exchanges.practice.candles import Bar, CandleStore, absorb
from exchanges.practice.history import PastOf, build
from exchanges.practice.ladder import Best, Diff, Ladder, Print
from exchanges.practice.pairs import Pair
from exchanges.practice.path import PricePath, step_generator

STEP_MS: Final = 100
_OWN_SHARE: Final = 0.85      # of a pair's own path in its log price; the rest is
_MARKET_SHARE: Final = 0.5    # the factor all pairs share
_LEVEL_NOTIONAL: Final = 12_000.0   # typical size of a book level in quote
_TRADES_PER_STEP: Final = 0.6
_KEPT_TRADES: Final = 1_000
_ID_LEAP: Final = 100_000     # ids skipped after a pause: more than any unsaved steps could have used


@dataclass(frozen=True, slots=True)
class PairStep:
    """What one pair did in one step; `closed` are (stored length's index, bar)."""

    events: Sequence[Print | Best]
    diff: Diff | None
    closed: Sequence[tuple[int, Bar]]


class SyntheticPair:
    """One pair: path, ladder, candles and the latest public trades."""

    __slots__ = ("_past_rng_key", "anchor_level", "anchor_ms", "candles", "has_history", "is_joined", "key",
                 "ladder", "pair", "past", "path", "trades")

    def __init__(self, pair: Pair, seed: int, volatility: float, start_ms: int) -> None:
        self.pair = pair
        self.key = zlib.crc32(pair.name.encode()) | 1 << 32
        self.path = PricePath(volatility)
        start = float(pair.start_price)
        tick = float(pair.tick)
        lots = _LEVEL_NOTIONAL / start / float(pair.step)
        self.ladder = Ladder(max(2.0, lots), max(1.0, start * 0.00008 / tick), _TRADES_PER_STEP / 4)
        self.ladder.update_id = 1_000_000 + self.key % 900_000
        self.ladder.trade_id = 10_000_000 + self.key % 9_000_000
        self.candles = CandleStore()
        self.trades: deque[Print] = deque(maxlen=_KEPT_TRADES)
        self.past = PastOf(self._ticks, max(1.0, lots * 0.35), 10 * _TRADES_PER_STEP, volatility)
        self.anchor_ms = start_ms
        self.anchor_level = 0.0
        self.has_history = False
        self.is_joined = False  # the bars in which the live path began hold their part of the past
        self._past_rng_key = f"{seed}/{pair.name}/past"

    def _ticks(self, level: float) -> int:
        return max(2, round(float(self.pair.start_price) * math.exp(level) / float(self.pair.tick)))

    def level(self, market_level: float) -> float:
        """The pair's log price relative to its start."""
        return _OWN_SHARE * self.path.level + _MARKET_SHARE * market_level

    def shock(self, ratio: float) -> None:
        """Multiply the price from the next step on."""
        change = math.log(ratio) / _OWN_SHARE
        self.path.level += change
        self.path.centre += change

    def step(self, rng: Random, market_level: float, end_ms: int) -> PairStep:
        """Advance to `end_ms`."""
        self.path.advance(rng)
        level = self.level(market_level)
        bid, ask = self._quote(level, self.path.spread)
        start_ms = end_ms - STEP_MS
        if self.candles.forming[0] is None:
            self.candles.roll(start_ms, self._ticks(level))
        events, diff = self.ladder.step(rng, bid, ask, start_ms)
        last = self._ticks(level)
        for event in events:
            if isinstance(event, Print):
                self.trades.append(event)
                self.candles.trade(event.price, event.lots, event.trade_id, not event.maker_is_buyer)
        if self.trades:
            last = self.trades[-1].price
        return PairStep(events, diff, self.candles.roll(end_ms, last))

    def _quote(self, level: float, spread: float) -> tuple[int, int]:
        price = float(self.pair.start_price) * math.exp(level) / float(self.pair.tick)
        bid = max(1, math.floor(price * (1 - spread / 2)))
        return bid, max(bid + 1, math.ceil(price * (1 + spread / 2)))

    def ensure_history(self) -> None:
        """Generate the past before the first start, once; it ends where the path began."""
        if self.has_history:
            return
        self.has_history = True
        self._put(build(self.past, Random(self._past_rng_key), self.anchor_level, self.anchor_ms))  # noqa: S311

    def begin_at(self, anchor_ms: int, market_level: float) -> None:
        """Start, or start anew after the pair was not listed for a while: ids leap, candles begin here."""
        self.anchor_ms, self.anchor_level = anchor_ms, self.level(market_level)
        self.ladder.update_id += _ID_LEAP
        self.ladder.trade_id += _ID_LEAP

    def bridge(self, since_ms: int, level: float, until_ms: int, step: int) -> None:
        """Fill the candles of a pause between two runs, and leap the ids over whatever was not saved."""
        self.ladder.update_id += _ID_LEAP
        self.ladder.trade_id += _ID_LEAP
        rng = Random(f"{self._past_rng_key}/{step}")  # noqa: S311
        tiers = build(self.past, rng, level, until_ms, (since_ms, level))
        for tier, bars in enumerate(tiers):
            self.candles.resume(tier, bars)
        self.candles.roll(until_ms, self._ticks(level))

    def _put(self, tiers: list[list[Bar]]) -> None:
        """In front of what the live path has made; an incomplete last bar joins the first live one."""
        for tier, bars in enumerate(tiers):
            live = self.candles.closed[tier][0] if self.candles.closed[tier] else self.candles.forming[tier]
            if live is not None and bars and bars[-1].open_ms == live.open_ms:
                joined = bars.pop()
                if not self.is_joined:
                    absorb(joined, live)
                    for name in Bar.__slots__:
                        setattr(live, name, getattr(joined, name))
            self.candles.load(tier, bars)
        self.is_joined = True


class SyntheticMarket:
    """All pairs. `position` is the number of the last step made; step n ends at n * 100 ms UTC."""

    __slots__ = ("_absent", "_market", "_rng", "_seed", "pairs", "position")

    def __init__(self, pairs: Sequence[Pair], seed: int, volatility: float, start_ms: int) -> None:
        start_ms -= start_ms % 1000
        self.position = start_ms // STEP_MS
        self._seed = seed
        self._rng = Random(0)  # noqa: S311 - a market's chance, seeded anew for each step
        self._market = PricePath(volatility)
        self._absent: dict[str, Any] = {}  # saved states of pairs that are not listed now
        self.pairs = {pair.name: SyntheticPair(pair, seed, volatility, start_ms) for pair in pairs}

    @property
    def now_ms(self) -> int:
        """The end of the last step."""
        return self.position * STEP_MS

    def step(self) -> dict[str, PairStep]:
        """Advance all pairs by 100 ms."""
        self.position += 1
        market = self._market.advance(step_generator(self._rng, self._seed, 0, self.position))
        end_ms = self.now_ms
        return {
            name: one.step(step_generator(self._rng, self._seed, one.key, self.position), market, end_ms)
            for name, one in self.pairs.items()
        }

    def leap(self, to_ms: int) -> bool:
        """Skip a pause: prices stay, ids leap, the candles of the pause are made up so that both ends join."""
        to_ms -= to_ms % 1000
        since_ms = self.now_ms - self.now_ms % 1000
        if to_ms <= since_ms + 1000:
            return False
        for one in self.pairs.values():
            one.bridge(since_ms, one.level(self._market.level), to_ms, self.position)
        self.position = to_ms // STEP_MS
        return True

    def to_state(self) -> dict[str, Any]:
        """Everything the next step depends on, and the forming candles."""
        return {
            "position": self.position, "market": self._market.to_state(),
            "absent": self._absent,
            "pairs": {
                name: {
                    "anchor_ms": one.anchor_ms, "anchor_level": one.anchor_level, "is_joined": one.is_joined,
                    "path": one.path.to_state(), "ids": [one.ladder.update_id, one.ladder.trade_id],
                    "ladder": one.ladder.to_state(),
                    "forming": [bar.to_list() if bar else None for bar in one.candles.forming],
                    "trades": [list(trade) for trade in list(one.trades)[-50:]],
                }
                for name, one in self.pairs.items()
            },
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from `to_state`; a pair that was not listed then starts anew at the same position."""
        self.position = state["position"]
        self._market.load_state(state["market"])
        for name, one in self.pairs.items():
            saved = state["pairs"].get(name)
            if saved is None:
                before = state["absent"].get(name)
                if before is not None:
                    one.path.load_state(before["path"])
                    one.ladder.update_id, one.ladder.trade_id = before["ids"]
                one.begin_at(self.now_ms - self.now_ms % 1000, self._market.level)
                continue
            one.anchor_ms, one.anchor_level, one.is_joined = (
                saved["anchor_ms"], saved["anchor_level"], saved["is_joined"],
            )
            one.path.load_state(saved["path"])
            one.ladder.load_state(saved["ladder"])
            one.candles.forming = [Bar(*bar) if bar else None for bar in saved["forming"]]
            one.trades.extend(Print(*trade) for trade in saved["trades"])
        known = {**state["absent"], **state["pairs"]}
        self._absent = {
            name: {"path": saved["path"], "ids": saved["ids"]}
            for name, saved in known.items() if name not in self.pairs
        }
