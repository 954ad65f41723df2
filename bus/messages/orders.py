"""Orders: what may be asked (commands), what venues report, and what became of it (facts)."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from bus.ids import ClientOrderId, ProposalId, TradeId, VenueOrderId
from bus.messages.header import PRIORITY_CONTROL, PRIORITY_FILL, PRIORITY_KILL
from bus.messages.votes import Vote
from market.money import ZERO
from market.record import fast_init

Side = Literal["buy", "sell"]
OrderType = Literal["market", "limit", "stop", "take_profit", "trailing"]
TimeInForce = Literal["GTC", "IOC", "FOK"]
Origin = Literal["council", "manual", "protective", "kill"]
TrailKind = Literal["percent", "absolute", "atr"]
PriceSource = Literal["last", "mid", "bid_ask"]
WireType = Literal["market", "limit", "stop_limit"]


@fast_init
@dataclass(frozen=True, slots=True)
class TrailSpec:
    """How far a trailing trigger keeps from the best price.

    `distance`: a ratio for "percent" (0.02 = 2 %), quote currency for "absolute", a multiple of ATR(14)
    for "atr" (resolved by the engine when armed). `activation_price` delays the trail until the price
    gets there; `limit_offset` (ratio) sends a limit that far beyond the trigger price instead of a market
    order; `break_even_ratio`: after that favourable move from the reference the trigger never lies on the
    losing side of it; `decay_ratio_per_minute` shrinks the distance with time down to `decay_floor`.
    """

    kind: TrailKind
    distance: Decimal
    activation_price: Decimal | None = None
    limit_offset: Decimal | None = None
    price_source: PriceSource = "last"
    break_even_ratio: Decimal | None = None
    decay_ratio_per_minute: Decimal | None = None
    decay_floor: Decimal | None = None


@fast_init
@dataclass(frozen=True, slots=True)
class Protection:
    """What is armed around a filled entry; each leg cancels the others when it fires.

    Ratios of the average entry price (0.02 = 2 % below for the stop, above for the target).
    """

    stop_ratio: Decimal | None = None
    trail: TrailSpec | None = None
    take_profit_ratio: Decimal | None = None


@fast_init
@dataclass(frozen=True, slots=True)
class SubmitOrder:
    """Command: bring this order to life. The same `client_order_id` again does nothing twice.

    `quantity` in base; `price` for limit, `stop_price` for stop and take_profit, `trail` for trailing. Stop,
    take_profit and trailing orders are held by the engine (state PENDING) until they fire; with a `price` as well a
    stop leaves as that limit. `expire_at`: UTC ns, 0 = never. `replaces`: the order in whose place this one comes;
    it waits until that one has ended. `improve`: follow the market when it moves in the order's favour.
    `ends_with_day`: ended before the trading day does, and what it bought is sold.
    """

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    client_order_id: ClientOrderId
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    origin: Origin
    price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: TrailSpec | None = None
    time_in_force: TimeInForce = "GTC"
    reduce_only: bool = False
    expire_at: int = 0
    proposal_id: ProposalId = ProposalId("")
    protection: Protection | None = None
    parent_id: ClientOrderId = ClientOrderId("")
    confidence: float = 0.0
    lead_alpha: str = ""
    tag: str = ""
    reason: str = ""
    votes: tuple[Vote, ...] = ()
    replaces: ClientOrderId = ClientOrderId("")
    improve: bool = False
    ends_with_day: bool = False


@fast_init
@dataclass(frozen=True, slots=True)
class ModifyOrder:
    """Command: change a working order; None keeps a value. Raising price or exposure passes the gate.

    One the engine holds is changed in place. One at the venue is cancelled, and what is left of it placed anew.
    """

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    client_order_id: ClientOrderId
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: TrailSpec | None = None
    reason: str = ""


@fast_init
@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Command: end one order."""

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    client_order_id: ClientOrderId
    reason: str = ""


@fast_init
@dataclass(frozen=True, slots=True)
class CancelAllOrders:
    """Command: end all working entries, or all orders, of a symbol ("" = every symbol)."""

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    scope: Literal["entries", "all"]
    symbol: str = ""
    reason: str = ""


