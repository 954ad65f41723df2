"""Sends a recording: same frames in the same order at any speed, times moved by whole weeks."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson

from exchanges.practice.hub import Client, Hub
from exchanges.practice.market_view import Level, MarketListener
from exchanges.practice.pairs import Pair
from exchanges.practice.recording import Frame
from exchanges.practice.recording_files import Session
from exchanges.practice.replay_book import SymbolPast
from exchanges.practice.replay_time import DAY_NS, shift_days, shifted

CLOCK: Final = "practice@clock"
_CLOCK_STEP_NS: Final = 1_000_000
_QUIET_S: Final = 0.1
"""A replay begins when its listeners have not changed their subscriptions for this long: so that several
SUBSCRIBE messages in a row all count before the first frame."""
_KLINE_ROW: Final = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")
_LONGEST_WAIT_S: Final = 5.0
_TURN: Final = 128  # frames sent before other tasks get a turn


class ReplayView:
    """Answers from what has been sent so far; the clock is the recording's."""

    __slots__ = ("_seed", "_speed", "days", "facts", "pairs", "past", "position", "position_ns")

    def __init__(self, session: Session, days: int, speed: float, seed: int) -> None:
        self.pairs: Mapping[str, Pair] = session.pairs
        self.facts = session.facts
        self.days = days
        self.past = {name: SymbolPast(pair, session.facts.symbols[name]) for name, pair in session.pairs.items()}
        self.position = 0
        self.position_ns = session.facts.first_ns + days * DAY_NS
        self._speed = speed
        self._seed = seed

    def now_ms(self) -> int:
        return self.position_ns // 1_000_000

    def accepts_stamp(self, stamp_ms: int, window_ms: int) -> bool:
        # A fast replay runs ahead of its clients: a stamp is good near the wall's clock or inside the recording.
        wall = time.time_ns() // 1_000_000
        first, last = self._shifted_ms(self.facts.first_ns), self._shifted_ms(self.facts.last_ns)
        return wall - window_ms <= stamp_ms < wall + 1_000 or first - window_ms <= stamp_ms < last + window_ms

    def _shifted_ms(self, ns: int) -> int:
        return (ns + self.days * DAY_NS) // 1_000_000

    def offers(self, name: str, *, is_bid: bool) -> Iterator[Level]:
        return self.past[name].offers(is_bid=is_bid)

    def book_version(self, name: str) -> int:
        return self.position

    def last_price(self, name: str) -> Decimal | None:
        return self.past[name].last_price()

    def depth(self, name: str, limit: int) -> dict[str, Any]:
        return self.past[name].depth(limit)

    def book_ticker(self, name: str) -> dict[str, Any] | None:
        quote = self.past[name].quote()
        if quote is None:
            return None
        return {"symbol": name, "bidPrice": quote["b"], "bidQty": quote["B"], "askPrice": quote["a"],
                "askQty": quote["A"]}

    def trades(self, name: str, limit: int, from_id: int | None) -> Sequence[dict[str, Any]]:
        rows = []
        for text in self.past[name].trades:
            data = orjson.loads(text)
            number = data["t"] if data["e"] == "trade" else data["a"]
            if from_id is None or number >= from_id:
                rows.append({
                    "id": number, "price": data["p"], "qty": data["q"],
                    "quoteQty": f"{Decimal(data['p']) * Decimal(data['q']):.8f}", "time": data["T"],
                    "isBuyerMaker": data["m"], "isBestMatch": True,
                })
        return rows[-limit:] if from_id is None else rows[:limit]

    def klines(
        self, name: str, interval: str, length_ms: int, limit: int, start_ms: int | None, end_ms: int | None
    ) -> list[list[Any]]:
        rows = []
        for text in self.past[name].klines.get(interval, ()):
            k = orjson.loads(text)["k"]
            if (start_ms is None or k["t"] >= start_ms) and (end_ms is None or k["t"] <= end_ms):
                rows.append([k[key] for key in _KLINE_ROW])
        return rows[-limit:] if start_ms is None else rows[:limit]

    def ticker_24h(self, name: str) -> dict[str, Any] | None:
        """From the trades still remembered: a replay is usually shorter than a day."""
        rows = self.trades(name, 1_000, None)
        quote = self.book_ticker(name)
        if not rows:
            return None
        prices = [Decimal(row["price"]) for row in rows]
        quantity = sum((Decimal(row["qty"]) for row in rows), Decimal(0))
        turnover = sum((Decimal(row["quoteQty"]) for row in rows), Decimal(0))
        change = prices[-1] - prices[0]
        return {
            "symbol": name, "priceChange": f"{change:.8f}", "priceChangePercent": f"{change / prices[0] * 100:.3f}",
            "weightedAvgPrice": f"{turnover / quantity if quantity else prices[-1]:.8f}",
            "prevClosePrice": rows[0]["price"], "lastPrice": rows[-1]["price"], "lastQty": rows[-1]["qty"],
            "bidPrice": quote["bidPrice"] if quote else rows[-1]["price"], "bidQty": quote["bidQty"] if quote else "0",
            "askPrice": quote["askPrice"] if quote else rows[-1]["price"], "askQty": quote["askQty"] if quote else "0",
            "openPrice": rows[0]["price"], "highPrice": f"{max(prices):.8f}", "lowPrice": f"{min(prices):.8f}",
            "volume": f"{quantity:.8f}", "quoteVolume": f"{turnover:.8f}", "openTime": rows[0]["time"],
            "closeTime": self.now_ms(), "firstId": rows[0]["id"], "lastId": rows[-1]["id"], "count": len(rows),
        }

    def shock(self, name: str, ratio: float) -> None:
        """A recording stays as it is."""

    def info(self) -> dict[str, Any]:
        shift = self.days * DAY_NS
        return {
            "mode": "replay", "seed": self._seed, "symbols": [pair.symbol for pair in self.pairs.values()],
            "shift_days": self.days, "first_ns": self.facts.first_ns + shift, "last_ns": self.facts.last_ns + shift,
            "speed": self._speed, "position": self.position, "has_candles": self.facts.has_candles,
        }


