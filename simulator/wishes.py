"""Every purchase goes back to one wish, and all that is bought for it is no more than was wished.

The exchange sees an id that comes twice. An order sent again under another id is seen here: it was asked for by nobody,
or there is more of it than was asked for.
"""

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from bus.ids import ClientOrderId
from bus.messages.grid import StartGrid
from bus.messages.orders import Rebalance, SubmitOrder
from market.money import ZERO
from risk.approved import OrderRequest
from simulator.process import Process

if TYPE_CHECKING:
    from simulator.world import World

_MORE: Final = Decimal("1.2")
"""A wish may grow so much by itself: with a deposit, or by an execution that exceeds its order."""


class Wishes:
    """`note_sent` as orders leave, `note_given` what people ask for; `observe` once a second."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._sent: list[ClientOrderId] = []
        self._given: set[str] = set()
        self._grids = self._rebalances = 0
        self._wish_by_id: dict[str, str] = {}
        self._wished: dict[str, Decimal] = {}
        self._members: dict[str, list[str]] = {}
        self._told: set[str] = set()

    def note_given(self, body: object) -> None:
        """A person's command, whether or not it is obeyed."""
        if isinstance(body, SubmitOrder):
            self._given.add(body.client_order_id)
        self._grids += isinstance(body, StartGrid)
        self._rebalances += isinstance(body, Rebalance)

    def note_sent(self, order: OrderRequest) -> None:
        if order.side == "buy":
            self._sent.append(order.client_order_id)

    def observe(self) -> None:
        process = self._world.process
        if process is None:
            return
        sent, self._sent = self._sent, []
        for client_id in sent:
            self._trace(process, client_id)
        for wish, members in self._members.items():
            if len(members) > 1 and wish not in self._told:
                self._look_at(wish, members)

    def _trace(self, process: Process, client_id: ClientOrderId) -> None:
        order = process.engine.orders.get(client_id)
        if order is None:
            self._violate(client_id, f"{client_id} was sent and is not in our books")
            return
        wish = self._wish_of(process, order.spec)
        if not wish:
            self._violate(client_id, f"{client_id} was sent, and nobody had wished for it")
            return
        self._wish_by_id[client_id] = wish
        self._wished[wish] = max(self._wished.get(wish, ZERO), order.spec.quantity)
        self._members.setdefault(wish, []).append(client_id)

    def _wish_of(self, process: Process, spec: SubmitOrder) -> str:
        """What it goes back to; "" when nobody wished for it. A grid's level and a rebalancing wish again and again."""
        if spec.tag.startswith("grid-"):
            return f"{spec.tag} {spec.client_order_id}" if self._grids or spec.origin == "council" else ""
        if spec.tag == "rebalance":
            return f"rebalancing {spec.client_order_id}" if self._rebalances else ""
        if spec.proposal_id:
            return f"proposal {spec.proposal_id}"
        if spec.client_order_id in self._given:
            return spec.client_order_id
        if spec.replaces in self._wish_by_id:
            return self._wish_by_id[spec.replaces]
        replaced = process.engine.orders.get(spec.replaces)
        return self._wish_of(process, replaced.spec) if replaced is not None else ""

    def _look_at(self, wish: str, members: list[str]) -> None:
        orders = self._world.exchange.orders
        bound = ZERO
        for client_id in members:
            order = orders.get(client_id)
            if order is not None:
                bound += order.quantity if order.state == "working" else order.filled
        if bound > self._wished[wish] * _MORE:
            self._violate(wish, f"{wish}: {bound} bought or ordered where {self._wished[wish]} was wished: {members}")

    def _violate(self, key: str, text: str) -> None:
        self._told.add(key)
        self._world.outcome.duplicates += 1
        self._world.violate(text)