@fast_init
@dataclass(frozen=True, slots=True)
class ClosePosition:
    """Command: sell what is held of the symbol at market (reduce-only); its other exits are ended first."""

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    symbol: str
    reason: str = ""


@fast_init
@dataclass(frozen=True, slots=True)
class ChangeFunds:
    """Command (paper): put `delta` of quote currency into the account, or take it out when negative."""

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    delta: Decimal
    reason: str = ""


@fast_init
@dataclass(frozen=True, slots=True)
class TargetWeight:
    """The share of equity (0-1) that a symbol is to have."""

    symbol: str
    weight: Decimal


@fast_init
@dataclass(frozen=True, slots=True)
class Rebalance:
    """Command: bring the symbols to their target weights, sales first; symbols that are not named stay as they are."""

    PRIORITY: ClassVar[int] = PRIORITY_CONTROL

    targets: tuple[TargetWeight, ...]
    reason: str = ""


ExecType = Literal[
    "accepted", "rejected", "fill", "cancelled", "expired", "unknown", "cancel_rejected", "not_found"
]


@fast_init
@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """What a venue says of one of our orders: the engine's input, turned into facts once it is believed.

    For "fill", `quantity`/`price`/`fee` are those of this one execution and `trade_id` is unique per
    venue and symbol. "unknown" is the adapter's word for "sent, no answer". "not_found" answers a query.
    `simulated` marks paper fills.
    """

    PRIORITY: ClassVar[int] = PRIORITY_FILL

    client_order_id: ClientOrderId
    symbol: str
    exec_type: ExecType
    ts_event: int
    venue_order_id: VenueOrderId = VenueOrderId("")
    trade_id: TradeId = TradeId("")
    quantity: Decimal = ZERO
    price: Decimal = ZERO
    fee: Decimal = ZERO
    fee_asset: str = ""
    is_maker: bool = False
    reason: str = ""
    simulated: bool = False


# ---- facts -----------------------------------------------------------------------------------------


@fast_init
@dataclass(frozen=True, slots=True)
class OrderInitialized:
    """The order exists (PENDING). Holds the whole command as understood after rounding."""

    order: SubmitOrder


@fast_init
@dataclass(frozen=True, slots=True)
class OrderDenied:
    """Refused by us: code, family (E001...), rule, measured value, limit, and a sentence for a person.

    `order` is the refused order; None when only a command about an order was refused, which goes on as it was.
    """

    client_order_id: ClientOrderId
    symbol: str
    code: str
    family: str
    rule: str
    value: str
    limit: str
    message: str
    order: SubmitOrder | None = None


@fast_init
@dataclass(frozen=True, slots=True)
class DenialsCounted:
    """So many more orders of this origin were refused with this code: answered, but not listed one by one."""

    code: str
    origin: Origin
    count: int


@fast_init
@dataclass(frozen=True, slots=True)
class OrderSubmitted:
    """On its way to the venue: on disk before the network sees it.

    `wire_type` is what goes out: a fired trailing order leaves as market or limit, a disaster stop rests at the
    venue as "stop_limit" (its stop price is that of the order itself).
    """

    client_order_id: ClientOrderId
    symbol: str
    wire_type: WireType
    quantity: Decimal
    price: Decimal | None
    reference_price: Decimal


@fast_init
@dataclass(frozen=True, slots=True)
class OrderAccepted:
    """The venue has it."""

    client_order_id: ClientOrderId
    symbol: str
    venue_order_id: VenueOrderId


@fast_init
@dataclass(frozen=True, slots=True)
class OrderRejected:
    """Refused by the venue, in its words."""

    client_order_id: ClientOrderId
    symbol: str
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class OrderTriggered:
    """A stop or trailing order fired: the trigger it stood at, and the price that reached it."""

    client_order_id: ClientOrderId
    symbol: str
    trigger: Decimal
    price: Decimal


