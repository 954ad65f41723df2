"""What `tradingd status` and GET /api/status tell of the process: feed, bus, agents, problems, size."""

import os
import time
from typing import Final, Literal
from urllib.parse import urlsplit

from bus.bus import Bus
from bus.ids import SessionId
from exchanges.binance.market_state import FeedCounters
from exchanges.own_line import TellsOwnLine
from market.interval import SECOND_NS
from tradingd.control import BusStatus, DaemonStatus, FeedStatus, Problem
from tradingd.feed_driver import FeedDriver
from tradingd.read_model import ReadModel
from tradingd.redaction import redact
from tradingd.runtime import Runtime
from tradingd.venue_access import MarketFeed

_MEGABYTE: Final = 1e6


class StatusReport:
    """Looks only; nothing here changes anything."""

    def __init__(
        self, runtime: Runtime, driver: FeedDriver, feed: MarketFeed, bus: Bus, bus_url: str, read_model: ReadModel, *,
        started_ns: int,
    ) -> None:
        self._runtime = runtime
        self._driver = driver
        self._feed = feed
        self._bus = bus
        self._bus_url = without_credentials(bus_url)
        self._read_model = read_model
        self._started_ns = started_ns
        self._started_monotonic = time.monotonic()

    def make(self, session: SessionId, *, now: int, not_ready_reason: str, is_replay: bool) -> DaemonStatus:
        """As of `now` (UTC ns, the session's clock)."""
        driver = self._driver
        age_s = max(0.0, (now - driver.last_ns) / SECOND_NS) if driver.last_ns else None
        return DaemonStatus(
            pid=os.getpid(), session=session, started_ns=self._started_ns,
            uptime_s=time.monotonic() - self._started_monotonic, is_ready=not not_ready_reason,
            not_ready_reason=not_ready_reason, is_replay=is_replay, feeds=(self._feed_status(age_s), *self._own_line()),
            feed_age_s=age_s,
            bus=self._bus_status(), agents=tuple(runner.report() for runner in self._runtime.runners.values()),
            problems=self._problems(), loop_lag_ms=driver.loop_lag_s * 1000, memory_mb=memory_megabytes(),
        )

    def _feed_status(self, age_s: float | None) -> FeedStatus:
        driver, counters = self._driver, self._feed.counters
        return FeedStatus(
            name=self._feed.name, state=driver.state, messages=counters.frames,  # type: ignore[arg-type]
            reconnects=max(0, driver.reconnects), gaps=counters.trade_gaps + counters.book_gaps, age_s=age_s,
            detail=driver.detail or doubts(counters),
        )

    def _own_line(self) -> tuple[FeedStatus, ...]:
        """Where live orders are told of; while it is away the exchange is asked about them."""
        venue = self._runtime.venue
        line = venue.own_line() if isinstance(venue, TellsOwnLine) else None
        if line is None:
            return ()
        state: Literal["connected", "connecting", "lost"] = (
            "connected" if line.is_up else "lost" if line.breaks else "connecting"
        )
        detail = "" if line.is_up else line.problem
        return (FeedStatus(
            f"{venue.name} user stream", state, line.frames, line.breaks, line.gaps, None, redact(detail),
        ),)

    def _bus_status(self) -> BusStatus:
        counters = self._bus.counters  # type: ignore[attr-defined]
        return BusStatus(self._bus_url, self._bus.is_connected, counters.published, counters.dropped, counters.gaps)

    def _problems(self) -> tuple[Problem, ...]:
        """What is wrong with the process, and what the kill switch has not yet done."""
        problems, kill = self._runtime.health.problems, self._read_model.kill_view()
        if kill is None or not kill.progress:
            return problems
        told = Problem(f"kill switch ({kill.action}): {kill.progress}", self._read_model.kill_since_ns)
        return tuple(sorted((*problems, told), key=lambda problem: problem.since_ns))


def doubts(counters: FeedCounters) -> str:
    """3 frames refused (crossed 2, not_positive 1); 1 trade stamped in the future. Or nothing."""
    told, refused = [], counters.refused_by_reason
    if refused:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(refused.items()))
        told.append(f"{sum(refused.values())} frames refused ({reasons})")
    if counters.future_stamps:
        trades = "1 trade" if counters.future_stamps == 1 else f"{counters.future_stamps} trades"
        told.append(f"{trades} stamped in the future, counted as heard: is this machine's clock right?")
    return "; ".join(told)


def without_credentials(url: str) -> str:
    """The address as people may see it."""
    parts = urlsplit(url)
    return url if parts.password is None else parts._replace(netloc=f"***@{parts.hostname}:{parts.port}").geturl()


def memory_megabytes() -> float:
    """Resident size of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE
    except OSError:
        return 0.0
