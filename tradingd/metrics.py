"""Prometheus metrics: counted while trading (a dictionary lookup each), gathered only when somebody asks.

What the read model knows is taken from there at the scrape, so it survives a restart; what it does not keep
(confidences, denial codes, lateness) is counted here since the start.
"""

import contextlib
import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    UnknownMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.registry import Collector

from bus.messages.council import AlphaSignal, ProposalVetoed, TradeProposed
from bus.messages.header import Message
from bus.messages.ledger import PositionClosed, PositionOpened
from bus.messages.orders import OrderDenied, OrderFilled
from bus.messages.system import BY_RULE, TradingState
from market.money import ZERO
from risk.codes import DENIAL_CODES
from tradingd.control import Control, DaemonStatus
from tradingd.metric_catalogue import BY_NAME, CATALOGUE, Metric
from tradingd.protected_quantity import COVERED, protected_quantities

if TYPE_CHECKING:
    from tradingd.alerts.alerts import Alerts
    from tradingd.alerts.telegram_bot import TelegramBot

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OTHER: Final = "OTHER"
_RESULTS: Final = (("buy", "opened"), ("sell", "win"), ("sell", "loss"), ("sell", "even"))

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, in the catalogue's order, and the number."""


class Buckets:
    """One histogram's counts, not cumulative; `bounds` are upper bounds, inclusive."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound as text, observations up to it), as Prometheus wants it."""
        found, so_far = [], 0
        for bound, count in zip((*(f"{each:g}" for each in self.bounds), "+Inf"), self.counts, strict=True):
            so_far += count
            found.append((bound, float(so_far)))
        return found


