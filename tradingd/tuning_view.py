"""Self-tuning for people: what holds, how each parameter fares, and every version with its reason."""

from dataclasses import dataclass

from agents.parameters import BOUNDS, bounds_of
from market.money import to_text
from tradingd.parameters import configured_parameters, held_parameters
from tradingd.read_model_views import to_iso
from tradingd.settings import Settings
from tradingd.tuning_fold import TuningFold


@dataclass(frozen=True, slots=True)
class ParameterView:
    """One parameter: decimal text; `success` of its last `outcomes`, None without any; `outcome_confidence` 0.5 to
    0.9.
    """

    name: str
    value: str
    configured: str
    lowest: str
    highest: str
    outcomes: int
    success: float | None
    outcome_confidence: float


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version. `parent`: the one whose values it was made from, 0 = as configured."""

    version: int
    parent: int
    ts: str
    by: str
    is_tuning: bool
    reason: str
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class TuningView:
    """`version` 0: as configured. `last`: what came of the last attempt. `versions`: newest first."""

    is_on: bool
    is_running: bool
    version: int
    at: str
    last: str
    parameters: tuple[ParameterView, ...]
    versions: tuple[VersionView, ...]


def tuning_view(settings: Settings, fold: TuningFold, *, is_on: bool, is_running: bool, last: str) -> TuningView:
    """Of a daemon that runs, or of what its journal says."""
    configured = configured_parameters(settings)
    held = held_parameters(settings, fold.current) or configured
    outcomes = fold.outcomes()
    rows = tuple(
        ParameterView(
            name, to_text(held.value(name)), to_text(configured.value(name)),
            to_text(bounds_of(name, configured)[0]), to_text(bounds_of(name, configured)[1]),
            outcomes[name].count, outcomes[name].success, outcomes[name].confidence,
        )
        for name in BOUNDS
    )
    versions = tuple(
        VersionView(
            each.change.version, each.change.parent, to_iso(each.ts), each.change.by, each.change.is_tuning,
            each.change.reason, {known.name: to_text(known.value) for known in each.change.parameters},
        )
        for each in reversed(fold.versions)
    )
    version = fold.current.version if fold.current is not None else 0
    return TuningView(is_on, is_running, version, settings.tuning.at, last, rows, versions)
