"""Is what is held protected against a fall, wholly and in truth? And do exits fire when their price is there?"""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from market.money import ZERO
from orders.disaster_stop import MOST_BESIDE
from orders.order_table import Order
from simulator.faults import HINDER_FEED, HINDER_ORDERS, HINDER_PROCESS
from simulator.process import Process
from simulator.schedule import SECOND

if TYPE_CHECKING:
    from simulator.world import World

D = Decimal
UNPROTECTED_S: Final = 5.0
AT_EXCHANGE_S: Final = 15.0
"""Within this time a stop rests at the exchange, too, for all that is held: the process may die (T14)."""
FIRES_S: Final = 8.0
"""A held exit whose price the market has passed fires within this time (F10), also after a spike that wants a second
print."""
JUMPED_S: Final = 12.0
"""A stop at the exchange that the price jumped over is taken back and sold at market within this time (F30)."""
TRUTH_S: Final = 30.0
"""Within this time an execution that was not told of is found."""
TAKEN_S: Final = 40.0
"""After a sale by hand, until our books have followed and the stop that was refused meanwhile rests."""
GRACE_S: Final = 45.0
"""Seconds after a hindrance's end without protection being expected: a timeout and its questions take as long."""
_COVERED: Final = D("0.95")
"""A stop may be so much smaller than the position: it is not moved for each partial fill."""
_HINDRANCES: Final = (*HINDER_ORDERS, *HINDER_FEED, *HINDER_PROCESS)
_HARMLESS: Final = frozenset({"cancel_lost", "clock_skew", "disk_full", "new_rules", "stop_refused"})
"""New orders arrive all the same: what is held can be covered."""


@dataclass(slots=True)
class _Lack:
    """Of protection, since that second; how often processes had died before, and what had passed when the first of
    them was begun anew."""

    since: float
    deaths_before: int
    used_s: float = 0.0


