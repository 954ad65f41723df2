"""Binance's market frames and REST rows, written from the synthetic market's integers."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from exchanges.practice.candles import Bar
from exchanges.practice.ladder import Best, Diff, Print
from exchanges.practice.pairs import Pair, wire


class Writer:
    """Texts of one pair; `tick` and `step` are powers of ten no finer than eight decimals."""

    __slots__ = ("_lot_digits", "_price_digits", "name", "stream", "unit")

    def __init__(self, pair: Pair) -> None:
        self.name = pair.name
        self.stream = pair.name.lower()
        self._price_digits = -int(pair.tick.adjusted())
        self._lot_digits = -int(pair.step.adjusted())
        self.unit = pair.tick * pair.step  # quote currency of one tick times one lot

    def price(self, ticks: int) -> str:
        return _eight(ticks, self._price_digits)

    def quantity(self, lots: int) -> str:
        return _eight(lots, self._lot_digits)

    def money(self, turnover: int) -> str:
        return wire(self.unit * turnover)

    def trade(self, p: Print) -> str:
        return (
            f'{{"e":"trade","E":{p.time_ms},"s":"{self.name}","t":{p.trade_id},"p":"{self.price(p.price)}",'
            f'"q":"{self.quantity(p.lots)}","T":{p.time_ms},"m":{_bool(p.maker_is_buyer)},"M":true}}'
        )

    def agg_trade(self, p: Print) -> str:
        return (
            f'{{"e":"aggTrade","E":{p.time_ms},"s":"{self.name}","a":{p.trade_id},"p":"{self.price(p.price)}",'
            f'"q":"{self.quantity(p.lots)}","f":{p.trade_id},"l":{p.trade_id},"T":{p.time_ms},'
            f'"m":{_bool(p.maker_is_buyer)},"M":true}}'
        )

    def book_ticker(self, best: Best) -> str:
        return (
            f'{{"u":{best.update_id},"s":"{self.name}","b":"{self.price(best.bid)}",'
            f'"B":"{self.quantity(best.bid_lots)}","a":"{self.price(best.ask)}","A":"{self.quantity(best.ask_lots)}"}}'
        )

    def depth_update(self, diff: Diff, time_ms: int) -> str:
        return (
            f'{{"e":"depthUpdate","E":{time_ms},"s":"{self.name}","U":{diff.first_id},"u":{diff.last_id},'
            f'"b":[{self._levels(diff.bids)}],"a":[{self._levels(diff.asks)}]}}'
        )

    def partial_book(self, update_id: int, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]) -> str:
        return f'{{"lastUpdateId":{update_id},"bids":[{self._levels(bids)}],"asks":[{self._levels(asks)}]}}'

    def kline(self, bar: Bar, length_ms: int, interval: str, time_ms: int, is_closed: bool) -> str:
        first = bar.first_id if bar.trades else -1
        last = bar.last_id if bar.trades else -1
        return (
            f'{{"e":"kline","E":{time_ms},"s":"{self.name}","k":{{"t":{bar.open_ms},"T":{bar.open_ms + length_ms - 1},'
            f'"s":"{self.name}","i":"{interval}","f":{first},"L":{last},"o":"{self.price(bar.open)}",'
            f'"c":"{self.price(bar.close)}","h":"{self.price(bar.high)}","l":"{self.price(bar.low)}",'
            f'"v":"{self.quantity(bar.lots)}","n":{bar.trades},"x":{_bool(is_closed)},"q":"{self.money(bar.turnover)}",'
            f'"V":"{self.quantity(bar.buy_lots)}","Q":"{self.money(bar.buy_turnover)}","B":"0"}}}}'
        )

    def kline_row(self, bar: Bar, length_ms: int) -> list[Any]:
        """As GET /api/v3/klines."""
        return [
            bar.open_ms, self.price(bar.open), self.price(bar.high), self.price(bar.low), self.price(bar.close),
            self.quantity(bar.lots), bar.open_ms + length_ms - 1, self.money(bar.turnover), bar.trades,
            self.quantity(bar.buy_lots), self.money(bar.buy_turnover), "0",
        ]

    def rows(self, levels: Iterable[tuple[int, int]]) -> list[list[str]]:
        """Levels as in GET /api/v3/depth."""
        return [[self.price(price), self.quantity(lots)] for price, lots in levels]

    def _levels(self, levels: Iterable[tuple[int, int]]) -> str:
        return ",".join(f'["{self.price(price)}","{self.quantity(lots)}"]' for price, lots in levels)


def ticker_24h(pair: Pair, bars: Sequence[Bar], best: Best, last_id: int, now_ms: int) -> dict[str, Any]:
    """GET /api/v3/ticker/24hr from the bars of the last day, ascending and not empty."""
    writer = Writer(pair)
    opened, closed = bars[0].open, bars[-1].close
    lots, turnover = sum(b.lots for b in bars), sum(b.turnover for b in bars)
    average = pair.tick * turnover / lots if lots else pair.tick * closed
    change = Decimal(closed - opened) / Decimal(opened) * 100
    return {
        "symbol": pair.name, "priceChange": wire(pair.tick * (closed - opened)), "priceChangePercent": f"{change:.3f}",
        "weightedAvgPrice": wire(average), "prevClosePrice": writer.price(opened), "lastPrice": writer.price(closed),
        "lastQty": writer.quantity(1), "bidPrice": writer.price(best.bid), "bidQty": writer.quantity(best.bid_lots),
        "askPrice": writer.price(best.ask), "askQty": writer.quantity(best.ask_lots), "openPrice": writer.price(opened),
        "highPrice": writer.price(max(b.high for b in bars)), "lowPrice": writer.price(min(b.low for b in bars)),
        "volume": writer.quantity(lots), "quoteVolume": writer.money(turnover), "openTime": now_ms - 86_400_000,
        "closeTime": now_ms, "firstId": max(1, last_id - sum(b.trades for b in bars)), "lastId": last_id,
        "count": sum(b.trades for b in bars),
    }


def _eight(value: int, digits: int) -> str:
    if digits <= 0:
        return f"{value * 10 ** -digits}.00000000"
    text = str(value).zfill(digits + 1)
    return f"{text[:-digits]}.{text[-digits:]}{'0' * (8 - digits)}"


def _bool(value: bool) -> str:
    return "true" if value else "false"
