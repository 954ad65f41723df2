"""How many results of a candle replay rest on an assumption: what came first inside a bar, its high or its low?

Each round trip's exits (stops, targets, trails) are walked again over the candles from their arming on, once
with the adverse extreme first and once with the favourable one (`market.candle_path`). A round trip depends on
the path when the two walks do not end at the same candle and price, or when it was over within the candle in
which its exit was armed. Round trips that no armed exit ended (sold by hand) are not counted.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from bus.ids import ClientOrderId
from bus.messages.header import Message
from bus.messages.ledger import PositionClosed
from bus.messages.orders import OrderInitialized, OrderTriggered, SubmitOrder, TrailingArmed
from bus.messages.system import PathDependenceNoted
from market.candle_path import Assumption, crossing_price, path_of
from market.interval import interval_ns
from market.ticks import Candle
from orders.trailing import Fire, Trails

MAX_CANDLES: Final = 20_000
"""Per symbol; of a position held longer than that only the newest are walked."""

MAX_EXITS: Final = 200
"""Per symbol and round trip."""


@dataclass(frozen=True, slots=True)
class ArmedExit:
    """A sell the engine held: as armed (`fact`), and as asked for."""

    fact: TrailingArmed
    spec: SubmitOrder
    ts: int


@dataclass(frozen=True, slots=True)
class Walked:
    """Where a walk ended: the candle's start (UTC ns) and the price in quote."""

    ts_open: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class PathReport:
    """`dependent` of `trades` round trips have a result that rests on the assumed path."""

    trades: int
    dependent: int

    @property
    def share(self) -> float | None:
        """0-1, None without a trade."""
        return self.dependent / self.trades if self.trades else None

    def sentence(self, interval: str) -> str:
        """For people, at the end of a replay."""
        if not self.trades:
            return "no round trip was ended by a stop, target or trail, so none depends on the path inside a candle"
        return (
            f"{self.dependent} of {self.trades} round trips ({100 * self.dependent / self.trades:.0f} %) depend on "
            f"what is assumed inside a {interval} candle: whether its high or its low came first"
        )


class PathDependence:
    """A fold over facts and closed candles of one interval; ask `report` at any time.

    Candles are not journalled, so it is no fold of the journal: a replay that was cut off is played again from its
    beginning, and with it this. When a replay ends the result becomes a fact (`PathDependenceNoted`).
    """

    def __init__(self, interval: str) -> None:
        self._length_ns = interval_ns(interval)
        self._interval = interval
        self._candles: dict[str, deque[Candle]] = {}
        self._specs: dict[ClientOrderId, SubmitOrder] = {}
        self._exits: dict[str, dict[ClientOrderId, ArmedExit]] = {}
        self._fired: dict[str, ClientOrderId] = {}
        self._waiting: list[tuple[int, str, tuple[ArmedExit, ...]]] = []
        self._trades = self._dependent = 0
        self._told = ""

    def apply(self, message: Message) -> None:
        """Fold one message; others than these change nothing."""
        body = message.body
        if isinstance(body, Candle):
            if body.interval == self._interval and not body.is_warmup:
                self._on_candle(body)
        elif isinstance(body, OrderInitialized):
            if body.order.side == "sell" and body.order.order_type not in ("market", "limit"):
                self._specs[body.order.client_order_id] = body.order
        elif isinstance(body, TrailingArmed):
            self._on_armed(message, body)
        elif isinstance(body, OrderTriggered):
            if body.client_order_id in self._specs:
                self._fired[body.symbol] = body.client_order_id
        elif isinstance(body, PositionClosed):
            self._on_closed(message, body)

    def report(self) -> PathReport:
        """Of everything closed so far; what ended in the last, unfinished candle is judged as it stands.

        Changes nothing: it may be asked at any time.
        """
        waiting = sum(self._depends(symbol, exits) for _, symbol, exits in self._waiting)
        return PathReport(self._trades + len(self._waiting), self._dependent + waiting)

    def news(self) -> str:
        """The report in a sentence; "" when it says what it said the last time."""
        told = self.report().sentence(self._interval)
        if told == self._told:
            return ""
        self._told = told
        return told

    def noted(self) -> PathDependenceNoted:
        """The same as a fact, for the journal."""
        told = self.report()
        return PathDependenceNoted(self._interval, told.trades, told.dependent)

    # ---- facts -------------------------------------------------------------------------------------

    def _on_candle(self, candle: Candle) -> None:
        kept = self._candles.setdefault(candle.symbol, deque(maxlen=MAX_CANDLES))
        kept.append(candle)
        due = [each for each in self._waiting if each[1] == candle.symbol and each[0] <= candle.ts_open]
        self._waiting = [each for each in self._waiting if each not in due]
        for _, symbol, exits in due:
            self._judge(symbol, exits)
        if not self._exits.get(candle.symbol) and not any(each[1] == candle.symbol for each in self._waiting):
            kept.clear()

    def _on_armed(self, message: Message, fact: TrailingArmed) -> None:
        spec = self._specs.get(fact.client_order_id)
        exits = self._exits.setdefault(fact.symbol, {})
        if spec is not None and fact.client_order_id not in exits and len(exits) < MAX_EXITS:
            exits[fact.client_order_id] = ArmedExit(fact, spec, message.header.ts)

    def _on_closed(self, message: Message, body: PositionClosed) -> None:
        exits = tuple(self._exits.pop(body.symbol, {}).values())
        for each in exits:
            self._specs.pop(each.fact.client_order_id, None)
        if self._fired.pop(body.symbol, None) is not None and exits:
            # The candle in which it ended is told only when it is over: judged then.
            ends = message.header.ts // self._length_ns * self._length_ns
            self._waiting.append((ends, body.symbol, exits))

    def _judge(self, symbol: str, exits: Sequence[ArmedExit]) -> None:
        self._trades += 1
        self._dependent += self._depends(symbol, exits)

    def _depends(self, symbol: str, exits: Sequence[ArmedExit]) -> bool:
        candles = [each for each in self._candles.get(symbol, ()) if each.ts_open + self._length_ns > exits[0].ts]
        pessimistic = walk(candles, exits, "pessimistic")
        optimistic = walk(candles, exits, "optimistic")
        return pessimistic is None or pessimistic != optimistic


def walk(candles: Sequence[Candle], exits: Sequence[ArmedExit], assumption: Assumption) -> Walked | None:
    """Where the first of the exits fires when the candles are walked under the assumption; None when none does.

    An exit counts from the first candle that begins after its arming.
    """
    trails, still_to_come = Trails(), sorted(exits, key=lambda each: (each.ts, each.fact.client_order_id))
    for candle in candles:
        while still_to_come and still_to_come[0].ts <= candle.ts_open:
            _arm(trails, still_to_come.pop(0))
        before: Decimal | None = None
        for price in path_of(candle, "long", assumption):
            for event in trails.on_price(price):
                if isinstance(event, Fire):
                    return Walked(candle.ts_open, crossing_price(before, event.price, event.trigger))
            before = price
    return None


def _arm(trails: Trails, armed: ArmedExit) -> None:
    fact, trail = armed.fact, armed.spec.trail
    if fact.distance is None or trail is None:
        when: Literal["below", "above"] = "below" if fact.trigger <= fact.best else "above"
        trails.arm_stop(fact.client_order_id, "sell", fact.trigger, when)
        return
    trails.arm_trail(
        fact.client_order_id, "sell", fact.best, fact.distance, trail.kind == "percent",
        activation_price=trail.activation_price, is_active=fact.is_active, break_even_ratio=trail.break_even_ratio,
    )
