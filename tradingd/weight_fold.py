"""Weights of alphas and what they rest on, folded from the journal: outcomes, changes, what foreign alphas wish for."""

from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from agents.weights import OUTCOMES, outcomes_of
from bus.messages.council import AlphaLoaded, WeightChanged
from bus.messages.header import Message
from bus.messages.ledger import PositionClosed, PositionOpened
from bus.messages.orders import OrderInitialized
from bus.messages.system import DaemonStarted
from bus.messages.votes import Vote
from tradingd.read_model_views import to_iso

ADAPTATION: Final = "adaptation"
"""Who changes a weight when no person does."""

SAME_WEIGHT: Final = 0.005
"""Weights are told to two decimals: what differs by less is the same."""

WeightSource = Literal["config", "person", "learnt"]
_MOST_ALPHAS: Final = 200
_MOST_CHANGES: Final = 50
_MOST_ENTRIES: Final = 200
"""Orders whose votes are remembered until a position rests on them."""


@dataclass(frozen=True, slots=True)
class WeightChangeView:
    """One change of a weight. `is_pinned`: a person's word, which holds until it is released."""

    version: int
    time: str
    weight: float
    by: str
    is_pinned: bool
    reason: str


def weight_source(change: WeightChanged | None, configured: float) -> WeightSource:
    """Who says what an alpha weighs now: a person until released, else what was learnt if it differs from the file."""
    if change is None:
        return "config"
    if change.is_pinned:
        return "person"
    return "config" if abs(change.weight - configured) < SAME_WEIGHT else "learnt"


class WeightFold:
    """`apply` takes any message. It decides nothing: `tradingd.weight_keeper` does, by what is folded here."""

    def __init__(self) -> None:
        self.weight_by_alpha: dict[str, WeightChanged] = {}
        self.loaded: dict[str, AlphaLoaded] = {}
        """Alphas that think elsewhere, of this session."""
        self.last_judged: tuple[str, ...] = ()
        """Those for whom the last round trip was an outcome."""
        self._outcomes: OrderedDict[str, deque[bool]] = OrderedDict()
        self._changes: dict[str, deque[tuple[int, WeightChanged]]] = {}
        self._votes_by_order: OrderedDict[str, tuple[Vote, ...]] = OrderedDict()
        self._votes_by_symbol: dict[str, tuple[Vote, ...]] = {}
        self._handlers: dict[type, Any] = {
            OrderInitialized: self._on_order, PositionOpened: self._on_opened, PositionClosed: self._on_closed,
            WeightChanged: self._on_weight, AlphaLoaded: self._on_loaded, DaemonStarted: self._on_started,
        }

    def apply(self, message: Message) -> None:
        handler = self._handlers.get(type(message.body))
        if handler is not None:
            handler(message.header.ts, message.body)

    def outcomes(self, alpha: str) -> tuple[bool, ...]:
        """Whether it was right, oldest first, of the last round trips whose entry it voted on (`agents.weights`)."""
        return tuple(self._outcomes.get(alpha, ()))

    def version(self, alpha: str) -> int:
        """Of its weight: how often it was changed."""
        known = self.weight_by_alpha.get(alpha)
        return known.version if known is not None else 0

    def changes(self, alpha: str) -> tuple[WeightChangeView, ...]:
        """The last changes of its weight, newest first."""
        return tuple(
            WeightChangeView(change.version, to_iso(ts), change.weight, change.by, change.is_pinned, change.reason)
            for ts, change in reversed(self._changes.get(alpha, ()))
        )

    def _on_order(self, _: int, body: OrderInitialized) -> None:
        order = body.order
        if order.votes and order.side == "buy":
            self._votes_by_order[order.client_order_id] = order.votes
            if len(self._votes_by_order) > _MOST_ENTRIES:
                self._votes_by_order.popitem(last=False)

    def _on_opened(self, _: int, body: PositionOpened) -> None:
        self._votes_by_symbol[body.symbol] = self._votes_by_order.pop(body.client_order_id, ())

    def _on_closed(self, _: int, body: PositionClosed) -> None:
        outcomes = outcomes_of(self._votes_by_symbol.pop(body.symbol, ()), body.realized_pnl)
        self.last_judged = tuple(outcomes)
        for alpha, was_right in outcomes.items():
            known = self._outcomes.get(alpha)
            if known is None:
                known = self._outcomes[alpha] = deque(maxlen=OUTCOMES)
                if len(self._outcomes) > _MOST_ALPHAS:
                    self._outcomes.popitem(last=False)
            known.append(was_right)

    def _on_weight(self, ts: int, body: WeightChanged) -> None:
        if not body.version:  # told by an earlier version of the product, or by who does not count
            body = replace(body, version=self.version(body.alpha) + 1)
        self.weight_by_alpha[body.alpha] = body
        self._changes.setdefault(body.alpha, deque(maxlen=_MOST_CHANGES)).append((ts, body))

    def _on_loaded(self, _: int, body: AlphaLoaded) -> None:
        self.loaded[body.alpha] = body

    def _on_started(self, _: int, __: DaemonStarted) -> None:
        self.loaded.clear()
