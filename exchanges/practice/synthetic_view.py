"""The synthetic market behind REST, matching and streams."""

import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from exchanges.practice.frames import Writer, ticker_24h
from exchanges.practice.hub import Hub
from exchanges.practice.interval_names import interval_ms
from exchanges.practice.ladder import Diff, Print
from exchanges.practice.market_view import Level, MarketListener
from exchanges.practice.pairs import Pair
from exchanges.practice.synthetic import STEP_MS, PairStep, SyntheticMarket

_DAY_MS: Final = 86_400_000
_KLINE_EVERY: Final = 1_000 // STEP_MS    # steps between updates of a 1 s kline, and of tickers
_KLINE_SLOW_EVERY: Final = 2 * _KLINE_EVERY
_PARTIAL: Final = (5, 10, 20)


class SyntheticView:
    """Decimal and wire-format answers from the integer market."""

    __slots__ = ("_market", "_seed", "_writers", "pairs")

    def __init__(self, market: SyntheticMarket, seed: int) -> None:
        self._market = market
        self._seed = seed
        self.pairs: Mapping[str, Pair] = {name: one.pair for name, one in market.pairs.items()}
        self._writers = {name: Writer(pair) for name, pair in self.pairs.items()}

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def accepts_stamp(self, stamp_ms: int, window_ms: int) -> bool:
        now = self.now_ms()
        return now - window_ms <= stamp_ms < now + 1_000

    def offers(self, name: str, *, is_bid: bool) -> Iterator[Level]:
        one = self._market.pairs[name]
        side = one.ladder.bids if is_bid else one.ladder.asks
        tick, step = one.pair.tick, one.pair.step
        for price in sorted(side, reverse=is_bid):
            yield tick * price, step * side[price]

    def book_version(self, name: str) -> int:
        return self._market.pairs[name].ladder.update_id

    def last_price(self, name: str) -> Decimal | None:
        one = self._market.pairs[name]
        return one.pair.tick * one.trades[-1].price if one.trades else None

    def depth(self, name: str, limit: int) -> dict[str, Any]:
        ladder, writer = self._market.pairs[name].ladder, self._writers[name]
        return {
            "lastUpdateId": ladder.update_id,
            "bids": writer.rows(sorted(ladder.bids.items(), reverse=True)[:limit]),
            "asks": writer.rows(sorted(ladder.asks.items())[:limit]),
        }

    def book_ticker(self, name: str) -> dict[str, Any] | None:
        best, writer = self._market.pairs[name].ladder.best(), self._writers[name]
        return {
            "symbol": name, "bidPrice": writer.price(best.bid), "bidQty": writer.quantity(best.bid_lots),
            "askPrice": writer.price(best.ask), "askQty": writer.quantity(best.ask_lots),
        }

    def trades(self, name: str, limit: int, from_id: int | None) -> Sequence[dict[str, Any]]:
        one, writer = self._market.pairs[name], self._writers[name]
        known = list(one.trades)
        chosen = known[-limit:] if from_id is None else [p for p in known if p.trade_id >= from_id][:limit]
        return [
            {"id": p.trade_id, "price": writer.price(p.price), "qty": writer.quantity(p.lots),
             "quoteQty": writer.money(p.price * p.lots), "time": p.time_ms, "isBuyerMaker": p.maker_is_buyer,
             "isBestMatch": True}
            for p in chosen
        ]

    def klines(
        self, name: str, interval: str, length_ms: int, limit: int, start_ms: int | None, end_ms: int | None
    ) -> list[list[Any]]:
        one, writer = self._market.pairs[name], self._writers[name]
        one.ensure_history()
        return [writer.kline_row(bar, length_ms) for bar in one.candles.bars(length_ms, limit, start_ms, end_ms)]

    def ticker_24h(self, name: str) -> dict[str, Any] | None:
        one = self._market.pairs[name]
        one.ensure_history()
        bars = one.candles.bars(900_000, 96, None, None)
        return ticker_24h(one.pair, bars, one.ladder.best(), one.ladder.trade_id, self._market.now_ms)

    def shock(self, name: str, ratio: float) -> None:
        self._market.pairs[name].shock(ratio)

    def info(self) -> dict[str, Any]:
        return {
            "mode": "synthetic", "seed": self._seed, "symbols": [pair.symbol for pair in self.pairs.values()],
            "shift_days": 0, "first_ns": 0, "last_ns": 0, "speed": 1.0, "position": self._market.position,
        }


