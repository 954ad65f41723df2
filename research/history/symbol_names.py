"""Names of symbols and intervals as files spell them, in our spelling: BTCUSDT, BTC_USDT and BTC-USDT are BTC/USDT."""

import re
from pathlib import PurePath
from typing import Final
from urllib.parse import unquote

from store.candles import INTERVALS

_SURE_QUOTES: Final = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD")
_QUOTES: Final = (*_SURE_QUOTES, "BTC", "ETH", "BNB", "USD", "EUR", "TRY", "GBP", "BRL", "JPY", "DAI")
_ARCHIVE: Final = re.compile(
    r"(?P<pair>[A-Z0-9_-]{5,24})-(?P<interval>\d{1,2}[smhdw])-(?P<year>\d{4})-(?P<month>\d{2})(?!-?\d)"
)
_INTERVAL: Final = re.compile(rf"(?:^|[-_. ])({'|'.join(INTERVALS)})(?=[-_. ]|$)")
_EXPORT: Final = re.compile(r"^([A-Z0-9]{2,12})[_-]([A-Z]{3,5})(?:[_-]([A-Z]{3,5}))?[-_.]\d")


def our_symbol(text: str, *, is_crypto: bool = False) -> str:
    """A pair in our spelling; anything else as it is. With `is_crypto` also BTCUSD and ETHBTC are taken apart."""
    name = text.strip()
    if "/" in name or not name:
        return name
    plain = name.upper()
    for separator in ("-", "_"):
        base, found, quote = plain.partition(separator)
        if found and base.isalnum() and quote in _QUOTES:
            return f"{base}/{quote}"
    for quote in _QUOTES if is_crypto else _SURE_QUOTES:
        base = plain.removesuffix(quote)
        if base != plain and len(base) >= 2 and base.isalnum():
            return f"{base}/{quote}"
    return name


def wire_symbol(symbol: str) -> str:
    """BTC/USDT as Binance writes it."""
    return re.sub(r"[^A-Z0-9]", "", symbol.partition(":")[0].upper())


def archive_of(name: str) -> tuple[str, str, int, int] | None:
    """(pair, interval, year, month) of a monthly archive's file name, or None."""
    match = _ARCHIVE.match(PurePath(name).name)
    if match is None or not 1 <= int(match["month"]) <= 12:
        return None
    return match["pair"], match["interval"], int(match["year"]), int(match["month"])


def symbol_in(name: str) -> str:
    """The symbol a file's name tells, or a folder `symbol=...` as our own history has them; or ""."""
    folder = _folder(name, "symbol")
    if folder:
        return folder
    archive = archive_of(name)
    if archive is not None:
        return our_symbol(archive[0], is_crypto=True)
    match = _EXPORT.match(PurePath(name).name)
    if match is None:
        return ""
    base, quote, settle = match.groups()
    return f"{base}/{quote}:{settle}" if settle else f"{base}/{quote}"


def symbol_guess(name: str) -> str:
    """How candles are called that nobody named: by the first word of their file, BTC/USDT for btcusdt_1m.csv."""
    words = re.findall(r"[A-Z0-9]+", PurePath(name).name.upper().partition(".")[0])
    first = words[0][:24] if words else ""
    made = our_symbol(first, is_crypto=True)
    return made if made not in ("", "USD") else "DATA"


def interval_in(name: str) -> str:
    """The interval a file's name tells, or a folder `interval=...`; or ""."""
    match = _INTERVAL.search(PurePath(name).name)
    return match[1] if match else _folder(name, "interval")


def _folder(name: str, key: str) -> str:
    parts = [part for part in PurePath(name).parts[:-1] if part.startswith(f"{key}=")]
    return unquote(parts[-1].partition("=")[2]) if parts else ""
