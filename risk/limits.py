"""The limits a person may set, where their defaults come from, and which of several wins.

Three layers: the risk tolerance (three settings are enough for a newcomer), a named preset, and the keys of
`[risk]` in config.toml. What a written tolerance and a preset both set, the stricter decides; a tolerance that
nobody wrote is "moderate" without a preset and sets nothing beside one; what neither sets has the standing default
of `RiskLimits`, or `ROOM_FOR_PRESETS` where that default would bind before the preset's own numbers; a key written
in the configuration wins over all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal

from market.interval import SECOND_NS

_RATIOS_UP_TO_ONE: Final = (
    "exposure_per_asset", "exposure_total", "daily_drawdown", "weekly_drawdown", "max_drawdown", "daily_loss",
    "stop_loss", "collar", "max_order_notional", "runaway_loss", "kill_loss",
)
_COUNTS: Final = ("max_positions", "orders_per_second", "orders_per_minute")
_WINDOWS_NS: Final = ("duplicate_window_ns", "stale_after_ns")
SECONDS_KEYS: Final = MappingProxyType(
    {"duplicate_window_s": "duplicate_window_ns", "stale_after_s": "stale_after_ns"}
)
LONGEST_DUPLICATE_WINDOW_NS: Final = 3600 * SECOND_NS
"""Orders given longer ago are no longer known to the check of duplicates."""

_LARGER_IS_STRICTER: Final = frozenset({"min_notional"})


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """All limits, named as the keys of [risk]. Defaults are those of the moderate tolerance without a preset.

    Ratios (0-1) are of equity unless said otherwise; `min_notional` is money in quote; windows are ns.
    A limit on exposure, drawdown or loss is inclusive: at the limit is a breach. Raises ValueError, naming
    the field, for a value that cannot be a limit.
    """

    exposure_per_asset: Decimal = Decimal("0.05")
    exposure_total: Decimal = Decimal("0.25")
    daily_drawdown: Decimal = Decimal("0.05")
    """From the day's peak equity (UTC day)."""
    weekly_drawdown: Decimal = Decimal("0.10")
    """From the week's peak equity (ISO week)."""
    max_drawdown: Decimal = Decimal("0.15")
    """From the highest equity ever."""
    daily_loss: Decimal = Decimal("0.05")
    """From the day's opening equity."""
    max_positions: int = 3
    """Positions and pending entries at once: so many may be open, one more may not."""
    stop_loss: Decimal = Decimal("0.02")
    """Distance of the protective stop from the entry price."""
    min_notional: Decimal = Decimal(10)
    collar: Decimal = Decimal("0.05")
    """Distance of an order's price from the market, as a ratio of the market price."""
    max_order_notional: Decimal = Decimal("0.25")
    """One order; exactly this much is still allowed."""
    orders_per_second: int = 10
    orders_per_minute: int = 60
    notional_per_minute: Decimal = Decimal(1)
    """Entries sent within 60 seconds, as a ratio of equity (may be above 1)."""
    runaway_loss: Decimal = Decimal("0.02")
    """Loss of equity within 60 seconds."""
    duplicate_window_ns: int = 5 * SECOND_NS
    stale_after_ns: int = 3 * SECOND_NS
    kill_loss: Decimal = Decimal("0.5")
    """Loss of the initial capital, as its ratio, that engages the kill switch."""

    def __post_init__(self) -> None:
        for name in _RATIOS_UP_TO_ONE:
            ratio = getattr(self, name)
            if not isinstance(ratio, Decimal) or not ratio.is_finite() or not 0 < ratio <= 1:
                raise ValueError(f"risk.{name}: {ratio!r} is not a limit: write a ratio above 0 and at most 1")
        pace = self.notional_per_minute
        if not isinstance(pace, Decimal) or not pace.is_finite() or pace <= 0:
            raise ValueError(f"risk.notional_per_minute: {pace!r} is not a limit: write a ratio above 0")
        notional = self.min_notional
        if not isinstance(notional, Decimal) or not notional.is_finite() or notional < 0:
            raise ValueError(f"risk.min_notional: {notional!r} is not a limit: write an amount of 0 or more")
        for name in _COUNTS:
            _require_whole(name, getattr(self, name), lowest=1)
        for name in _WINDOWS_NS:
            _require_whole(name, getattr(self, name), lowest=0)
        if self.duplicate_window_ns > LONGEST_DUPLICATE_WINDOW_NS:
            seconds = self.duplicate_window_ns / SECOND_NS
            raise ValueError(f"risk.duplicate_window_s: {seconds:g} is not a limit: write 3600 (an hour) or less")


