"""[risk] as the parts that obey it want it: limits a person wrote, sizing, protections, cuts of exposure."""

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Final

from market.interval import MINUTE_NS, SECOND_NS
from market.money import to_text
from risk.exposure_steps import ExposureCuts
from risk.limits import CONFIDENCE_THRESHOLDS, SECONDS_KEYS, LimitOrigin, RiskLimits, explain_limits
from risk.locks import Protections
from risk.sizing_methods import Sizing
from tradingd.settings import ProtectionSettings, RiskSettings, Settings

_LIMIT_KEYS: Final = frozenset({field.name for field in fields(RiskLimits)} | set(SECONDS_KEYS))


def written_limits(settings: Settings) -> dict[str, object]:
    """The limits that a file, the environment or the command line sets, under the keys of config.toml."""
    found = {key: getattr(settings.risk, key) for key in RiskSettings.model_fields if key in _LIMIT_KEYS}
    return {key: value for key, value in found.items() if value is not None}


def limit_origins(settings: Settings) -> tuple[LimitOrigin, ...]:
    """Every limit that holds, and who set it."""
    return explain_limits(settings.account.risk_tolerance, settings.risk.preset, written_limits(settings))


def confidence_threshold(settings: Settings) -> float:
    """Least consensus confidence for a proposal: as written, else by the risk tolerance (T11)."""
    written = settings.council.threshold
    return CONFIDENCE_THRESHOLDS[settings.account.tolerance] if written is None else written


def make_sizing(risk: RiskSettings) -> Sizing:
    """How entries are sized."""
    return Sizing(
        method=risk.sizing, fixed_amount=risk.fixed_amount, volatility_base=risk.volatility_base,
        atr_multiple=risk.atr_multiple, risk_per_trade=risk.risk_per_trade, kelly_safety=risk.kelly_safety,
        kelly_cap=risk.kelly_cap,
    )


def make_cuts(risk: RiskSettings) -> ExposureCuts | None:
    """None unless a person asked for it."""
    return ExposureCuts(risk.cut_share, risk.cut_every) if risk.cut_exposure else None


def longer_of(seconds: float, candles: int, decision_ns: int) -> int:
    """A time of the council in ns, the longer of both: seconds suit second candles only. 0 seconds = off."""
    return max(int(seconds * SECOND_NS), candles * decision_ns) if seconds else 0


def make_protections(settings: ProtectionSettings, decision_ns: int) -> Protections:
    """[risk.protections], seconds as ns.

    They are written for decision candles of up to a minute. On longer ones windows and pauses are as many times longer:
    four losing stops within ten minutes cannot happen on candles of an hour.
    """
    times = max(1, decision_ns // MINUTE_NS) if settings.stretch else 1

    def as_ns(seconds: int) -> int:
        return seconds * times * SECOND_NS

    return Protections(
        cooldown_ns=longer_of(settings.cooldown_s, settings.cooldown_candles, decision_ns),
        stop_guard_stops=settings.stop_guard_stops,
        stop_guard_window_ns=as_ns(settings.stop_guard_window_s),
        stop_guard_pause_ns=as_ns(settings.stop_guard_pause_s),
        stop_guard_scope=settings.stop_guard_scope,
        low_profit_trips=settings.low_profit_trips,
        low_profit_ratio=settings.low_profit_ratio,
        low_profit_window_ns=as_ns(settings.low_profit_window_s),
        low_profit_pause_ns=as_ns(settings.low_profit_pause_s),
        drawdown_guard_trips=settings.drawdown_guard_trips,
        drawdown_guard_ratio=settings.drawdown_guard_ratio,
        drawdown_guard_window_ns=as_ns(settings.drawdown_guard_window_s),
        drawdown_guard_pause_ns=as_ns(settings.drawdown_guard_pause_s),
    )


@dataclass(frozen=True, slots=True)
class LimitView:
    """A number under its key in [risk], or with its section: decimal text, in seconds for windows; and who set it."""

    key: str
    value: str
    source: str


def limit_views(settings: Settings) -> list[LimitView]:
    """Every limit for people, in the order of `RiskLimits`."""
    keys_by_name = {name: key for key, name in SECONDS_KEYS.items()}
    views = []
    for origin in limit_origins(settings):
        value = Decimal(origin.value)
        if origin.name in keys_by_name:
            value /= SECOND_NS
        views.append(LimitView(keys_by_name.get(origin.name, origin.name), to_text(value), origin.source))
    return views