@fast_init
@dataclass(frozen=True, slots=True)
class OrderUpdated:
    """Changed while working. `by_person`: somebody asked for it, and the engine leaves the new prices as they are."""

    client_order_id: ClientOrderId
    symbol: str
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    trail: TrailSpec | None
    reason: str
    by_person: bool = False


@fast_init
@dataclass(frozen=True, slots=True)
class ReassessmentDue:
    """An entry of the council has been open too long, `open_ns` by now.

    The council may propose anew, which changes the entry; one that is still unchanged at `cancel_at` (UTC ns)
    is cancelled.
    """

    client_order_id: ClientOrderId
    symbol: str
    open_ns: int
    cancel_at: int
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class VerdictScaled:
    """After a deposit: what the risk officer allowed for a proposal, as the same share of the larger account."""

    proposal_id: ProposalId
    symbol: str
    quantity: Decimal
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class RebalanceStarted:
    """Positions are being brought to these weights, by orders tagged "rebalance"."""

    targets: tuple[TargetWeight, ...]
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class RebalanceEnded:
    """No more orders of the rebalancing follow; `reason` says what came of it."""

    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class OrderPendingCancel:
    """A cancel was sent; the order still holds exposure until the venue answers."""

    client_order_id: ClientOrderId
    symbol: str
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """Ended without (further) fills; `by` is us or the venue."""

    client_order_id: ClientOrderId
    symbol: str
    by: Literal["us", "venue"]
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class OrderExpired:
    """Its time was over."""

    client_order_id: ClientOrderId
    symbol: str
    by: Literal["us", "venue"]
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class OrderUnknown:
    """Sent, and nobody knows what became of it: holds exposure, blocks new risk on the symbol."""

    client_order_id: ClientOrderId
    symbol: str
    reason: str


@fast_init
@dataclass(frozen=True, slots=True)
class OrderFilled:
    """One execution, unique by (symbol, trade_id). `cumulative` is the total filled after it."""

    PRIORITY: ClassVar[int] = PRIORITY_FILL

    client_order_id: ClientOrderId
    symbol: str
    side: Side
    trade_id: TradeId
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    cumulative: Decimal
    is_complete: bool
    is_maker: bool
    simulated: bool


@fast_init
@dataclass(frozen=True, slots=True)
class TrailingArmed:
    """The engine now watches this order: best price so far and the trigger it implies.

    `distance` is the resolved one: a ratio for percent trails, quote currency for absolute and ATR ones;
    None for a fixed trigger (a stop). While an activation price is awaited `is_active` is false.
    """

    client_order_id: ClientOrderId
    symbol: str
    side: Side
    best: Decimal
    trigger: Decimal
    distance: Decimal | None = None
    price_source: PriceSource = "last"
    is_active: bool = True


@fast_init
@dataclass(frozen=True, slots=True)
class TrailingAdvanced:
    """A new extreme: every armed trail of this symbol, side and price source now has a best of `best`,
    unless its own was better already (never back). One fact for all of them, however many.

    `count` trails moved; `client_order_id` is the one nearest to firing, at `trigger`.
    """

    symbol: str
    side: Side
    price_source: PriceSource
    best: Decimal
    count: int
    client_order_id: ClientOrderId
    trigger: Decimal


@fast_init
@dataclass(frozen=True, slots=True)
class TrailingDisarmed:
    """No longer watched (fired, cancelled, expired)."""

    client_order_id: ClientOrderId
    symbol: str
    reason: str


KillAction = Literal["halt", "cancel", "flatten"]


@fast_init
@dataclass(frozen=True, slots=True)
class EngageKillSwitch:
    """Command: lock trading. halt = nothing new; cancel = and end entries; flatten = and close positions."""

    PRIORITY: ClassVar[int] = PRIORITY_KILL

    action: KillAction
    reason: str
    by: str


@fast_init
@dataclass(frozen=True, slots=True)
class ReleaseKillSwitch:
    """Command: a person unlocks trading."""

    PRIORITY: ClassVar[int] = PRIORITY_KILL

    by: str
    reason: str