class Replay:
    """The driver: waits for listeners, then sends frame after frame.

    Up to `fast_until_ns` (UTC ns, as moved) it does not wait for the frames' times, whatever the speed.
    """

    def __init__(
        self, session: Session, view: ReplayView, hub: Hub, listener: MarketListener, speed: float,
        fast_until_ns: int = 0,
    ) -> None:
        self._session = session
        self._view = view
        self._hub = hub
        self._listener = listener
        self._speed = speed
        self._fast_until_ns = fast_until_ns - view.days * DAY_NS  # in the recording's own time
        self._changed = asyncio.Event()
        self._clock_ns = 0
        hub.on_change = self._changed.set

    async def run(self) -> None:
        """Send all; then tell whoever still comes that it is over. Until cancelled."""
        await self._until_listened()
        base = self._rebased(self._view.facts.first_ns)
        for count, frame in enumerate(self._session.frames(), 1):
            if not self._is_listened():
                await self._until_listened()
                base = self._rebased(frame.ns)
            if frame.ns <= self._fast_until_ns:
                base = self._rebased(frame.ns)
            elif self._speed > 0:
                base = await self._until_due(base, frame.ns)
            await self._hub.relieved()
            self._send(frame)
            if count % _TURN == 0:
                await asyncio.sleep(0)
        await self._end()

    def _send(self, frame: Frame) -> None:
        view, days = self._view, self._view.days
        ns = frame.ns + days * DAY_NS
        view.position += 1
        view.position_ns = max(view.position_ns, ns)
        if ns >= self._clock_ns + _CLOCK_STEP_NS:
            self._clock_ns = ns
            self._hub.publish(CLOCK, f'{{"e":"practiceClock","N":{ns}}}')
        data = shifted(frame.stream, frame.data, days)
        self._hub.publish(frame.stream, data)
        symbol, _, kind = frame.stream.partition("@")
        name = symbol.upper()
        past = view.past.get(name)
        if past is not None:
            past.see(kind, data)
            if self._listener.wants(name):
                self._match(name, kind, data)

    def _match(self, name: str, kind: str, data: str) -> None:
        if kind in ("trade", "aggTrade"):
            trade = orjson.loads(data)
            self._listener.on_trade(name, Decimal(trade["p"]), Decimal(trade["q"]), maker_is_buyer=bool(trade["m"]))
        if not kind.startswith("kline"):
            self._listener.on_book(name)

    async def _until_due(self, base: tuple[float, int], ns: int) -> tuple[float, int]:
        """Wait for the frame's time; a hole in the recording is not waited out for longer than a few seconds."""
        due = base[0] + (ns - base[1]) / 1e9 / self._speed
        now = time.monotonic()
        if due - now > _LONGEST_WAIT_S:
            due, base = now + _LONGEST_WAIT_S, (now + _LONGEST_WAIT_S, ns)
        while (ahead := due - time.monotonic()) > 0.0005:
            await asyncio.sleep(min(ahead, 0.5))
            if not self._is_listened():
                break
        return base

    def _rebased(self, ns: int) -> tuple[float, int]:
        return time.monotonic(), ns

    def _is_listened(self) -> bool:
        return bool(self._hub.streams)

    async def _until_listened(self) -> None:
        while True:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), _QUIET_S if self._is_listened() else None)
            except TimeoutError:
                return

    async def _end(self) -> None:
        told: dict[Client, None] = {}
        text = f'{{"e":"practiceEnd","N":{self._view.position_ns}}}'
        while True:
            self._changed.clear()
            told = {client: None for client in told if client in self._hub.clients}
            for client in list(self._hub.streams.get(CLOCK, ())):
                if client not in told:
                    told[client] = None
                    client.send(f'{{"stream":"{CLOCK}","data":{text}}}' if client.is_wrapped else text)
            await self._changed.wait()


def choose_shift(session: Session, not_before_ns: int) -> int:
    """Days by which this session is moved when it starts now."""
    return shift_days(session.facts.first_ns, time.time_ns(), not_before_ns)

