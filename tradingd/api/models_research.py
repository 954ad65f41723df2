"""What a request for a backtest may hold. No file and no code: only names of what is installed."""

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema

from market.money import ONE, ZERO, parse_decimal, to_text
from tradingd.api.models import Money, Request

_DAY: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$"


def _ratio(value: object, info: ValidationInfo) -> Decimal:
    if not isinstance(value, str):
        raise ValueError('write it as a decimal string such as "0.001": a JSON number has already lost digits')
    try:
        ratio = parse_decimal(value, info.field_name or "ratio")
    except ValueError as error:
        raise ValueError('not a plain decimal string such as "0.001"') from error
    if not ZERO <= ratio <= ONE:
        raise ValueError('a ratio: write "0" to "1"')
    return ratio


Ratio = Annotated[
    Decimal, BeforeValidator(_ratio),
    WithJsonSchema({"type": "string", "pattern": r"^(0(\.[0-9]{1,18})?|1(\.0{1,18})?)$", "examples": ["0.001"],
                    "description": "A ratio as a decimal string, 0 to 1."}),
]
ParameterName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", examples=["fast"])]
ParameterValue = Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{1,64}$", examples=["20"])]
Day = Annotated[str, Field(pattern=_DAY, examples=["2024-01-31"])]


class BacktestRequest(Request):
    """`tradelab backtest` over the candle history. `strategy`: a rule of the library, or `council` for the agents.

    `start` and `end` in UTC, the end not included. `stake`: share of the cash per entry. `fee`, `spread` and `slippage`
    are ratios. `param`: what the rule takes, by name.
    """

    strategy: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", examples=["sma_cross"])]
    symbol: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,20}/[A-Z0-9]{1,20}$", examples=["BTC/USDT"])]
    timeframe: Literal["1m", "5m", "15m", "1h", "4h", "6h", "1d"]
    start: Day | None = None
    end: Day | None = None
    cash: Money | None = None
    stake: Ratio | None = None
    fee: Ratio | None = None
    spread: Ratio | None = None
    slippage: Ratio | None = None
    param: Annotated[
        dict[ParameterName, ParameterValue],
        Field(default_factory=dict, max_length=20, json_schema_extra={"additionalProperties": False}),
    ]

    def options(self) -> dict[str, str]:
        """As `tradelab backtest` takes them."""
        amounts = {name: getattr(self, name) for name in ("cash", "stake", "fee", "spread", "slippage")}
        return {
            "strategy": self.strategy, "symbol": self.symbol, "timeframe": self.timeframe,
            "start": self.start or "", "end": self.end or "",
            **{name: to_text(amount) for name, amount in amounts.items() if amount is not None},
        }