class Metrics:
    """`hear` every fact, `sample` once a second, `render` when asked. All from the daemon's own loop."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self.alerts: Alerts | None = None
        self.bots: tuple[TelegramBot, ...] = ()
        self.secrets_due: Callable[[], int] = lambda: 0
        self._confidence = {name: Buckets(BY_NAME["agent_confidence"].buckets) for name in ("analyst", "strategy")}
        self._slippage = Buckets(BY_NAME["tradingd_slippage_ratio"].buckets)
        self._fill_time = Buckets(BY_NAME["tradingd_fill_duration_seconds"].buckets)
        self._lag = Buckets(BY_NAME["tradingd_loop_lag_seconds"].buckets)
        self._denials: Counter[str] = Counter()
        self._vetoes: Counter[str] = Counter()
        self._trades: Counter[tuple[str, str]] = Counter()
        self._unprotected_s = 0.0
        self._unprotected_now = 0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Gathering(self.families))
        self._handlers: dict[type, Callable[[Any, Message], None]] = {
            AlphaSignal: lambda b, m: self._confidence["analyst"].observe(b.confidence),
            TradeProposed: lambda b, m: self._confidence["strategy"].observe(b.confidence),
            OrderFilled: self._on_filled,
            OrderDenied: lambda b, m: self._denials.update((_closed(b.code),)),
            ProposalVetoed: lambda b, m: self._vetoes.update((_closed(b.code),)),
            PositionOpened: lambda b, m: self._trades.update((("buy", "opened"),)),
            PositionClosed: self._on_closed,
        }

    # ---- while trading ------------------------------------------------------------------------------

    def hear(self, message: Message) -> None:
        """Any message; never raises."""
        handler = self._handlers.get(type(message.body))
        if handler is not None:
            handler(message.body, message)

    def _on_filled(self, body: OrderFilled, message: Message) -> None:
        record = self._control.read_model.order_fold.by_id.get(body.client_order_id)
        if record is None or not body.is_complete:
            return
        if record.slippage is not None:
            self._slippage.observe(record.slippage)
        if record.submitted_ns:
            self._fill_time.observe(max(0.0, (message.header.ts - record.submitted_ns) / 1e9))

    def _on_closed(self, body: PositionClosed, _: Message) -> None:
        result = "win" if body.realized_pnl > ZERO else "loss" if body.realized_pnl < ZERO else "even"
        self._trades["sell", result] += 1

    def sample(self, elapsed_s: float) -> None:
        """Once a second: lateness, and positions that nothing protects (`elapsed_s` since the last call)."""
        self._lag.observe(max(0.0, self._control.status().loop_lag_ms / 1000))
        self._unprotected_now = len(self.unprotected())
        self._unprotected_s += self._unprotected_now * elapsed_s

    def unprotected(self) -> tuple[str, ...]:
        """Symbols of which stops and trailing sells cover too little; those that a person's kill holds back do not."""
        model, kill = self._control.read_model, self._control.read_model.kill
        are_held_back = kill is not None and kill.action != "flatten" and kill.by != BY_RULE
        covered = protected_quantities(model.order_fold.working(), are_held_back=are_held_back)
        return tuple(sorted(
            symbol for symbol, held in model.results.holdings.items()
            if covered.get(symbol, ZERO) < COVERED * held.quantity
        ))

    # ---- when asked ---------------------------------------------------------------------------------

    def render(self) -> bytes:
        """The text format 0.0.4."""
        return bytes(generate_latest(self._registry))

    def families(self) -> Iterator[Family]:
        """Every metric of the catalogue, in its order; those without a value yet are left out."""
        values: dict[str, Iterable[Sample]] = {}
        status = self._control.status()
        for part in (self._account(), self._orders(), self._process(status), self._parts(status), self._telling()):
            values.update(part)
        for metric in CATALOGUE:
            if metric.kind == "histogram":
                yield self._histogram(metric)
            elif metric.name in values:
                yield _family(metric, values[metric.name])

    def _histogram(self, metric: Metric) -> Family:
        family = HistogramMetricFamily(metric.name, metric.text, labels=metric.labels)
        found: dict[str, list[tuple[tuple[str, ...], Buckets]]] = {
            "agent_confidence": [((name,), buckets) for name, buckets in self._confidence.items()],
            "tradingd_slippage_ratio": [((), self._slippage)],
            "tradingd_fill_duration_seconds": [((), self._fill_time)],
            "tradingd_loop_lag_seconds": [((), self._lag)],
        }
        for labels, buckets in found[metric.name]:
            family.add_metric(labels, buckets.cumulative(), buckets.total)
        return family

    def _account(self) -> dict[str, Iterable[Sample]]:
        model = self._control.read_model
        results, portfolio, trading = model.performance(), model.results.portfolio, model.trading()
        found: dict[str, Iterable[Sample]] = {
            "trading_pnl_total": _one(float(results.net_pnl)),
            "tradingd_realized_pnl_quote": _one(float(results.realized_pnl)),
            "tradingd_unrealized_pnl_quote": _one(float(results.unrealized_pnl)),
            "tradingd_fees_quote": _one(float(results.fees)),
            "tradingd_positions": _one(len(model.results.holdings)),
            "tradingd_unprotected_positions": _one(self._unprotected_now),
            "tradingd_unprotected_seconds_total": _one(self._unprotected_s),
            "tradingd_trading_state": [
                ((state,), float(state == trading.state)) for state in get_args(TradingState)
            ],
            "tradingd_kill_engaged": _one(model.kill is not None),
        }
        if portfolio is not None:
            found["tradingd_equity_quote"] = _one(float(portfolio.equity))
            found["tradingd_available_quote"] = _one(float(portfolio.available))
            found["tradingd_exposure_quote"] = _one(float(portfolio.exposure))
            found["tradingd_drawdown_ratio"] = [
                (("day",), portfolio.daily_drawdown), (("week",), portfolio.weekly_drawdown),
                (("all",), portfolio.max_drawdown),
            ]
        if results.win_rate is not None:
            found["tradingd_win_ratio"] = _one(results.win_rate)
        if results.sharpe is not None:
            found["tradingd_sharpe_ratio"] = _one(results.sharpe)
        return found

    def _orders(self) -> dict[str, Iterable[Sample]]:
        counts = self._control.read_model.counts()
        outcomes = ("filled", "cancelled", "expired", "rejected", "denied")
        codes = (*DENIAL_CODES, OTHER)
        return {
            "trades_total": [(each, float(self._trades[each])) for each in _RESULTS],
            "tradingd_working_orders": _one(counts.working),
            "tradingd_unknown_orders": _one(counts.unknown),
            "tradingd_orders_total": [((each,), float(getattr(counts, each))) for each in outcomes],
            "tradingd_fills_total": _one(counts.fills),
            "tradingd_proposals_total": [
                (("approved",), float(counts.approved)), (("vetoed",), float(counts.vetoed)),
            ],
            "tradingd_denials_total": [((code,), float(self._denials[code])) for code in codes],
            "tradingd_vetoes_total": [((code,), float(self._vetoes[code])) for code in codes if self._vetoes[code]],
        }

    def _process(self, status: DaemonStatus) -> dict[str, Iterable[Sample]]:
        settings, session = self._control.settings, self._control.read_model.session
        found: dict[str, Iterable[Sample]] = {
            "tradingd_build_info": [
                ((session.version if session is not None else "", settings.mode, settings.venue), 1.0)
            ],
            "tradingd_ready": _one(status.is_ready),
            "tradingd_uptime_seconds": _one(status.uptime_s),
            "tradingd_problems": _one(len(status.problems)),
            "tradingd_secrets_due": _one(self.secrets_due()),
            "process_resident_memory_bytes": _one(status.memory_mb * 1e6),
            "process_cpu_seconds_total": _one(time.process_time()),
            "process_start_time_seconds": _one(status.started_ns / 1e9),
        }
        with contextlib.suppress(OSError):  # not Linux: this one is absent
            found["process_open_fds"] = _one(len(os.listdir("/proc/self/fd")))
        return found

    @staticmethod
    def _parts(status: DaemonStatus) -> dict[str, Iterable[Sample]]:
        feeds, agents, bus = status.feeds, status.agents, status.bus
        found: dict[str, Iterable[Sample]] = {
            "tradingd_feed_up": [((f.name,), float(f.state == "connected")) for f in feeds],
            "tradingd_feed_messages_total": [((f.name,), float(f.messages)) for f in feeds],
            "tradingd_feed_reconnects_total": [((f.name,), float(f.reconnects)) for f in feeds],
            "tradingd_feed_gaps_total": [((f.name,), float(f.gaps)) for f in feeds],
            "tradingd_bus_up": _one(bus.is_connected),
            "tradingd_bus_published_total": _one(bus.published),
            "tradingd_bus_dropped_total": _one(bus.dropped),
            "tradingd_bus_gaps_total": _one(bus.gaps),
            "tradingd_agent_up": [((a.name,), float(a.state == "running")) for a in agents],
            "tradingd_agent_restarts_total": [((a.name,), float(a.restarts)) for a in agents],
            "tradingd_agent_handled_total": [((a.name,), float(a.handled)) for a in agents],
            "tradingd_agent_dropped_total": [((a.name,), float(a.dropped)) for a in agents],
            "tradingd_agent_queued": [((a.name,), float(a.queued)) for a in agents],
        }
        if status.feed_age_s is not None:
            found["tradingd_data_age_seconds"] = _one(status.feed_age_s)
        return found

    def _telling(self) -> dict[str, Iterable[Sample]]:
        channels = self.alerts.channels if self.alerts is not None else ()
        counted = {
            "carried_out": sum(bot.counters.commands for bot in self.bots),
            "stranger": sum(bot.counters.strangers for bot in self.bots),
            "stale": sum(bot.counters.stale for bot in self.bots),
            "wrong_code": sum(bot.counters.wrong_codes for bot in self.bots),
        }
        return {
            "tradingd_alerts_sent_total": [((c.name,), float(c.counters.sent)) for c in channels],
            "tradingd_alerts_failed_total": [((c.name,), float(c.counters.failed)) for c in channels],
            "tradingd_alerts_dropped_total": [((c.name,), float(c.counters.dropped)) for c in channels],
            "tradingd_alerts_waiting": [((c.name,), float(c.waiting)) for c in channels],
            "tradingd_alerts_suppressed_total": _one(self.alerts.suppressed if self.alerts is not None else 0),
            "tradingd_telegram_commands_total": [((what,), float(count)) for what, count in counted.items()],
        }


class _Gathering(Collector):
    """What the registry asks."""

    def __init__(self, gather: Callable[[], Iterator[Family]]) -> None:
        self._gather = gather

    def collect(self) -> Iterator[Family]:
        return self._gather()


def _family(metric: Metric, samples: Iterable[Sample]) -> Family:
    makers: dict[str, Any] = {
        "counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "untyped": UnknownMetricFamily,
    }
    family: Family = makers[metric.kind](metric.name, metric.text, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)  # type: ignore[attr-defined]
    return family


def _one(value: float) -> list[Sample]:
    return [((), float(value))]


def _closed(code: str) -> str:
    """A label has a closed set of values, whatever a message says."""
    return code if code in DENIAL_CODES else OTHER
