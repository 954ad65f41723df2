"""Grids that the settings ask for: with strategy.rule = "trailing_grid" each traded symbol has one.

A person's written wish, so it is opened as a person's command and passes what such a command passes: limits on capital,
and the gate for every leg. Opened once after each start on a symbol that has none, while trading is ACTIVE; what ends
it (its floor, a person) is not undone. A refusal is told once.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from agents.parameters import Parameters
from bus.messages.grid import StartGrid
from bus.messages.header import Message
from bus.messages.orders import OrderDenied
from orders.grid_book import GridBook
from orders.grid_spacing import DEFAULT_SPACING
from risk.limits import RiskLimits
from tradingd.grid_bounds import tuned_within_preset, within_preset
from tradingd.settings import Settings
from tradingd.strategy_choice import GRID

BY: Final = "config"
_CENT: Final = Decimal("0.01")

Prices = Mapping[str, tuple[Decimal | None, Decimal | None, Decimal | None]]


class ConfiguredGrids:
    """`command` gives a command by the settings and returns what came of it; `tell` says a line to people."""

    def __init__(
        self, settings: Settings, limits: RiskLimits, symbols: Sequence[str], grids: GridBook,
        command: Callable[[StartGrid], Sequence[Message]], tell: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._symbols = tuple(symbols)
        self._grids = grids
        self._command = command
        self._tell = tell
        self._waiting = set(symbols) if settings.strategy.rule == GRID else set()

    def on_second(self, *, is_active: bool, prices: Prices, tuned: Parameters | None) -> None:
        """Open what is still to be opened, as soon as trading is ACTIVE and a price is known."""
        if not self._waiting or not is_active:
            return
        for symbol in sorted(self._waiting):
            if self._grids.of_symbol(symbol) is not None:
                self._waiting.discard(symbol)
            elif prices.get(symbol, (None, None, None))[2] is not None:
                self._waiting.discard(symbol)
                self._open(symbol, tuned)

    def _open(self, symbol: str, tuned: Parameters | None) -> None:
        for message in self._command(self.wish(symbol, tuned)):
            if isinstance(message.body, OrderDenied) and message.body.order is None:
                self._tell(f"no grid on {symbol}: {message.body.message} [{message.body.code}]")

    def wish(self, symbol: str, tuned: Parameters | None) -> StartGrid:
        """The command for one symbol: its share of what may be exposed, spacing as written, as tuned, or the grid's
        own.
        """
        param = self._settings.strategy.param
        share = min(self._limits.exposure_per_asset, self._limits.exposure_total / len(self._symbols))
        capital = (self._settings.account.capital * share).quantize(_CENT, rounding=ROUND_FLOOR)
        # A set that was tuned otherwise has the default spacing in it: that is nobody's word against the grid's own.
        preset, found = self._settings.risk.preset, None
        if tuned is not None and tuned.spacing != DEFAULT_SPACING:
            found = tuned_within_preset(tuned.spacing, preset)
        spacing = _ratio(param.get("spacing")) or found
        return within_preset(StartGrid(
            symbol, capital, int(param.get("levels", 10)), spacing=spacing, trail=_ratio(param.get("trail")),
            entry="first", reason=f'strategy.rule = "{GRID}"',
        ), preset)


def _ratio(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(repr(value))
