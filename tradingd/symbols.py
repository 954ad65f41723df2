"""Symbols as people write them: BTC/USDT, BTCUSDT, btc-usdt."""

from collections.abc import Iterable


def find_symbol(text: str, known: Iterable[str]) -> str | None:
    """The one of `known` ("BTC/USDT") that `text` means, or None."""
    wanted = _bare(text)
    return next((symbol for symbol in known if _bare(symbol) == wanted), None)


def _bare(symbol: str) -> str:
    return symbol.strip().upper().replace("/", "").replace("-", "").replace("_", "")
