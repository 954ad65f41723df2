"""Approval as a type: the only thing a venue accepts, and only the gate can make one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, final

from bus.ids import ClientOrderId
from bus.messages.council import Check
from bus.messages.orders import Origin, Side, TimeInForce, WireType
from market.record import fast_init

_GATE_KEY: Final = object()


class NotApprovedError(RuntimeError):
    """Somebody tried to make an approval without the gate."""


@fast_init
@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order about to leave, fully rounded: what the gate reviews and the venue gets.

    `quantity` in base; `price` in quote, None for market; `reference_price` the market price the decision
    rests on. `is_arming`: the order will be held by the engine and reviewed again when it fires; `has_fired`: it
    was, and its trigger has been reached. `stop_price` is a "stop_limit" order's: below it the venue sells, not under
    `price`.
    """

    client_order_id: ClientOrderId
    symbol: str
    side: Side
    wire_type: WireType
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    reference_price: Decimal
    reduce_only: bool
    origin: Origin
    proposal_id: str = ""
    is_arming: bool = False
    stop_price: Decimal | None = None
    has_fired: bool = False


@final
class Approved:
    """An order with the gate's yes. `risk.gate` holds the key; nobody else can make one.

    `tell` puts the checks into words; that happens once, and only if somebody asks for them.
    """

    __slots__ = ("_checks", "_order", "_tell", "_ts")

    def __init__(self, key: object, order: OrderRequest, tell: Callable[[], tuple[Check, ...]], ts: int) -> None:
        if key is not _GATE_KEY:
            raise NotApprovedError("only risk.gate makes approvals: submit the order to the engine")
        self._order = order
        self._tell = tell
        self._checks: tuple[Check, ...] | None = None
        self._ts = ts

    @property
    def order(self) -> OrderRequest:
        return self._order

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check that was made, in words."""
        if self._checks is None:
            self._checks = self._tell()
        return self._checks

    @property
    def ts(self) -> int:
        """When it was approved (UTC ns)."""
        return self._ts


@fast_init
@dataclass(frozen=True, slots=True)
class Denied:
    """The gate's no, for the machine (code, family) and for a person (message): that of the first check that failed.

    `tell` puts every check into words, when somebody asks for `checks`.
    """

    code: str
    family: str
    rule: str
    value: str
    limit: str
    message: str
    tell: Callable[[], tuple[Check, ...]] = field(repr=False, compare=False)

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check that was made, in words."""
        return self.tell()