def _require_whole(name: str, value: object, lowest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise ValueError(f"risk.{name}: {value!r} is not a limit: write a whole number of {lowest} or more")


LimitValues = Mapping[str, Decimal | int]

USUAL_TOLERANCE: Final = "moderate"
"""What holds when nobody wrote a tolerance nor chose a preset. `RiskLimits` has its numbers."""

TOLERANCES: Final[Mapping[str, LimitValues]] = MappingProxyType({
    "conservative": MappingProxyType({"max_drawdown": Decimal("0.10"), "max_positions": 2}),
    "moderate": MappingProxyType({"max_drawdown": Decimal("0.15"), "max_positions": 3}),
    "aggressive": MappingProxyType({"max_drawdown": Decimal("0.25"), "max_positions": 5}),
})
"""What the risk tolerance sets."""

CONFIDENCE_THRESHOLDS: Final[Mapping[str, float]] = MappingProxyType(
    {"conservative": 0.7, "moderate": 0.6, "aggressive": 0.5}
)
"""Least consensus confidence for a proposal, by risk tolerance; no limit of the gate, hence a float."""

PRESETS: Final[Mapping[str, LimitValues]] = MappingProxyType({
    "": MappingProxyType({}),
    "trailing-grid": MappingProxyType({
        "exposure_per_asset": Decimal("0.25"), "exposure_total": Decimal("0.25"), "max_positions": 5,
        "max_drawdown": Decimal("0.15"), "daily_loss": Decimal("0.05"), "stop_loss": Decimal("0.02"),
    }),
    "corporation": MappingProxyType({
        "exposure_per_asset": Decimal("0.05"), "exposure_total": Decimal("0.25"),
        "daily_drawdown": Decimal("0.05"), "weekly_drawdown": Decimal("0.10"),
    }),
    "autotrader": MappingProxyType({
        "exposure_per_asset": Decimal("0.05"), "daily_loss": Decimal("0.15"), "kill_loss": Decimal("0.5"),
        "stop_loss": Decimal("0.05"), "min_notional": Decimal(10), "max_positions": 1,
    }),
})
"""What each preset sets: the numbers of its design.

Two of the autotrader's are no limits: its poll of 300 s (60 s after an error) has no counterpart, for decisions here
are made when a candle of `candles.decision` closes; "a sell closes all" is so for everybody, the council's exits sell
all that is held.
"""

ROOM_FOR_PRESETS: Final[Mapping[str, LimitValues]] = MappingProxyType({
    "": MappingProxyType({}),
    "trailing-grid": MappingProxyType({"weekly_drawdown": Decimal("0.15")}),
    "corporation": MappingProxyType({"max_positions": 5}),
    "autotrader": MappingProxyType({
        "daily_drawdown": Decimal("0.15"), "weekly_drawdown": Decimal("0.5"), "max_drawdown": Decimal("0.5"),
    }),
})
"""Limits that a preset's design does not know and whose standing default would bind before its numbers.

A loss limit of some reach (day, week, ever) takes the design's number of the same reach, else its next one of a
longer reach. trailing-grid knows 5 % a day and a drawdown of 15 %: a week of 10 % would stop it before the 15 %.
autotrader knows 15 % a day and the end at 50 %: the day's drawdown of 5 % would stop it before the 15 %, the
drawdowns of 10 % a week and 15 % ever before the 50 %. corporation holds 5 % an asset and 25 % in total: three
positions would stop it at 15 %. A tolerance that somebody wrote is stricter than these, as it is than a preset.
"""


def stricter(name: str, one: Decimal | int, other: Decimal | int) -> Decimal | int:
    """The one of two values of the limit `name` that allows less."""
    return max(one, other) if name in _LARGER_IS_STRICTER else min(one, other)


@dataclass(frozen=True, slots=True)
class LimitOrigin:
    """One limit as it holds, and who set it: "default", "tolerance", "preset" or "config"."""

    name: str
    value: Decimal | int
    source: Literal["default", "tolerance", "preset", "config"]


def explain_limits(tolerance: str | None, preset: str, overrides: Mapping[str, object]) -> tuple[LimitOrigin, ...]:
    """Every limit with its source, in the order of `RiskLimits`; arguments and errors as `resolve_limits`."""
    limits = resolve_limits(tolerance, preset, overrides)
    by_tolerance, by_preset = _set_by_tolerance(tolerance, preset), _set_by_preset(preset)
    written = {_field_of(key) for key, raw in overrides.items() if raw is not None}
    origins = []
    for field in fields(RiskLimits):
        name, value = field.name, getattr(limits, field.name)
        source: Literal["default", "tolerance", "preset", "config"] = "default"
        if name in written:
            source = "config"
        elif by_tolerance.get(name) == value:
            source = "tolerance"
        elif name in by_preset:
            source = "preset"
        origins.append(LimitOrigin(name, value, source))
    return tuple(origins)


def resolve_limits(tolerance: str | None, preset: str, overrides: Mapping[str, object]) -> RiskLimits:
    """The limits that hold for a risk tolerance, a preset ("" = none) and the keys a person wrote under [risk].

    A tolerance of None was not written: it takes nothing away from a preset.

    `overrides` takes every field of `RiskLimits` and the two windows in seconds as config.toml names them
    (`duplicate_window_s`, `stale_after_s`); None means "not written". Values are Decimal, int or decimal text.
    Raises ValueError naming the key (or the tolerance, or the preset) that is unknown or cannot be a limit.
    """
    if tolerance is not None and tolerance not in TOLERANCES:
        raise ValueError(f"account.risk_tolerance: {tolerance!r} is unknown: use {', '.join(TOLERANCES)}")
    if preset not in PRESETS:
        named = ", ".join(repr(name) for name in PRESETS)
        raise ValueError(f"risk.preset: {preset!r} is unknown: use one of {named}")
    values = _set_by_tolerance(tolerance, preset)
    for name, value in _set_by_preset(preset).items():
        values[name] = stricter(name, values[name], value) if name in values else value
    for key, raw in overrides.items():
        name = _field_of(key)
        if raw is not None:
            values[name] = _limit_value(key, name, raw)
    return replace(RiskLimits(), **values)  # type: ignore[arg-type]  # the fields check their own types


def _set_by_tolerance(tolerance: str | None, preset: str) -> dict[str, Decimal | int]:
    if tolerance is None:
        return {} if preset else dict(TOLERANCES[USUAL_TOLERANCE])
    return dict(TOLERANCES[tolerance])


def _set_by_preset(preset: str) -> dict[str, Decimal | int]:
    return {**ROOM_FOR_PRESETS[preset], **PRESETS[preset]}


def _field_of(key: str) -> str:
    name = SECONDS_KEYS.get(key, key)
    if name not in _FIELD_NAMES:
        known = ", ".join(sorted(_FIELD_NAMES | set(SECONDS_KEYS)))
        raise ValueError(f"risk.{key}: no such limit: use one of {known}")
    return name


def _limit_value(key: str, name: str, raw: object) -> Decimal | int:
    """The written value in the field's type; floats are refused, they have lost digits already."""
    if isinstance(raw, bool) or not isinstance(raw, Decimal | int | str):
        raise ValueError(f"risk.{key}: {raw!r} is not a limit: write a Decimal, a whole number or decimal text")
    try:
        value = Decimal(raw)
    except ArithmeticError as error:
        raise ValueError(f"risk.{key}: {raw!r} is not a number: write one such as 0.05") from error
    if key in SECONDS_KEYS:
        value *= SECOND_NS
    if name not in _COUNTS and name not in _WINDOWS_NS:
        return value
    if not value.is_finite() or value != value.to_integral_value():
        raise ValueError(f"risk.{key}: {raw!r} is not a limit: write a whole number (windows: of nanoseconds)")
    return int(value)


_FIELD_NAMES: Final = frozenset(field.name for field in fields(RiskLimits))
