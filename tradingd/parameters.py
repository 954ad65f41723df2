"""Three settings are enough (T11): the numbers that follow from symbol, capital and risk tolerance, and who set each.

Tuned numbers (T12) are laid over the settings here, so that the daemon's agents and the replays of the laboratory are
made from the same ones.
"""

from decimal import Decimal
from typing import Final

from agents.parameters import BOUNDS, Parameters, parameters_of
from agents.strategies.trail_distance import BASE_TRAILS
from bus.messages.council import ParametersChanged
from market.money import to_text
from orders.grid_spacing import DEFAULT_SPACING
from risk.limits import resolve_limits
from tradingd.risk_settings import LimitView, confidence_threshold, limit_origins, limit_views, written_limits
from tradingd.settings import Settings, StrategySettings

_USUAL_SIZE: Final = StrategySettings().position_size


def configured_parameters(settings: Settings) -> Parameters:
    """What holds before anything was tuned."""
    limits = resolve_limits(settings.account.risk_tolerance, settings.risk.preset, written_limits(settings))
    return Parameters(
        spacing=DEFAULT_SPACING,
        trail=base_trail(settings),
        confidence=Decimal(repr(confidence_threshold(settings))),
        drawdown=limits.max_drawdown,
        size=settings.strategy.position_size,
        positions=Decimal(limits.max_positions),
    )


def base_trail(settings: Settings) -> Decimal:
    """As written, else by the risk tolerance."""
    written = settings.strategy.base_trail
    return BASE_TRAILS[settings.account.tolerance] if written is None else written


def with_parameters(settings: Settings, parameters: Parameters | None) -> Settings:
    """The settings with these numbers instead of the derived ones; None changes nothing. Limits only grow stricter."""
    if parameters is None:
        return settings
    configured = configured_parameters(settings)
    return settings.model_copy(update={
        "council": settings.council.model_copy(update={"threshold": float(parameters.confidence)}),
        "strategy": settings.strategy.model_copy(update={
            "position_size": parameters.size, "base_trail": parameters.trail,
        }),
        "risk": settings.risk.model_copy(update={
            "max_drawdown": min(parameters.drawdown, configured.drawdown),
            "max_positions": int(min(parameters.positions, configured.positions)),
        }),
    })


def held_parameters(settings: Settings, changed: ParametersChanged | None) -> Parameters | None:
    """The tuned set that holds, within its bounds whatever the journal says; None while none does."""
    told = parameters_of(changed.parameters) if changed is not None else None
    if told is None or changed is None:
        return None
    configured = configured_parameters(settings)
    # A set as configured (tuning was put back) may lie outside the bounds of tuning, for a person chose it.
    return configured if told == configured else told.within_bounds(configured)


def number_views(settings: Settings, changed: ParametersChanged | None) -> list[LimitView]:
    """The three settings, what follows from them, and every limit of [risk], each with who set it."""
    found = _derived_views(settings, changed)
    derived = {view.key.removeprefix("risk."): view for view in found}
    limits = [
        LimitView(view.key, derived[view.key].value, derived[view.key].source) if view.key in derived else view
        for view in limit_views(settings)
    ]
    return [*(view for view in found if not view.key.startswith("risk.")), *limits]


def _derived_views(settings: Settings, changed: ParametersChanged | None) -> list[LimitView]:
    configured, tuned = configured_parameters(settings), held_parameters(settings, changed)
    version = f"tuning (version {changed.version})" if changed is not None and tuned is not None else ""
    is_written = settings.account.risk_tolerance is not None
    by_tolerance = "tolerance" if is_written else "default"
    sources = {each.name: each.source for each in limit_origins(settings)}
    rows = {
        "spacing": ("grid.spacing", "default"),
        "trail": ("strategy.base_trail", by_tolerance if settings.strategy.base_trail is None else "config"),
        "confidence": ("council.threshold", by_tolerance if settings.council.threshold is None else "config"),
        "drawdown": ("risk.max_drawdown", sources["max_drawdown"]),
        "size": ("strategy.position_size", "default" if configured.size == _USUAL_SIZE else "config"),
        "positions": ("risk.max_positions", sources["max_positions"]),
    }
    found = [
        LimitView("symbols", ", ".join(settings.symbols), "config"),
        LimitView("account.capital", to_text(settings.account.capital), "config"),
        LimitView("account.risk_tolerance", settings.account.tolerance, "config" if is_written else "default"),
    ]
    for name in BOUNDS:
        key, source = rows[name]
        value = (tuned or configured).value(name)
        is_tuned = tuned is not None and value != configured.value(name)
        found.append(LimitView(key, to_text(value), version if is_tuned else source))
    return found
