"""The state of the process, its parts and its permission to trade."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar, Final, Literal

from bus.ids import SessionId
from bus.messages.header import PRIORITY_CONTROL, PRIORITY_KILL
from bus.messages.orders import KillAction
from market.instrument import Instrument
from market.record import fast_init

TradingState = Literal["ACTIVE", "REDUCING", "HALTED"]
Voter = Literal["operator", "ceo", "risk", "health"]
BY_RULE: Final = "rule"
"""Who engaged the kill switch when no person did."""


@fast_init
@dataclass(frozen=True, slots=True)
class VoteTradingState:
    """Command: one of the four voters changes its vote; the lowest of the four rules."""

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    voter: Voter
    state: TradingState
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class TradingStateChanged:
    """The rule of the four votes (voter, state, reason), and the state that follows."""

    state: TradingState
    votes: tuple[tuple[str, str, str], ...]
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class KillSwitchEngaged:
    """Latched: survives restarts, only a person releases it."""

    PRIORITY: ClassVar[int] = PRIORITY_KILL

    action: KillAction
    reason: str
    by: str


@fast_init
@dataclass(frozen=True, slots=True)
class KillSwitchReleased:
    """Unlocked by a person."""

    PRIORITY: ClassVar[int] = PRIORITY_KILL

    by: str
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class LimitBreached:
    """A risk limit was reached."""

    rule: str
    value: str
    limit: str
    message: str


@fast_init
@dataclass(frozen=True, slots=True)
class LockPlaced:
    """A protection keeps new risk out for a while: of one symbol, or of all with "*". Times UTC ns."""

    lock_id: str
    rule: str
    symbol: str
    reason: str
    since_ns: int
    until_ns: int


@fast_init
@dataclass(frozen=True, slots=True)
class LiftLock:
    """Command: a person ends a lock before its time."""

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    lock_id: str
    by: str
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class LockLifted:
    """A person ended a lock."""

    lock_id: str
    symbol: str
    by: str
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class SymbolReleased:
    """Entries on a symbol that was halted after repeated faults are open again; `by` a person, or `BY_RULE`."""

    symbol: str
    by: str
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class ExposureCut:
    """At or beyond a drawdown limit positions were cut: `step` so far in this episode, 0 = the episode is over.

    `value` and `limit` (ratios of equity) are those of the worst rule.
    """

    step: int
    rule: str
    value: Decimal
    limit: Decimal
    message: str


@fast_init
@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """A session begins."""

    session: SessionId
    version: str
    mode: Literal["paper", "live"]
    venue: str
    symbols: tuple[str, ...]
    seed: int
    is_replay: bool


@fast_init
@dataclass(frozen=True, slots=True)
class DaemonStopping:
    """A session ends on purpose."""

    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class AgentStarted:
    """An agent begins, or begins again."""

    agent: str
    restarts: int


@fast_init
@dataclass(frozen=True, slots=True)
class AgentFailed:
    """An agent raised, or was silent too long."""

    agent: str
    error: str


@fast_init
@dataclass(frozen=True, slots=True)
class AgentStopped:
    """An agent ended on purpose."""

    agent: str


@fast_init
@dataclass(frozen=True, slots=True)
class FeedConnected:
    """Market data flows."""

    feed: str


@fast_init
@dataclass(frozen=True, slots=True)
class FeedLost:
    """Market data is cut off; entries stop until it is back and resynchronised."""

    feed: str
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class BusGap:
    """Messages of a source were lost on the bus: numbers first..last never came."""

    missing_source: str
    first: int
    last: int


@fast_init
@dataclass(frozen=True, slots=True)
class Heartbeat:
    """This source lives."""

    agent: str


@fast_init
@dataclass(frozen=True, slots=True)
class ReconciliationCompleted:
    """Our books and the venue's agree again; what had to be corrected, in words."""

    corrections: tuple[str, ...]


@fast_init
@dataclass(frozen=True, slots=True)
class PathDependenceNoted:
    """At the end of a replay of candles: of `trades` round trips that an armed exit ended, the results of `dependent`
    rest on what came first inside a candle of `interval`, its high or its low."""

    interval: str
    trades: int
    dependent: int


@fast_init
@dataclass(frozen=True, slots=True)
class InstrumentChanged:
    """The venue has new rules for a symbol: increments, smallest orders, fees (ratios), or whether it trades.

    After a restart the venue is asked anew, so the newest fact of this kind is never older than the truth.
    """

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    symbol: str
    price_tick: Decimal
    quantity_step: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    maker_fee: Decimal
    taker_fee: Decimal
    is_trading: bool
    reason: str

    def applied_to(self, instrument: Instrument) -> Instrument:
        """The instrument under the new rules."""
        return replace(
            instrument, price_tick=self.price_tick, quantity_step=self.quantity_step, min_quantity=self.min_quantity,
            max_quantity=self.max_quantity, min_notional=self.min_notional, maker_fee=self.maker_fee,
            taker_fee=self.taker_fee, is_trading=self.is_trading,
        )


@fast_init
@dataclass(frozen=True, slots=True)
class TimerFired:
    """Time as an input: once a second of the session's clock (the header's ts says when)."""

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    name: str


@fast_init
@dataclass(frozen=True, slots=True)
class AlertRaised:
    """Something a person should know."""

    level: Literal["info", "warning", "critical"]
    title: str
    message: str
