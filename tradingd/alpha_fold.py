"""Each alpha's record: what it said last, how often it was right, what the trades it led have earned, its weight."""

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from bus.messages.council import AlphaSignal, AnalysisCompleted
from bus.messages.header import Message
from bus.messages.ledger import PositionClosed, PositionOpened
from market.money import ZERO, to_text
from tradingd.read_model_orders import OrderFold
from tradingd.read_model_views import to_iso
from tradingd.weight_fold import WeightFold

HORIZON: Final = 10
"""A signal was right when, so many decision candles later, the close lies on the side it named."""
_MOST_ALPHAS: Final = 200
_DIRECTION: Final[Mapping[str, int]] = {"trail_buy": 1, "trail_sell": -1}
_PLACES: Final = 8


@dataclass(frozen=True, slots=True)
class SignalView:
    """The last thing an alpha said."""

    time: str
    symbol: str
    interval: str
    action: str
    confidence: float
    trail_ratio: float
    urgency: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class SkipView:
    """The last time an alpha gave no opinion, and why (family E005)."""

    time: str
    symbol: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class AlphaResultView:
    """What came of one alpha. `success_rate`: share of its judged signals that were right; trades are those it led;
    `contribution`: profit of all trades, shared out among the alphas that voted for the entry by their weight.
    Money in the account's quote currency.
    """

    alpha: str
    signals: int
    holds: int
    mean_confidence: float | None
    judged: int
    success_rate: float | None
    trades: int
    wins: int
    losses: int
    win_rate: float | None
    realized_pnl: str
    contribution: str


@dataclass(slots=True)
class _Record:
    last: AlphaSignal | None = None
    last_ts: int = 0
    signals: int = 0
    holds: int = 0
    confidence_sum: float = 0.0
    judged: int = 0
    right: int = 0
    trades: int = 0
    wins: int = 0
    losses: int = 0
    realized_pnl: Decimal = ZERO
    contribution: Decimal = ZERO
    skipped: int = 0
    last_skip: SkipView | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """Who stands behind a position: the leading alpha ("" = a strategy leads), and each supporting alpha's share."""

    lead: str
    share_by_alpha: Mapping[str, Decimal] = field(default_factory=dict)


class AlphaFold:
    """`apply` takes any message. What an alpha says is known while the process lives; trades and weights are in the
    journal, and come back with it.
    """

    def __init__(self, orders: OrderFold) -> None:
        self.weights = WeightFold()
        self._orders = orders
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._open: dict[str, _Entry] = {}
        self._pending: dict[str, deque[tuple[Decimal, tuple[tuple[str, int], ...]]]] = {}
        self._handlers: dict[type, Any] = {
            AnalysisCompleted: self._on_analysis, PositionOpened: self._on_opened, PositionClosed: self._on_closed,
        }

    def apply(self, message: Message) -> None:
        self.weights.apply(message)
        handler = self._handlers.get(type(message.body))
        if handler is not None:
            handler(message.header.ts, message.body)

    def chosen_weights(self) -> dict[str, float]:
        """What people set and what was learnt, over what the file says."""
        return {alpha: change.weight for alpha, change in self.weights.weight_by_alpha.items()}

    def result(self, alpha: str) -> AlphaResultView:
        """Of one alpha; all zero when it has not spoken yet."""
        known = self._records.get(alpha, _Record())
        said = known.signals + known.holds
        return AlphaResultView(
            alpha, known.signals, known.holds, round(known.confidence_sum / said, 6) if said else None,
            known.judged, round(known.right / known.judged, 6) if known.judged else None,
            known.trades, known.wins, known.losses, round(known.wins / known.trades, 6) if known.trades else None,
            to_text(known.realized_pnl), to_text(round(known.contribution, _PLACES)),
        )

    def last_signal(self, alpha: str) -> SignalView | None:
        """None when it has said nothing in this process."""
        known = self._records.get(alpha)
        said = known.last if known is not None else None
        if known is None or said is None:
            return None
        return SignalView(
            to_iso(known.last_ts), said.symbol, said.interval, said.action, said.confidence, said.trail_ratio,
            said.urgency, said.reasoning,
        )

    def skipped(self, alpha: str) -> int:
        """How often it gave no opinion in this process."""
        known = self._records.get(alpha)
        return known.skipped if known is not None else 0

    def last_skip(self, alpha: str) -> SkipView | None:
        """None when it always answered in this process."""
        known = self._records.get(alpha)
        return known.last_skip if known is not None else None

    def _record(self, alpha: str) -> _Record:
        known = self._records.get(alpha)
        if known is None:
            known = self._records[alpha] = _Record()
            if len(self._records) > _MOST_ALPHAS:
                self._records.popitem(last=False)
        return known

    def _on_analysis(self, ts: int, body: AnalysisCompleted) -> None:
        named = []
        for signal in body.signals:
            record = self._record(signal.alpha)
            record.last, record.last_ts = signal, ts
            record.confidence_sum += signal.confidence
            direction = _DIRECTION.get(signal.action)
            if direction is None:
                record.holds += 1
            else:
                record.signals += 1
                named.append((signal.alpha, direction))
        for skipped in body.skipped:
            record = self._record(skipped.alpha)
            record.skipped += 1
            record.last_skip = SkipView(to_iso(ts), body.symbol, skipped.code, skipped.reason)
        waiting = self._pending.setdefault(body.symbol, deque())
        waiting.append((body.close, tuple(named)))
        if len(waiting) > HORIZON:
            then, signals = waiting.popleft()
            for alpha, direction in signals:
                record = self._record(alpha)
                record.judged += 1
                record.right += (body.close - then) * direction > ZERO

    def _on_opened(self, _: int, body: PositionOpened) -> None:
        order = self._orders.by_id.get(body.client_order_id)
        if order is None or not order.spec.lead_alpha:
            self._open.pop(body.symbol, None)
            return
        for_it = [
            (vote, Decimal(str(round(vote.weight * vote.confidence, 9))))
            for vote in order.spec.votes if vote.action == "trail_buy"
        ]
        total = sum((part for _, part in for_it), ZERO)
        shares = {vote.alpha: part / total for vote, part in for_it if total and not vote.is_strategy}
        lead = order.spec.lead_alpha
        is_led_by_alpha = not any(vote.is_strategy and vote.alpha == lead for vote, _ in for_it)
        self._open[body.symbol] = _Entry(lead if is_led_by_alpha else "", shares)

    def _on_closed(self, _: int, body: PositionClosed) -> None:
        entry = self._open.pop(body.symbol, None)
        if entry is None:
            return
        if entry.lead:
            record = self._record(entry.lead)
            record.trades += 1
            record.wins += body.realized_pnl > ZERO
            record.losses += body.realized_pnl < ZERO
            record.realized_pnl += body.realized_pnl
        for alpha, share in entry.share_by_alpha.items():
            self._record(alpha).contribution += body.realized_pnl * share