class SyntheticPublisher:
    """Turns steps into frames, only for streams somebody listens to, and tells the matching."""

    __slots__ = ("_hub", "_listener", "_market", "_seconds", "_view", "_writers")

    def __init__(self, market: SyntheticMarket, view: SyntheticView, hub: Hub, listener: MarketListener) -> None:
        self._market = market
        self._view = view
        self._hub = hub
        self._listener = listener
        self._writers = {name: Writer(one.pair) for name, one in market.pairs.items()}
        self._seconds: dict[str, Diff] = {}  # pair name -> difference since its last 1000 ms depth frame

    def publish(self, steps: Mapping[str, PairStep]) -> None:
        """Frames of one step of all pairs, in the order things happened, then the matching."""
        for name, step in steps.items():
            self._events(name, step)
            self._depth(name, step.diff)
        self._klines(steps)
        if self._market.position % _KLINE_EVERY == 0:
            self._tickers()
        for name, step in steps.items():
            self._match(name, step)

    def _events(self, name: str, step: PairStep) -> None:
        writer = self._writers[name]
        listened = self._hub.streams
        trade, aggregate, ticker = (f"{writer.stream}@{kind}" for kind in ("trade", "aggTrade", "bookTicker"))
        for event in step.events:
            if isinstance(event, Print):
                if trade in listened:
                    self._hub.publish(trade, writer.trade(event))
                if aggregate in listened:
                    self._hub.publish(aggregate, writer.agg_trade(event))
            elif ticker in listened:
                self._hub.publish(ticker, writer.book_ticker(event))

    def _depth(self, name: str, diff: Diff | None) -> None:
        writer, now = self._writers[name], self._market.now_ms
        quick, slow = f"{writer.stream}@depth@100ms", f"{writer.stream}@depth"
        if diff is not None and quick in self._hub.streams:
            self._hub.publish(quick, writer.depth_update(diff, now))
        if slow in self._hub.streams:
            if diff is not None:
                self._seconds[name] = merged(self._seconds.get(name), diff)
            if self._market.position % _KLINE_EVERY == 0 and name in self._seconds:
                self._hub.publish(slow, writer.depth_update(self._seconds.pop(name), now))
        else:
            self._seconds.pop(name, None)
        ladder = self._market.pairs[name].ladder
        for levels in _PARTIAL:
            for stream, is_due in (
                (f"{writer.stream}@depth{levels}@100ms", True),
                (f"{writer.stream}@depth{levels}", self._market.position % _KLINE_EVERY == 0),
            ):
                if is_due and stream in self._hub.streams:
                    bids = sorted(ladder.bids.items(), reverse=True)[:levels]
                    asks = sorted(ladder.asks.items())[:levels]
                    self._hub.publish(stream, writer.partial_book(ladder.update_id, bids, asks))

    def _klines(self, steps: Mapping[str, PairStep]) -> None:
        now, position = self._market.now_ms, self._market.position
        if position % _KLINE_EVERY:
            return  # candles close on whole seconds
        for stream in sorted(s for s in self._hub.streams if "@kline_" in s):
            name, _, interval = stream.partition("@kline_")
            length = interval_ms(interval)
            one = self._market.pairs.get(name.upper())
            if length is None or one is None or name.upper() not in steps:
                continue
            one.ensure_history()
            writer = self._writers[name.upper()]
            if now % length == 0:
                for bar in one.candles.bars(length, 1, now - length, now - length):
                    self._hub.publish(stream, writer.kline(bar, length, interval, now, is_closed=True))
            elif length <= 1_000 or position % _KLINE_SLOW_EVERY == 0:
                for bar in one.candles.bars(length, 1, None, None):
                    self._hub.publish(stream, writer.kline(bar, length, interval, now, is_closed=False))

    def _tickers(self) -> None:
        for name, writer in self._writers.items():
            full, mini = f"{writer.stream}@ticker", f"{writer.stream}@miniTicker"
            if full not in self._hub.streams and mini not in self._hub.streams:
                continue
            day = self._view.ticker_24h(name)
            if day is None:
                continue
            if full in self._hub.streams:
                self._hub.publish(full, ticker_frame(day))
            if mini in self._hub.streams:
                self._hub.publish(mini, mini_ticker_frame(day))

    def _match(self, name: str, step: PairStep) -> None:
        pair = self._market.pairs[name].pair
        if not self._listener.wants(name):
            return
        for event in step.events:
            if isinstance(event, Print):
                self._listener.on_trade(
                    name, pair.tick * event.price, pair.step * event.lots, maker_is_buyer=event.maker_is_buyer
                )
        if step.diff is not None:
            self._listener.on_book(name)


def merged(earlier: Diff | None, later: Diff) -> Diff:
    """Two consecutive differences as one."""
    if earlier is None:
        return later
    bids = sorted({**dict(earlier.bids), **dict(later.bids)}.items(), reverse=True)
    return Diff(earlier.first_id, later.last_id, bids, sorted({**dict(earlier.asks), **dict(later.asks)}.items()))


def ticker_frame(day: Mapping[str, Any]) -> str:
    """The @ticker stream's frame from a REST 24 h ticker."""
    return (
        f'{{"e":"24hrTicker","E":{day["closeTime"]},"s":"{day["symbol"]}","p":"{day["priceChange"]}",'
        f'"P":"{day["priceChangePercent"]}","w":"{day["weightedAvgPrice"]}","x":"{day["prevClosePrice"]}",'
        f'"c":"{day["lastPrice"]}","Q":"{day["lastQty"]}","b":"{day["bidPrice"]}","B":"{day["bidQty"]}",'
        f'"a":"{day["askPrice"]}","A":"{day["askQty"]}","o":"{day["openPrice"]}","h":"{day["highPrice"]}",'
        f'"l":"{day["lowPrice"]}","v":"{day["volume"]}","q":"{day["quoteVolume"]}","O":{day["openTime"]},'
        f'"C":{day["closeTime"]},"F":{day["firstId"]},"L":{day["lastId"]},"n":{day["count"]}}}'
    )


def mini_ticker_frame(day: Mapping[str, Any]) -> str:
    """The @miniTicker stream's frame from a REST 24 h ticker."""
    return (
        f'{{"e":"24hrMiniTicker","E":{day["closeTime"]},"s":"{day["symbol"]}","c":"{day["lastPrice"]}",'
        f'"o":"{day["openPrice"]}","h":"{day["highPrice"]}","l":"{day["lowPrice"]}","v":"{day["volume"]}",'
        f'"q":"{day["quoteVolume"]}"}}'
    )