class Protection:
    """`observe` once a second."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._outcome = world.outcome
        self._bare: dict[str, _Lack] = {}
        self._unwatched: dict[str, _Lack] = {}
        self._past_since: dict[str, float] = {}
        self._observed_s = 0.0
        self._seen_ns: dict[str, int] = {}
        self._followed_ns: dict[str, int] = {}
        """Of each symbol the last sale by hand that our books have followed."""
        self._told: set[str] = set()

    def observe(self) -> None:
        past: set[str] = set()
        for symbol in self._world.markets:
            self._note_what_was_taken(symbol)
            self._look_at_cover(symbol)
            if late := {**self._look_at_fires(symbol), **self._look_at_jumped(symbol)}:
                past |= self._note_past(symbol, late)
        for gone in self._past_since.keys() - past:
            del self._past_since[gone]
        self._observed_s = self._world.schedule.lived_s

    # ---- how much is covered -----------------------------------------------------------------------

    def _look_at_cover(self, symbol: str) -> None:
        """Seconds for which less would be sold in a fall than is held: by anybody, and by the exchange alone.

        A person's limit that rests above the market has bound its coins, no stop can be put under them: it counts.
        """
        world = self._world
        instrument = world.exchange.instruments[symbol]
        held = world.held(symbol)
        is_dust = held < instrument.min_quantity or held * world.markets[symbol].bid < instrument.min_notional * 2
        resting = sum((each.remaining for each in world.exchange.working(symbol) if each.side == "sell"), ZERO)
        if is_dust or resting >= held * _COVERED or self._is_excused(symbol, _HARMLESS):
            for lacks in (self._bare, self._unwatched):
                lacks.pop(symbol, None)
            self._told -= {f"{symbol} bare", f"{symbol} unwatched"}
            return
        if world.stops_taken.pop(symbol, None):  # each time there was one, and its successor has its own time
            for lacks in (self._bare, self._unwatched):
                lacks.pop(symbol, None)
        unwatched_s = self._lasts(self._unwatched, symbol)
        if unwatched_s > AT_EXCHANGE_S:
            what = f"{held} held, {resting} for sale at the exchange, for {unwatched_s:.0f} s"
            self._tell(f"{symbol} unwatched", f"{symbol}: {what}")
        covered = resting + self._covered_here(symbol)
        if covered >= held * _COVERED:
            self._bare.pop(symbol, None)
            self._told.discard(f"{symbol} bare")
            return
        if world.process is None and symbol in self._bare:  # it is begun anew in seconds
            self._bare[symbol].since += world.schedule.lived_s - self._observed_s
        bare_s = self._lasts(self._bare, symbol)
        self._outcome.unprotected_s_max = max(self._outcome.unprotected_s_max, bare_s)
        if bare_s > UNPROTECTED_S:
            what = f"{held} held without protection for {bare_s:.0f} s; {covered} of it is covered"
            self._tell(f"{symbol} bare", f"{symbol}: {what}")

    def _lasts(self, lacks: dict[str, "_Lack"], symbol: str) -> float:
        """Seconds, as one who was to mend it could count them: a process that dies in turn before it had its time gives
        the next one its own, and what passed before the first of a row began stays."""
        world, now = self._world, self._world.schedule.lived_s
        lack = lacks.setdefault(symbol, _Lack(now, world.deaths - (world.process is None)))
        if world.process is None:
            if world.deaths - lack.deaths_before > 1:
                lack.since = now - lack.used_s
            lack.used_s = now - lack.since
        return now - lack.since

    def _tell(self, episode: str, text: str) -> None:
        """Once in each episode."""
        if episode not in self._told:
            self._told.add(episode)
            self._world.violate(text)

    def _covered_here(self, symbol: str) -> Decimal:
        """What armed exits of a living process would sell in a fall, and exits of which nobody knows whether they have
        arrived: that must be known in time (`simulator.fates`), and no stop can be put under their coins."""
        world, process = self._world, self._world.process
        if process is None:
            return ZERO
        on_the_way = ZERO
        families: dict[str, Decimal] = {}  # a stop and a trail around one entry sell the same coins
        for order in process.engine.orders.working(symbol):
            if not order.is_exit:
                continue
            if order.is_at_venue and order.client_order_id not in world.exchange.orders:
                on_the_way += order.remaining
            elif order.is_armed and _falls(process, order):
                family = order.spec.parent_id or order.client_order_id
                families[family] = max(families.get(family, ZERO), order.remaining)
        return on_the_way + sum(families.values(), ZERO)

    def _is_excused(self, symbol: str, harmless: Collection[str] = ()) -> bool:
        """While orders cannot get through, or nobody knows the price, nothing new can be put in place."""
        world = self._world
        if world.kill_pressed in ("halt", "cancel"):
            return True  # a person said: nothing more is sent (F58); status names what stays unprotected
        if world.is_kept_down:
            return True  # a script said how long nobody starts it again, or its journal is damaged
        if world.process is None and world.had("disk_full", symbol, GRACE_S):
            return True  # none can start: what it did first could not be written down
        if self._is_catching_up(symbol):
            return True  # a person sold half of it: stops for all of it are refused until our books follow (F32, F72)
        lost_ns = world.link.lost_ns.get(symbol)
        if lost_ns is not None and self._is_within(TRUTH_S, lost_ns):
            return True  # nobody was told of the purchase: the comparison with the account finds it (F24)
        if world.had("cancel_lost", symbol, GRACE_S) and self._is_crowded(symbol):
            return True  # no more stops fit beside those that cannot be taken back (F26)
        return any(world.had(name, symbol, GRACE_S) for name in _HINDRANCES if name not in harmless)

    def _is_crowded(self, symbol: str) -> bool:
        """Or too little is bare to be sold by itself."""
        world = self._world
        stops = [each for each in world.exchange.working(symbol) if each.kind == "stop_limit"]
        bare = world.held(symbol) - sum((each.remaining for each in stops), ZERO)
        least = world.exchange.instruments[symbol].min_notional * 2
        return len(stops) >= MOST_BESIDE or (bool(stops) and bare * world.markets[symbol].bid < least)

    def _is_within(self, seconds: float, ts: int) -> bool:
        schedule = self._world.schedule
        return (ts - schedule.begin_ns) / SECOND > schedule.ago(seconds)

    def _note_what_was_taken(self, symbol: str) -> None:
        """Since when a process can see a sale by hand that our books have not followed yet."""
        world, process = self._world, self._world.process
        taken_ns = world.taken_ns.get(symbol)
        if taken_ns is None or process is None or self._followed_ns.get(symbol) == taken_ns:
            return
        self._seen_ns[symbol] = max(taken_ns, process.begun_ns)
        if process.engine.ledger.quantity(symbol) == world.held(symbol):
            self._followed_ns[symbol] = taken_ns

    def _is_catching_up(self, symbol: str) -> bool:
        """A sale by hand while no process lived is found by the next one, and its time counts from its start."""
        world = self._world
        taken_ns = world.taken_ns.get(symbol)
        if taken_ns is None:
            return False
        if world.process is None and self._followed_ns.get(symbol) != taken_ns:
            return True
        return self._is_within(TAKEN_S, max(taken_ns, self._seen_ns.get(symbol, 0)))

    # ---- do they fire ------------------------------------------------------------------------------

    def _look_at_fires(self, symbol: str) -> dict[str, tuple[float, str]]:
        """Armed exits whose price lies behind the market: how long each may, and what to say of it."""
        world, process, market = self._world, self._world.process, self._world.markets[symbol]
        late: dict[str, tuple[float, str]] = {}
        if process is None or world.stream.is_down:
            return late
        for order in process.engine.orders.working(symbol):
            if not order.is_exit or not order.is_armed:
                continue
            trigger = order.spec.stop_price or process.engine.trigger_of(order.client_order_id)
            is_past = trigger is not None and (
                market.bid > trigger if order.spec.order_type == "take_profit"
                else market.ask < trigger and _falls(process, order)
            )
            if is_past:
                late[order.client_order_id] = FIRES_S, f"an armed exit at {trigger} has not fired at {market.bid}"
        return late

    def _look_at_jumped(self, symbol: str) -> dict[str, tuple[float, str]]:
        """The same of stops at the exchange that were triggered and whose limit the price has jumped over."""
        bid = self._world.markets[symbol].bid
        return {
            order.client_id: (JUMPED_S, f"the price jumped over the stop at {order.price}, to {bid}")
            for order in self._world.exchange.working(symbol)
            if order.kind == "stop_limit" and order.is_triggered and order.price is not None and order.price > bid
        }

    def _note_past(self, symbol: str, late: dict[str, tuple[float, str]]) -> set[str]:
        """What is late and not excused; a violation when it stays so."""
        if self._is_excused(symbol):
            return set()
        now = self._world.schedule.lived_s
        for client_id, (most_s, text) in late.items():
            since = self._past_since.setdefault(client_id, now)
            if now - since > most_s:
                self._tell(client_id, f"{client_id}: {text} for {now - since:.0f} s")
        return set(late)


def _falls(process: Process, order: Order) -> bool:
    """Does it sell when the price falls? Not a target, nor a trail that waits for its beginning."""
    if order.spec.order_type != "trailing":
        return order.spec.order_type == "stop"
    watch = process.engine._desk.state.watch
    return watch.is_active(order.client_order_id)
