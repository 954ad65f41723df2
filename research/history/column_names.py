"""Which column of a foreign table is which: the headings of common exports, and tables without any."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    # The first name that is there wins: a number is a surer time than a text.
    "ts": (
        "opentime", "opentimems", "ts", "tsms", "tsopen", "timestamp", "timestampms", "unix", "unixtimestamp", "time",
        "t", "datetime", "date", "dateutc", "day", "begin", "starttime", "candlebegintime",
    ),
    "symbol": ("symbol", "pair", "ticker", "instrument", "market", "code", "name"),
    "open": ("open", "o", "openprice", "first", "1open", "openask"),
    "high": ("high", "h", "highprice", "max", "2high"),
    "low": ("low", "l", "lowprice", "min", "3low"),
    "close": ("close", "c", "closeprice", "last", "4close", "price"),
    "volume": ("volume", "v", "vol", "basevolume", "volumebase", "volumefrom", "5volume", "baseassetvolume"),
    "trades": ("trades", "count", "tradecount", "numberoftrades", "numtrades", "tradescount", "n"),
}
NEEDED: Final = ("ts", "open", "high", "low", "close")
KLINE: Final = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count", "taker_buy_volume",
    "taker_buy_quote_volume", "ignore",
)
"""Order of Binance's klines, in archives and answers."""
_SEVEN: Final = ("symbol", "date", "open", "high", "low", "close", "volume")


def match_columns(names: Sequence[str]) -> dict[str, str]:
    """Our name -> theirs, for those that are there."""
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(names)}
    found = {}
    for ours, theirs in KNOWN.items():
        for each in theirs:
            if each in plain:
                found[ours] = plain[each]
                break
    if "volume" not in found:
        # "Volume BTC", "Volume USDT": the base's comes first
        for name in names:
            if name.lower().replace("_", " ").startswith("volume "):
                found["volume"] = name
                break
    return found


def is_heading(names: Sequence[str]) -> bool:
    """Is everything that is needed there?"""
    return set(NEEDED) <= set(match_columns(names))


def names_without_heading(cells: Sequence[str]) -> tuple[str, ...] | None:
    """Names for a table that begins with data: Binance's klines, [time, o, h, l, c, v], or with the symbol first."""
    if len(cells) == len(_SEVEN) and not is_number(cells[0]) and all(map(is_number, cells[2:])):
        return _SEVEN
    if 6 <= len(cells) <= len(KLINE) and all(map(is_number, cells[1:6])):
        return KLINE[: len(cells)]
    return None


def is_number(text: str) -> bool:
    """Does a cell hold one, as Python reads it?"""
    try:
        float(text)
    except ValueError:
        return False
    return True
