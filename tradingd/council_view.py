"""The council at a glance: the six agents and every alpha, how they are, what they said last, how long they think."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from agents.alphas.registry import BUILT_IN
from tradingd.alpha_fold import AlphaFold, SignalView, SkipView
from tradingd.control import Control
from tradingd.plugins.panel import PluginReport
from tradingd.profile import Inspected, Timing
from tradingd.read_model import ReadModel
from tradingd.status_view import AgentView, ProgressView, agent_view, offline_agents
from tradingd.weight_fold import WeightSource, weight_source

BUILT_IN_SOURCE: Final = "built-in"
_NONE: Final = ProgressView(0, 0, 0.0, "")


@dataclass(frozen=True, slots=True)
class TimingView:
    """Microseconds of wall time; percentiles of the last 500 reactions."""

    reactions: int
    mean_us: float
    p50_us: float | None
    p99_us: float | None
    max_us: float


@dataclass(frozen=True, slots=True)
class AlphaView:
    """What an alpha is worth and what it said. `weight_source`: config, person or learnt. `success_rate`: share of its
    judged signals that were right ten candles later; `right` of the last `outcomes` round trips whose entry it voted
    on. `memory_bytes` of its process, None when it has none. `skipped`: how often it gave no opinion (E005).
    """

    version: str
    source: str
    weight: float
    weight_source: WeightSource
    last_signal: SignalView | None
    signals: int
    holds: int
    success_rate: float | None
    outcomes: int
    right: int
    skipped: int
    last_skip: SkipView | None
    memory_bytes: int | None
    pid: int | None


@dataclass(frozen=True, slots=True)
class MemberView(AgentView):
    """An agent (`kind` agent) or an alpha (then `alpha` tells more). `state` of an alpha: off (weight 0), waiting
    (nothing said yet), active, failing (the last view brought no opinion), and of one in a process of its own also
    loading, resting, broken, refused (its name is another's), given up or ended.
    """

    kind: Literal["agent", "alpha"]
    timing: TimingView | None
    alpha: AlphaView | None


def members(control: Control) -> list[MemberView]:
    """Of the running daemon: the agents, then the alphas by name."""
    now, parts, model = control.now(), control.inspected(), control.read_model
    found = [
        _as_member(agent_view(report, now), parts.get(f"agent:{report.name}")) for report in control.status().agents
    ]
    reports = control.plugin_reports()
    weights, configured = control.alpha_weights(), control.settings.council.weights
    rows: list[tuple[str, PluginReport | None]] = [(report.name, report) for report in reports]
    rows += [(name, None) for name in weights.keys() - {report.name for report in reports}]
    for name, report in sorted(rows, key=lambda row: row[0]):
        found.append(_alpha(
            name, weights.get(name, 0.0), configured, model.alphas, parts.get(f"alpha:{name}"), report,
        ))
    return found


def offline_members(model: ReadModel, configured: Mapping[str, float]) -> list[MemberView]:
    """As the journal left them."""
    fold = model.alphas
    weights = {
        **{kind.name: 0.0 for kind in BUILT_IN}, **{name: each.weight for name, each in fold.weights.loaded.items()},
        **configured, **fold.chosen_weights(),
    }
    alphas = [
        replace(_alpha(name, weight, configured, fold, None, None), state="completed")
        for name, weight in sorted(weights.items())
    ]
    return [_as_member(agent, None) for agent in offline_agents(model)] + alphas


def _as_member(view: AgentView, part: Inspected | None) -> MemberView:
    own = {name: getattr(view, name) for name in AgentView.__slots__}
    return MemberView(**own, kind="agent", timing=timing_view(part.timing) if part is not None else None, alpha=None)


def _alpha(
    name: str, weight: float, configured: Mapping[str, float], fold: AlphaFold, part: Inspected | None,
    plugin: PluginReport | None,
) -> MemberView:
    result, last, skip = fold.result(name), fold.last_signal(name), fold.last_skip(name)
    change = fold.weights.weight_by_alpha.get(name)
    timing = plugin.timing if plugin is not None else part.timing if part is not None else None
    loaded = fold.weights.loaded.get(name)
    base = configured.get(name, loaded.weight if loaded is not None else 0.0)
    outcomes = fold.weights.outcomes(name)
    is_failing = skip is not None and (last is None or skip.time > last.time)
    state = "off" if weight <= 0.0 else "failing" if is_failing else "waiting" if last is None else "active"
    if plugin is not None and plugin.state != "ready":
        state = plugin.state
    problem = plugin.problem if plugin is not None else skip.reason if skip is not None and is_failing else ""
    said = "nothing said yet" if last is None else f"{last.symbol}: {last.reasoning}"
    return MemberView(
        name=name, id=name, state=state, status=last.action if last is not None else "",
        progress=replace(_NONE, message=said),
        restarts=plugin.restarts if plugin is not None else 0, handled=timing.count if timing is not None else 0,
        emitted=result.signals + result.holds, queued=0, dropped=0, started_at=None, completed_at=None,
        duration_s=None, last_heartbeat=last.time if last is not None else None, error=problem,
        kind="alpha", timing=timing_view(timing) if timing is not None else None,
        alpha=AlphaView(
            _version(name, loaded.version if loaded is not None else plugin.version if plugin is not None else ""),
            plugin.source if plugin is not None else loaded.source if loaded is not None else BUILT_IN_SOURCE,
            weight, weight_source(change, base), last, result.signals, result.holds, result.success_rate,
            len(outcomes), sum(outcomes),
            fold.skipped(name), skip, plugin.memory_bytes if plugin is not None else None,
            plugin.pid if plugin is not None else None,
        ),
    )


def _version(name: str, told: str) -> str:
    return told or next((kind.version for kind in BUILT_IN if kind.name == name), "")


def timing_view(timing: Timing) -> TimingView:
    """For people."""
    return TimingView(
        timing.count, _us(timing.total_s / timing.count if timing.count else 0.0),
        _us_or_none(timing.percentile_s(0.5)), _us_or_none(timing.percentile_s(0.99)), _us(timing.longest_s),
    )


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 2)


def _us_or_none(seconds: float | None) -> float | None:
    return None if seconds is None else _us(seconds)

