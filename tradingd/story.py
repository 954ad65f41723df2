"""The story a person reads on the console: one line per signal that matters, proposal, verdict, trail step, fill.

`Story.tell(message)` decides what is worth a line and keeps it from repeating itself; where the line goes
(coloured console or JSON for machines) is the writer's business.
"""

import contextlib
import json
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TextIO

from bus.messages import council, ledger, orders, system
from bus.messages.header import Message
from market.interval import SECOND_NS
from market.money import ZERO, to_text
from orders.order_table import NEVER_ARRIVED
from tradingd.plain_text import one_line
from tradingd.redaction import redact
from tradingd.story_grids import GRID_TELLERS
from tradingd.weight_fold import ADAPTATION

_NOT_SENT: Final = "not sent: "  # so the venues' adapters begin when they refuse an order themselves
_SIGNAL_CONFIDENCE: Final = 0.7
_SIGNAL_PAUSE_NS: Final = 20 * SECOND_NS
_STEP_PAUSE_NS: Final = 2 * SECOND_NS
_STEP_RATIO: Final = Decimal("0.0005")
_MOST_ORDERS: Final = 2_000


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One line: `kind` is a stable word for machines, `text` a sentence for people."""

    ts: int
    who: str
    kind: str
    symbol: str
    text: str
    message_id: str


def money(value: Decimal, places: int = 2) -> str:
    """Two decimals and thousands separators, for reading."""
    return f"{value:,.{places}f}"


def price(value: Decimal) -> str:
    """As many digits as a price of its size needs for reading."""
    magnitude = abs(value)
    if magnitude >= 1000:
        return f"{value:,.2f}"
    if magnitude >= 1:
        return f"{value:.4f}"
    return f"{value:.6f}"


def is_of_our_own(rejection: str) -> bool:
    """Whether an order counts as rejected for a reason of ours, of which the venue knows nothing."""
    return rejection == NEVER_ARRIVED or rejection.startswith(_NOT_SENT)


class Story:
    """Told every message once, in order."""

    def __init__(self, write: Callable[[StoryLine], None], quote: str) -> None:
        self._write = write
        self._quote = quote
        self._last_signal: dict[tuple[str, str, str], int] = {}
        self._last_step: dict[tuple[str, str], tuple[int, Decimal]] = {}
        self._orders: dict[str, tuple[str, str]] = {}  # type and origin
        self._stops: dict[str, str] = {}  # sent to rest at the venue, and what is told when it has them
        self._state = ""
        self._mandate = ""
        self._tellers: dict[type, Callable[[Any, Message], tuple[str, str, str] | None]] = {
            council.AlphaSignal: self._signal,
            council.TradeProposed: self._proposal,
            council.ProposalApproved: lambda b, m: ("APPROVED", b.symbol, b.reason),
            council.ProposalVetoed: lambda b, m: ("VETO", b.symbol, f"{b.reason} [{b.code}] ({b.proposal_id})"),
            council.ProposalExpired: lambda b, m: ("EXPIRED", b.symbol, b.reason),
            council.MandateIssued: self._mandate_issued,
            council.WeightChanged: self._weight,
            council.AlphaLoaded: lambda b, m: ("ALPHA", "", f"{b.alpha} {b.version} of {b.source} is in the council"),
            orders.OrderInitialized: self._initialized,
            orders.OrderDenied: lambda b, m: ("DENIED", b.symbol, f"{b.message} [{b.code}] {b.client_order_id}"),
            orders.OrderAccepted: self._accepted,
            orders.OrderRejected: self._rejected,
            orders.OrderUnknown: lambda b, m: ("UNKNOWN", b.symbol, f"no answer for {b.client_order_id}: {b.reason}"),
            orders.OrderExpired: lambda b, m: ("EXPIRED", b.symbol, f"{b.client_order_id}: {b.reason}"),
            orders.OrderCancelled: self._cancelled,
            orders.ReassessmentDue: lambda b, m: ("REASSESS", b.symbol, f"{b.client_order_id}: {b.reason}"),
            orders.RebalanceStarted: lambda b, m: ("REBALANCE", "", ", ".join(
                f"{each.symbol} to {to_text(each.weight * 100)} %" for each in b.targets
            )),
            orders.RebalanceEnded: lambda b, m: ("REBALANCE", "", b.reason),
            orders.TrailingArmed: self._armed,
            orders.TrailingAdvanced: self._advanced,
            orders.OrderTriggered: self._triggered,
            orders.OrderFilled: self._filled,
            ledger.PositionOpened: lambda b, m: (
                "POSITION", b.symbol, f"holding {to_text(b.quantity)} at {price(b.average_price)}"
            ),
            ledger.PositionClosed: self._closed,
            ledger.FundsChanged: lambda b, m: ("FUNDS", b.asset, f"{money(b.delta)} {b.asset}: {b.reason}"),
            system.TradingStateChanged: self._state_changed,
            system.KillSwitchEngaged: lambda b, m: ("KILL", "", f"engaged by {b.by} ({b.action}): {b.reason}"),
            system.KillSwitchReleased: lambda b, m: ("UNLOCK", "", f"kill switch released by {b.by}: {b.reason}"),
            system.LimitBreached: lambda b, m: ("LIMIT", "", b.message),
            system.SymbolReleased: lambda b, m: ("OPENED", b.symbol, f"entries are open again: {b.reason}"),
            system.LockPlaced: self._locked,
            system.LockLifted: lambda b, m: ("UNLOCKED", b.symbol, f"{b.lock_id} lifted by {b.by}: {b.reason}"),
            system.AgentFailed: lambda b, m: ("FAILED", "", f"agent {b.agent}: {b.error}"),
            system.FeedConnected: lambda b, m: ("FEED", "", f"{b.feed}: market data flows"),
            system.FeedLost: lambda b, m: ("FEED", "", f"{b.feed}: lost ({b.reason}); no entries until it is back"),
            system.AlertRaised: lambda b, m: ("ALERT", "", f"{b.title}: {b.message}"),
            system.InstrumentChanged: lambda b, m: ("RULES", b.symbol, f"the venue changed them: {b.reason}"),
            system.ReconciliationCompleted: lambda b, m: (
                "RECONCILED", "", "; ".join(b.corrections) if b.corrections else "our books and the venue agree"
            ),
            **GRID_TELLERS,
        }

    @staticmethod
    def _weight(body: council.WeightChanged, _: Message) -> tuple[str, str, str] | None:
        """What people say; what is learnt after each round trip, `tradingd weight` tells."""
        if body.by == ADAPTATION:
            return None
        why = f": {body.reason}" if body.reason else ""
        return "WEIGHT", "", f"{body.alpha} weighs {body.weight:g}, says {body.by}{why}"

    @staticmethod
    def _locked(body: system.LockPlaced, _: Message) -> tuple[str, str, str] | None:
        """Not of the short rest after each exit: the line of the exit says enough."""
        if body.rule == "cooldown":
            return None
        rest_s = (body.until_ns - body.since_ns) / SECOND_NS
        symbol = "" if body.symbol == "*" else body.symbol
        return "LOCKED", symbol, f"no entries for {rest_s:g} s ({body.lock_id}, {body.rule}): {body.reason}"

    def tell(self, message: Message) -> None:
        """Write a line if this message is worth one."""
        teller = self._tellers.get(type(message.body))
        if teller is None:
            return
        told = teller(message.body, message)
        if told is not None:
            kind, symbol, text = told
            self._write(StoryLine(message.header.ts, message.header.source, kind, symbol, text, message.id))

    def say(self, ts: int, who: str, kind: str, text: str) -> None:
        """A line that no message stands for."""
        self._write(StoryLine(ts, who, kind, "", text, ""))

    def _signal(self, body: council.AlphaSignal, message: Message) -> tuple[str, str, str] | None:
        if body.action == "hold" or body.confidence < _SIGNAL_CONFIDENCE or body.weight <= 0:
            return None
        key = (body.alpha, body.symbol, body.action)
        if message.header.ts - self._last_signal.get(key, -_SIGNAL_PAUSE_NS) < _SIGNAL_PAUSE_NS:
            return None
        self._last_signal[key] = message.header.ts
        action = body.action.replace("_", "-")
        return "SIGNAL", body.symbol, f"{body.alpha} {action} {body.confidence:.2f}: {body.reasoning}"

    def _proposal(self, body: council.TradeProposed, message: Message) -> tuple[str, str, str]:
        how = f", trailing {to_text(body.trail.distance * 100)[:5]} %" if body.trail else " at market"
        return (
            "PROPOSAL", body.symbol,
            f"{body.side} {to_text(body.quantity)} near {price(body.reference_price)}{how}, "
            f"confidence {body.confidence:.2f}: {body.reason}",
        )

    def _mandate_issued(self, body: council.MandateIssued, message: Message) -> tuple[str, str, str] | None:
        if body.mandate == self._mandate:
            return None
        self._mandate = body.mandate
        return "MANDATE", "", f"{body.mandate.replace('_', '-')}: {body.reason}"

    def _initialized(self, body: orders.OrderInitialized, message: Message) -> tuple[str, str, str] | None:
        order = body.order
        self._orders[order.client_order_id] = order.order_type, order.origin
        if len(self._orders) > _MOST_ORDERS:
            del self._orders[next(iter(self._orders))]
        if order.origin == "protective" and order.tag == "disaster" and order.stop_price is not None:
            quantity, at = to_text(order.quantity), price(order.stop_price)
            self._stops[order.client_order_id] = f"{quantity} rest at the venue, to be sold at {at}"
            if len(self._stops) > _MOST_ORDERS:
                del self._stops[next(iter(self._stops))]
            return None
        if order.order_type in ("trailing", "stop"):
            return None
        at = f" at {price(order.price)}" if order.price is not None else ""
        text = f"{order.order_type} {order.side} {to_text(order.quantity)}{at} ({order.client_order_id})"
        return "ORDER", order.symbol, text

    def _accepted(self, body: orders.OrderAccepted, message: Message) -> tuple[str, str, str] | None:
        stop = self._stops.pop(body.client_order_id, "")
        return ("STOP", body.symbol, f"{stop} ({body.client_order_id})") if stop else None

    def _rejected(self, body: orders.OrderRejected, message: Message) -> tuple[str, str, str]:
        self._stops.pop(body.client_order_id, None)
        by = "" if is_of_our_own(body.reason) else "by the venue: "
        return "REJECTED", body.symbol, f"{body.client_order_id}, {by}{body.reason}"

    def _armed(self, body: orders.TrailingArmed, message: Message) -> tuple[str, str, str]:
        order_type, _ = self._orders.get(body.client_order_id, ("", ""))
        self._note_step((body.symbol, body.client_order_id), message.header.ts, body.trigger)
        what = "stop" if order_type == "stop" else "trail"
        return (
            "ARMED", body.symbol,
            f"{body.side} {what} armed, fires at {price(body.trigger)} ({body.client_order_id})",
        )

    def _advanced(self, body: orders.TrailingAdvanced, message: Message) -> tuple[str, str, str] | None:
        key = (body.symbol, body.client_order_id)
        last_ts, last_trigger = self._last_step.get(key, (-_STEP_PAUSE_NS, ZERO))
        moved = abs(body.trigger - last_trigger) >= last_trigger * _STEP_RATIO
        if not moved or message.header.ts - last_ts < _STEP_PAUSE_NS:
            return None
        self._note_step(key, message.header.ts, body.trigger)
        others = f" and {body.count - 1} more" if body.count > 1 else ""
        extreme = "high" if body.side == "sell" else "low"
        return (
            "TRAIL", body.symbol,
            f"new {extreme} {price(body.best)}, {body.side} trigger now {price(body.trigger)} "
            f"({body.client_order_id}{others})",
        )

    def _note_step(self, key: tuple[str, str], ts: int, trigger: Decimal) -> None:
        self._last_step.pop(key, None)  # what moves is young again
        self._last_step[key] = ts, trigger
        if len(self._last_step) > _MOST_ORDERS:
            del self._last_step[next(iter(self._last_step))]

    def _triggered(self, body: orders.OrderTriggered, message: Message) -> tuple[str, str, str]:
        self._last_step.pop((body.symbol, body.client_order_id), None)
        return (
            "FIRED", body.symbol,
            f"{price(body.price)} reached the trigger {price(body.trigger)} ({body.client_order_id})",
        )

    def _filled(self, body: orders.OrderFilled, message: Message) -> tuple[str, str, str]:
        done = "" if body.is_complete else " (partial)"
        paper = " on paper" if body.simulated else ""
        return (
            "FILL", body.symbol,
            f"{body.side} {to_text(body.quantity)} at {price(body.price)}{paper}{done}, fee {to_text(body.fee)[:8]} "
            f"{body.fee_asset} ({body.client_order_id})",
        )

    def _cancelled(self, body: orders.OrderCancelled, message: Message) -> tuple[str, str, str] | None:
        _, origin = self._orders.get(body.client_order_id, ("", ""))
        if origin == "protective":
            return None
        return "CANCELLED", body.symbol, f"{body.client_order_id}: {body.reason}"

    def _closed(self, body: ledger.PositionClosed, message: Message) -> tuple[str, str, str]:
        kind = "PROFIT" if body.realized_pnl > ZERO else "LOSS"
        return (
            kind, body.symbol,
            f"{body.realized_pnl:+.2f} {self._quote} after {money(body.fees)} fees: in at {price(body.entry_price)}, "
            f"out at {price(body.exit_price)}",
        )

    def _state_changed(self, body: system.TradingStateChanged, message: Message) -> tuple[str, str, str] | None:
        if body.state == self._state:
            return None
        self._state = body.state
        return "STATE", "", f"{body.state}: {body.reason}"


_COLOURS: Final = {
    "VETO": "33", "DENIED": "33", "REJECTED": "33", "LIMIT": "33", "EXPIRED": "2", "CANCELLED": "2", "APPROVED": "32",
    "FILL": "1;36", "FIRED": "36", "PROFIT": "1;32", "LOSS": "1;31", "KILL": "1;31", "FAILED": "31", "ALERT": "31",
    "UNKNOWN": "31", "SIGNAL": "2", "TRAIL": "34", "ARMED": "34", "PROPOSAL": "1", "STATE": "35", "FEED": "35",
    "STOPPED": "1", "STOP": "34",
}


class ConsoleWriter:
    """`13:52:03  risk      VETO       SOL/USDT   3 of 3 positions are open already.`"""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_coloured = out.isatty()

    def __call__(self, line: StoryLine) -> None:
        clock = datetime.fromtimestamp(line.ts / SECOND_NS, UTC).strftime("%H:%M:%S")
        kind = f"{line.kind:<9}"
        if self._is_coloured and line.kind in _COLOURS:
            kind = f"\x1b[{_COLOURS[line.kind]}m{kind}\x1b[0m"
        self._out.write(f"{clock}  {line.who:<8} {kind} {line.symbol:<10} {one_line(redact(line.text))}\n")
        self._out.flush()


class JsonWriter:
    """One JSON object a line: ts (ISO, UTC), who, kind, symbol, text, id."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, line: StoryLine) -> None:
        ts = datetime.fromtimestamp(line.ts / SECOND_NS, UTC).isoformat(timespec="milliseconds")
        self._out.write(
            json.dumps({"ts": ts, "who": line.who, "kind": line.kind, "symbol": line.symbol, "text": redact(line.text),
                        "id": line.message_id}) + "\n"
        )
        self._out.flush()


class BackgroundWriter:
    """Writes in a thread of its own from a bounded queue: a reader that stalls costs lines, never time."""

    def __init__(self, write: Callable[[StoryLine], None], limit: int = 10_000) -> None:
        self._inner = write
        self._queue: queue.Queue[StoryLine | None] = queue.Queue(limit)
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="story", daemon=True)
        self._thread.start()

    def __call__(self, line: StoryLine) -> None:
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                self._inner(line)
            except (OSError, ValueError):
                return  # nobody reads any more

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what waits, for at most this long."""
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(timeout_s)


def make_writer(log_format: str, out: TextIO | None = None) -> BackgroundWriter:
    """The writer for `log.format`: "console" or "json"."""
    stream = out or sys.stdout
    return BackgroundWriter(JsonWriter(stream) if log_format == "json" else ConsoleWriter(stream))
