"""What a request for a grid may hold. Percents as people write them: "1.5" is 1.5 %."""

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from bus.messages.grid import GridEntry, StartGrid
from tradingd.api.models import WHOLE, Money, Request, Symbol
from tradingd.api.schema_shapes import BELOW_100, Shape, one_of

_HUNDRED: Final = Decimal(100)


class GridRequest(Request):
    """A grid of trailing orders. `capital`, `floor`, `centre` in quote; spacings and `trail` in percent.

    `spacing` "auto" (or left out) is tuned by the grid within `min_spacing` and `max_spacing`. `entry` "first" waits
    for a fall of 2 % from now, or a confident buy signal. `history`: closes of 5-minute candles, oldest first.
    """

    model_config = ConfigDict(json_schema_extra=one_of([
        Shape(f"{word} spacing, from {entry}", fixed | {"entry": {"type": "string", "const": entry, "default": entry}},
              needed, without + missing)
        for word, fixed, needed, without in (
            ("Auto", {"spacing": {"type": "string", "const": "auto", "default": "auto"}}, (), ()),
            ("Fixed", {"spacing": BELOW_100}, ("spacing",), ("min_spacing", "max_spacing")),
        )
        for entry, missing in (("now", ()), ("first", ("centre",)))
    ]))

    symbol: Symbol
    capital: Money
    levels: Annotated[int, Field(ge=1, le=50), WHOLE] = 10
    spacing: Money | Literal["auto"] = "auto"
    min_spacing: Money | None = None
    max_spacing: Money | None = None
    trail: Money | None = None
    floor: Money | None = None
    centre: Money | None = None
    entry: GridEntry = "now"
    history: Annotated[list[Money], Field(default_factory=list, max_length=8_640)]

    def command(self, symbol: str, reason: str) -> StartGrid:
        """The command it stands for."""
        return StartGrid(
            symbol, self.capital, self.levels, None if self.spacing == "auto" else self.spacing / _HUNDRED,
            _ratio(self.min_spacing), _ratio(self.max_spacing), _ratio(self.trail), self.floor, self.centre, self.entry,
            history=tuple(self.history), reason=reason,
        )


def _ratio(percent: Decimal | None) -> Decimal | None:
    return None if percent is None else percent / _HUNDRED
