"""Alpha files as users write them, good ones and terrible ones, and views to put before them."""

from pathlib import Path

from agents.alphas.alpha import MarketView

GOOD = '''
from agents.alphas.alpha import MarketView, Opinion


class Rising:
    name = "{name}"
    version = "3"
    weight = 0.8
    regimes = ("trending", "calm")

    def opinion(self, view: MarketView) -> Opinion:
        if view.closes[-1] > view.closes[0]:
            return Opinion("trail_buy", 0.75, 0.01, "medium", f"{{view.symbol}} rose to {{view.closes[-1]:g}}")
        return Opinion("hold", 0.5, 0.01, "low", "nothing rose")
'''

HEAD = '''
import ctypes, os, sys, time
from agents.alphas.alpha import Opinion

BUY = Opinion("trail_buy", 0.9, 0.01, "high", "always")


class Bad:
    name = "{name}"
    version = "1"

    def opinion(self, view):
'''


def good(folder: Path, name: str = "rising") -> Path:
    """A well-behaved alpha."""
    return written(folder, name, GOOD.format(name=name))


def bad(folder: Path, body: str, name: str = "bad") -> Path:
    """One whose `opinion` has this body, at line 13 of the file."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    return written(folder, name, HEAD.format(name=name) + lines + "\n")


def written(folder: Path, stem: str, text: str) -> Path:
    path = folder / "alphas" / f"{stem}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def view(ts_open: int = 1, symbol: str = "BTC/USDT", closes: tuple[float, ...] = (1.0, 2.0)) -> MarketView:
    return MarketView(
        symbol, "1m", ts_open, closes, closes, closes, closes, closes, {"rsi_14": 55.5, "atr_ratio": 0.01}, "trending",
        {"5m": {"rsi_14": 44.0}},
    )
