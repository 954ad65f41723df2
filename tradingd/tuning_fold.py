"""Self-tuning as the journal tells it: every version of the parameters, and the outcomes since each was last judged."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agents.parameters import BOUNDS
from agents.tuning import GRID_PARAMETERS, OUTCOMES_REMEMBERED, Outcomes
from bus.messages.council import ParametersChanged
from bus.messages.header import Message
from bus.messages.ledger import PositionClosed
from market.money import ZERO
from orders.order_table import GRID_TAG
from tradingd.read_model_orders import OrderFold

TUNER: Final = "tuning"
"""`by` of what the product did itself."""
MOST_VERSIONS: Final = 500
DAY_NS: Final = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Version:
    """One set of parameters, and since when it held (UTC ns)."""

    ts: int
    change: ParametersChanged


class TuningFold:
    """`apply` takes any message. The last 500 versions are kept."""

    def __init__(self, orders: OrderFold) -> None:
        self.versions: deque[Version] = deque(maxlen=MOST_VERSIONS)
        self.tuned_day = -1
        """The UTC day (days since 1970) on which the product last did its tuning, whatever came of it."""
        self.last_told = ""
        """What came of it."""
        self._orders = orders
        self._outcomes: dict[str, deque[bool]] = {name: deque(maxlen=OUTCOMES_REMEMBERED) for name in BOUNDS}
        self._handlers: dict[type, Any] = {ParametersChanged: self._on_changed, PositionClosed: self._on_closed}

    def apply(self, message: Message) -> None:
        handler = self._handlers.get(type(message.body))
        if handler is not None:
            handler(message.header.ts, message.body)

    @property
    def current(self) -> ParametersChanged | None:
        """What holds; None while everything is as configured."""
        return self.versions[-1].change if self.versions else None

    @property
    def next_version(self) -> int:
        return self.versions[-1].change.version + 1 if self.versions else 1

    def version(self, number: int) -> ParametersChanged | None:
        """One of those that are kept."""
        return next((each.change for each in self.versions if each.change.version == number), None)

    def outcomes(self) -> Mapping[str, Outcomes]:
        """By parameter, since it was last judged."""
        return {name: Outcomes(len(known), sum(known)) for name, known in self._outcomes.items()}

    def _on_changed(self, ts: int, change: ParametersChanged) -> None:
        if change.by == TUNER:
            self.tuned_day, self.last_told = ts // DAY_NS, change.reason
        if change.version < self.next_version:
            return  # the version that holds, told again: a day's work that changed nothing
        self.versions.append(Version(ts, change))
        for name in change.judged:
            if name in self._outcomes:
                self._outcomes[name].clear()

    def _on_closed(self, _: int, body: PositionClosed) -> None:
        if body.realized_pnl == ZERO:
            return
        order = self._orders.by_id.get(body.client_order_id)
        is_grid = order is not None and order.spec.tag.startswith(GRID_TAG)
        for name in BOUNDS:
            if (name in GRID_PARAMETERS) == is_grid:
                self._outcomes[name].append(body.realized_pnl > ZERO)
