"""The pairs that are traded here: names, increments and filters, and their exchangeInfo entry."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from exchanges.practice.config import PracticeError

QUOTES: Final = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "DAI", "USD", "EUR", "GBP", "TRY", "BRL", "AUD", "JPY", "BTC", "ETH",
    "BNB",
)
"""Known quote currencies, longest first among those that could be confused."""

ORDER_TYPES: Final = (
    "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT",
)

# start price, digits of the price, digits of the quantity
_KNOWN: Final[Mapping[str, tuple[str, int, int]]] = {
    "BTC": ("95000", 2, 5), "ETH": ("3400", 2, 4), "SOL": ("190", 2, 3), "XRP": ("2.2", 4, 1), "DOGE": ("0.32", 5, 0),
    "BNB": ("650", 2, 3), "ADA": ("0.9", 4, 1), "AVAX": ("38", 3, 2), "LINK": ("22", 3, 2), "LTC": ("105", 2, 3),
    "DOT": ("7.2", 3, 2), "TRX": ("0.25", 5, 1),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A spot pair and the rules of its orders; zero means "no such rule".

    `symbol` is "BTC/USDT", `name` the wire's "BTCUSDT". Prices are quote per base, quantities base.
    `raw` is the recorded exchangeInfo entry when there is one; it is then listed as it was.
    """

    symbol: str
    name: str
    base: str
    quote: str
    tick: Decimal
    step: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    market_max_quantity: Decimal
    min_notional: Decimal
    max_orders: int = 200
    start_price: Decimal = Decimal(0)
    raw: Mapping[str, Any] | None = None


def synthetic_pair(symbol: str) -> Pair:
    """A pair of the synthetic market; a base nobody knows gets a price derived from its name."""
    base, slash, quote = symbol.partition("/")
    if not slash or not base.isalnum() or not quote.isalnum() or symbol != symbol.upper():
        raise PracticeError(f"symbol {symbol!r} is not a pair: write it like BTC/USDT")
    if base in _KNOWN:
        price_text, price_digits, quantity_digits = _KNOWN[base]
        price = Decimal(price_text)
    else:
        key = zlib.crc32(base.encode())
        price = Decimal(100 + key % 900).scaleb(key // 900 % 4 - 3)
        price_digits = 4 - price.adjusted()
        quantity_digits = max(0, min(6, price.adjusted() + 1))
    return plain_pair(base, quote, price_digits, quantity_digits, price)


def invented_note(symbols: Iterable[str]) -> str:
    """Which of these coins nobody knows, so that price and increments are made up from their names; or ""."""
    bases = {symbol: symbol.partition("/")[0] for symbol in symbols}
    unknown = [symbol for symbol, base in bases.items() if base not in _KNOWN]
    if not unknown:
        return ""
    some = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
    return (
        f"the practice market knows no {some} and makes up a price for it: is it misspelt? It knows "
        f"{', '.join(_KNOWN)}, each in any quote currency"
    )


def plain_pair(base: str, quote: str, price_digits: int, quantity_digits: int, start: Decimal = Decimal(0)) -> Pair:
    """A pair whose increments are powers of ten."""
    step = Decimal(1).scaleb(-quantity_digits)
    return Pair(
        symbol=f"{base}/{quote}", name=base + quote, base=base, quote=quote,
        tick=Decimal(1).scaleb(-price_digits), step=step, min_quantity=step,
        max_quantity=Decimal(90_000_000), market_max_quantity=Decimal(90_000_000),
        min_notional=Decimal(5) if quote in QUOTES[:10] else Decimal("0.0001"), start_price=start,
    )


def split_name(name: str) -> tuple[str, str]:
    """"BTCUSDT" -> ("BTC", "USDT"), by the known quote currencies."""
    quote = max((q for q in QUOTES if name.endswith(q) and len(name) > len(q)), key=len, default="")
    return (name[: -len(quote)], quote) if quote else (name[:-3] or name, name[-3:])


def recorded_pair(entry: Mapping[str, Any]) -> Pair:
    """A pair from a recorded exchangeInfo entry."""
    filters = {str(f["filterType"]): f for f in entry["filters"]}

    def value(kind: str, key: str, default: str = "0") -> Decimal:
        return Decimal(str(filters.get(kind, {}).get(key, default)))

    notional = "NOTIONAL" if "NOTIONAL" in filters else "MIN_NOTIONAL"
    return Pair(
        symbol=f"{entry['baseAsset']}/{entry['quoteAsset']}", name=str(entry["symbol"]), base=str(entry["baseAsset"]),
        quote=str(entry["quoteAsset"]), tick=value("PRICE_FILTER", "tickSize"), step=value("LOT_SIZE", "stepSize"),
        min_quantity=value("LOT_SIZE", "minQty"), max_quantity=value("LOT_SIZE", "maxQty"),
        market_max_quantity=value("MARKET_LOT_SIZE", "maxQty"), min_notional=value(notional, "minNotional"),
        max_orders=int(filters.get("MAX_NUM_ORDERS", {}).get("maxNumOrders", 200)), raw=entry,
    )


def wire(value: Decimal) -> str:
    """The venue's notation: eight decimals, no exponent."""
    return f"{value:.8f}"


def listing(pair: Pair) -> Mapping[str, Any]:
    """The pair's entry in exchangeInfo."""
    if pair.raw is not None:
        return pair.raw
    return {
        "symbol": pair.name, "status": "TRADING", "baseAsset": pair.base, "baseAssetPrecision": 8,
        "quoteAsset": pair.quote, "quotePrecision": 8, "quoteAssetPrecision": 8, "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8, "orderTypes": list(ORDER_TYPES), "icebergAllowed": False, "ocoAllowed": False,
        "otoAllowed": False, "quoteOrderQtyMarketAllowed": True, "allowTrailingStop": False,
        "cancelReplaceAllowed": False, "amendAllowed": False, "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": wire(pair.tick), "maxPrice": "1000000.00000000",
             "tickSize": wire(pair.tick)},
            {"filterType": "LOT_SIZE", "minQty": wire(pair.min_quantity), "maxQty": wire(pair.max_quantity),
             "stepSize": wire(pair.step)},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": wire(pair.market_max_quantity),
             "stepSize": "0.00000000"},
            {"filterType": "NOTIONAL", "minNotional": wire(pair.min_notional), "applyMinToMarket": True,
             "maxNotional": "9000000.00000000", "applyMaxToMarket": False, "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": pair.max_orders},
        ],
        "permissions": [], "permissionSets": [["SPOT"]], "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }
