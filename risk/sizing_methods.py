"""Ways to wish for a size, before any cap: by confidence, by Kelly, by volatility, by risk per trade, or fixed."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from market.money import ZERO, to_text
from risk.wording import money, percent

SizingMethod = Literal["confidence", "kelly", "volatility", "risk", "fixed"]
METHODS: Final[tuple[SizingMethod, ...]] = ("confidence", "kelly", "volatility", "risk", "fixed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """[risk] sizing and its numbers. Amounts in quote, ratios 0-1.

    Raises ValueError, naming the key, for what cannot size anything.
    """

    method: SizingMethod = "confidence"
    fixed_amount: Decimal = Decimal(10_000)
    volatility_base: Decimal = Decimal(10_000)
    atr_multiple: Decimal = Decimal(1)
    risk_per_trade: Decimal = Decimal("0.01")
    """Share of equity that may be lost when the stop is hit (or by one ATR against us)."""
    kelly_safety: Decimal = Decimal("0.5")
    kelly_cap: Decimal = Decimal("0.25")

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"risk.sizing: {self.method!r} is unknown: use {', '.join(METHODS)}")
        for key, value, most in (
            ("fixed_amount", self.fixed_amount, None), ("volatility_base", self.volatility_base, None),
            ("atr_multiple", self.atr_multiple, None), ("risk_per_trade", self.risk_per_trade, 1),
            ("kelly_safety", self.kelly_safety, 1), ("kelly_cap", self.kelly_cap, 1),
        ):
            if not value.is_finite() or value <= ZERO or (most is not None and value > most):
                allowed = "a number above 0" + ("" if most is None else f" and at most {most}")
                raise ValueError(f"risk.{key}: {value} cannot size anything: write {allowed}")


@dataclass(frozen=True, slots=True)
class Means:
    """What a size may rest on: money in quote, `trust` the confidence 0-1, distances as ratios of price.

    `kelly_share` is None while there are too few round trips to know one.
    """

    quote: str
    equity: Decimal
    available: Decimal
    base_share: Decimal
    trust: Decimal
    stop_ratio: Decimal | None
    atr_ratio: Decimal | None
    kelly_share: Decimal | None


def wished_value(sizing: Sizing, means: Means) -> tuple[Decimal, str]:
    """The value in quote that the method wishes for, and the sentence that says how; zero when it cannot know one."""
    if sizing.method == "fixed":
        return sizing.fixed_amount, f"A fixed {money(sizing.fixed_amount, means.quote)}."
    if sizing.method == "volatility":
        return _by_volatility(sizing, means)
    if sizing.method == "risk":
        return _by_risk(sizing, means)
    if sizing.method == "kelly" and means.kelly_share is not None:
        value = means.kelly_share * means.available
        return value, (
            f"The Kelly share of {percent(means.kelly_share)} of {money(means.available, means.quote)} available: "
            f"{money(value, means.quote)}."
        )
    return _by_confidence(means)


def _by_confidence(means: Means) -> tuple[Decimal, str]:
    """The base share times the confidence; also what Kelly falls back on before it knows enough round trips."""
    value = means.base_share * means.trust * means.available
    return value, (
        f"{percent(means.base_share)} of {money(means.available, means.quote)} available, "
        f"times a confidence of {to_text(means.trust)}: {money(value, means.quote)}."
    )


def _by_volatility(sizing: Sizing, means: Means) -> tuple[Decimal, str]:
    """So much that a move of `atr_multiple` ATRs costs the risk per trade of the base, and never above the base.

    The unit of the Turtle traders (C. Faith, "Way of the Turtle", 2007): 1 % of the account over N, N being the ATR.
    """
    base = sizing.volatility_base
    if means.atr_ratio is None or means.atr_ratio <= ZERO:
        return ZERO, "Sizes follow volatility, and the average true range is not known yet."
    value = min(sizing.risk_per_trade * base / (sizing.atr_multiple * means.atr_ratio), base)
    return value, (
        f"{money(base, means.quote)} adjusted to a range of {percent(means.atr_ratio)}: {money(value, means.quote)}."
    )


def _by_risk(sizing: Sizing, means: Means) -> tuple[Decimal, str]:
    """So much that the stop costs the risk per trade (R. Tharp's percent risk model)."""
    if means.stop_ratio is None or means.stop_ratio <= ZERO:
        return ZERO, "Sizes follow the distance of the stop, and there is no stop."
    value = sizing.risk_per_trade * means.equity / means.stop_ratio
    return value, (
        f"{percent(sizing.risk_per_trade)} of {money(means.equity, means.quote)} equity at risk over a stop of "
        f"{percent(means.stop_ratio)}: {money(value, means.quote)}."
    )
