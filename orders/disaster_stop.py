"""One stop per position that rests at the venue, for the time in which nobody here watches (T14).

`DisasterStops.keep` runs once a second, and first of all after a restart, and compares what rests with what should: as
much as is held and no other exit at the venue may sell, at the price `orders.disaster_prices` says. Where they differ
the old stop is cancelled, and only when the venue has said that it is over the new one is placed, in the same step: no
two are for the same coins, and the position is bare for no longer than that takes. Where the venue does not say it soon
(F26), what the old stop does not cover gets one of its own beside it, and so it goes on until one covers all. The
engine's own exits do the same before they sell (`orders.exits`), and a fill of the stop meanwhile wins.

Nothing about the stops is kept outside the order table: they are orders like others, journalled and asked for
after a restart. What is remembered here is about patience only: when to try again, what a person was told.

Under HALTED nothing is placed or replaced; what rests stays. The kill switch takes stops back for flatten only.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bus.ids import ClientOrderId
from bus.messages.orders import ExecutionReport, OrderInitialized, SubmitOrder
from market.interval import SECOND_NS
from market.money import ONE, ZERO, to_text
from orders import account
from orders.cancelling import ESCALATE, request_cancel
from orders.desk import Desk
from orders.disaster_prices import GAP, StopPrices, falling_trigger, prices_below, stop_prices
from orders.exits import is_held_back, waits_for_others
from orders.order_table import Order, has_never_arrived
from risk.approved import Approved, Denied, OrderRequest

DISASTER_TAG: Final = "disaster"

GROWTH_RATIO: Final = Decimal("0.01")
"""A position that grew by less keeps its stop as it is."""

RAISE_RATIO: Final = Decimal("0.01")
"""A stop is raised only when it belongs this much higher: each move leaves the position bare for a moment."""

GROWTH_PAUSE_NS: Final = 2 * SECOND_NS
"""Between changes for growth, so that the partial fills of one entry do not each move the stop."""

RAISE_PAUSE_NS: Final = 60 * SECOND_NS

JUMPED_NS: Final = 3 * SECOND_NS
"""A stop whose price was passed so long ago and that is still not executed is taken back and sold at market (F30)."""

FIRST_PAUSE_NS: Final = 2 * SECOND_NS
LONGEST_PAUSE_NS: Final = 15 * SECOND_NS
"""Between tries after the venue refused or ended a stop of its own accord."""

RESTED_NS: Final = 5 * SECOND_NS
"""A stop that rested so long before the venue, or a person there, ended it was not refused."""

UNANSWERED_NS: Final = 2 * SECOND_NS
"""A stop whose cancel has had no answer for so long covers what it covers; the rest gets another one."""

MOST_BESIDE: Final = 4
"""Stops of one position; venues grant few."""

TAKEN_BACK_PAUSE_NS: Final = 3 * SECOND_NS
"""The longest pause after one that was taken and ended sooner: who cancels it again and again is no refusal."""

_DUST_CODES: Final = frozenset({"POSITION_IS_DUST", "QUANTITY_TOO_SMALL", "BELOW_VENUE_MIN_NOTIONAL"})


@dataclass(slots=True)
class _Patience:
    """About one symbol: the stop placed last, tries in vain, and when the next is due."""

    placed: str = ""
    vain: int = 0
    refused_ns: int = 0
    due_ns: int = 0
    passed_since_ns: dict[str, int] = field(default_factory=dict)
    """By stop, when the market first reached its price."""
    is_divided: bool = False
    """Several stops share the position, because the venue owed an answer."""
    crowded: Decimal = ZERO
    """What so many stops cover that no more fit: a person was told."""
    told: str = ""


class DisasterStops:
    """The keeper of all disaster stops."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._patience: dict[str, _Patience] = {}

    def keep(self) -> None:
        """Place, move or take back what is not as it should be at `desk.now`."""
        state = self._desk.state
        resting: dict[str, list[Order]] = {}
        for order in state.orders.exits():
            if order.is_disaster_stop and order.is_at_venue:
                resting.setdefault(order.spec.symbol, []).append(order)
        held = state.ledger.positions if self._desk.config.disaster_stop else {}
        for symbol in sorted(resting.keys() | held.keys()):
            self._keep_one(symbol, resting.get(symbol, []))
        self._patience = {symbol: kept for symbol, kept in self._patience.items() if symbol in held}

    def after_report(self, report: ExecutionReport) -> None:
        """The end of a stop leaves its position bare: what belongs in its place does not wait for the second."""
        orders = self._desk.state.orders
        ended = orders.get(report.client_order_id)
        if ended is None or not ended.is_disaster_stop or ended.is_working:
            return
        symbol = ended.spec.symbol
        others = [order for order in orders.exits(symbol) if order.is_disaster_stop and order.is_at_venue]
        if not others or (symbol in self._patience and self._patience[symbol].is_divided):
            self._keep_one(symbol, others)

    def _keep_one(self, symbol: str, stops: list[Order]) -> None:
        desk = self._desk
        wanted = self._wanted_quantity(symbol, stops)
        patience = self._patience.setdefault(symbol, _Patience())
        if not stops:
            patience.is_divided = False
            if wanted > ZERO and self._may_place(symbol):
                self._place(symbol, wanted)
            return
        bare = wanted - sum((stop.remaining for stop in stops), ZERO)
        if bare < ZERO:
            for extra in stops[1:]:
                request_cancel(desk, extra, "one stop is enough")
            self._tend(stops[0], wanted)
            return
        is_bare = bare > GROWTH_RATIO * (wanted - bare)
        is_owed = any(self._is_unanswered(stop) for stop in stops)
        if is_owed:
            patience.is_divided = True
        elif len(stops) == 1 and not is_bare:
            patience.is_divided = False
        is_crowded = len(stops) >= MOST_BESIDE
        if not is_crowded:
            patience.crowded = ZERO
        if is_bare and is_crowded and is_owed:
            self._tell_crowded(symbol, wanted - bare, wanted)
            bare = ZERO
        elif is_bare and not is_crowded and patience.is_divided:
            if self._may_place(symbol):
                self._place(symbol, bare)
            bare = ZERO
        for stop in stops:
            self._tend(stop, stop.remaining + (bare if stop is stops[0] else ZERO))

    def _is_unanswered(self, stop: Order) -> bool:
        return stop.detail == "pending_cancel" and self._desk.now - stop.history[-1].ts >= UNANSWERED_NS

    def _wanted_quantity(self, symbol: str, stops: list[Order]) -> Decimal:
        """What is held and no other exit at the venue may sell; at most what the venue takes in one order."""
        desk = self._desk
        if not desk.config.disaster_stop or not account.has_position(
            desk.state.ledger.position(symbol), desk.markets[symbol],
        ):
            return ZERO
        instrument = desk.markets[symbol].instrument
        others = account.selling_quantity(desk.state, symbol) - sum((stop.reserved for stop in stops), ZERO)
        quantity = max(instrument.round_quantity(desk.state.ledger.quantity(symbol) - others), ZERO)
        largest = instrument.round_quantity(instrument.max_quantity)
        return min(quantity, largest) if largest > ZERO else quantity

    # ---- a stop that rests --------------------------------------------------------------------------

    def _tend(self, stop: Order, wanted: Decimal) -> None:
        """Leave it, or take it back for the reason found; the new one follows when it is over."""
        desk, symbol = self._desk, stop.spec.symbol
        if stop.detail == "pending_cancel":
            return
        if wanted <= ZERO:
            request_cancel(desk, stop, "nothing is left to protect" if desk.config.disaster_stop else "switched off")
            return
        if not desk.state.lets_exit_leave("protective"):
            if self._is_passed(stop):
                self._tell(
                    symbol, "critical", f"passed {stop.client_order_id}", f"{symbol}: the venue's stop was reached",
                    "Trading is halted: if the venue does not execute it, nobody sells. Look at the exchange; flatten "
                    "sells at once.",
                )
            return
        if self._is_passed(stop):
            self._press(stop)
            return
        if stop.detail != "accepted":
            return
        patience = self._patience.setdefault(symbol, _Patience())
        if desk.now - stop.submitted_ns >= RAISE_PAUSE_NS:
            patience.vain, patience.told = 0, ""
        reason = self._reason_to_move(stop, wanted)
        if reason:
            request_cancel(desk, stop, reason)

    def _reason_to_move(self, stop: Order, wanted: Decimal) -> str:
        """Why it should rest elsewhere, "" if it is right as it is."""
        desk, symbol = self._desk, stop.spec.symbol
        age = desk.now - stop.submitted_ns
        if stop.remaining > wanted:
            return "less is held"
        if wanted - stop.remaining > GROWTH_RATIO * stop.remaining and (
            age >= GROWTH_PAUSE_NS or not self._may_grow(symbol)
        ):
            return "more is held"
        prices, price, last = stop_prices(desk, symbol), stop.spec.stop_price, desk.markets[symbol].last
        if prices is None or price is None:
            return ""
        if price > prices.own * (ONE - GAP / 2):
            return "it would come before our own stop"
        is_higher = prices.stop > price * (ONE + RAISE_RATIO)
        has_room = last is None or prices.stop <= last * (ONE - GAP)
        return "our own stop has risen" if is_higher and has_room and age >= RAISE_PAUSE_NS else ""

    def _may_grow(self, symbol: str) -> bool:
        """Is an entry at the venue that may be filled further?"""
        return any(order.spec.side == "buy" for order in self._desk.state.orders.at_venue(symbol))

    def _is_passed(self, stop: Order) -> bool:
        """Has the market reached the stop price, so that the venue is selling or should be?"""
        market, price = self._desk.markets[stop.spec.symbol], stop.spec.stop_price
        if stop.filled > ZERO or price is None:
            return stop.filled > ZERO
        if market.last is not None and market.last <= price:
            return True
        # Nobody trades any more, and sellers ask for less already.
        return market.ask is not None and market.ask <= price and self._desk.has_fresh_quote(market)

    def _press(self, stop: Order) -> None:
        """Triggered: the venue sells by itself. What it has not sold in time goes at market."""
        desk = self._desk
        patience = self._patience.setdefault(stop.spec.symbol, _Patience())
        patience.placed = stop.client_order_id
        since = patience.passed_since_ns.setdefault(stop.client_order_id, desk.now)
        if desk.now - since >= JUMPED_NS and stop.detail == "accepted":
            request_cancel(desk, stop, ESCALATE)

    # ---- a new one ----------------------------------------------------------------------------------

    def _may_place(self, symbol: str) -> bool:
        """Not while trading is halted, while another exit is about to leave, or too soon after a refusal."""
        desk = self._desk
        kill = desk.state.kill
        if not desk.state.lets_exit_leave("protective") or (kill is not None and kill.action == "flatten"):
            return False
        lets_leave, exits = desk.state.lets_exit_leave, desk.state.orders.exits(symbol)
        if any(
            order.is_waiting and lets_leave(order.spec.origin)
            and not is_held_back(desk, order) and not waits_for_others(desk, order) for order in exits
        ):
            return False
        return self._is_due(symbol)

    def _is_due(self, symbol: str) -> bool:
        """A stop that the venue refused or ended by itself is tried again ever more slowly, and a person is told.

        One that got lost on its way was not refused: it is sent anew at once, the first time.
        """
        desk = self._desk
        patience = self._patience.setdefault(symbol, _Patience())
        if patience.refused_ns < desk.freed_ns:
            patience.vain = 0  # what was refused before was refused for something that is over
        last = desk.state.orders.get(patience.placed)  # type: ignore[arg-type]
        if last is not None and last.by == "venue" and not last.filled:
            patience.placed = ""
            pause = min(FIRST_PAUSE_NS << min(patience.vain, 10), LONGEST_PAUSE_NS)
            if not patience.vain and has_never_arrived(last):
                pause = 0
            if last.state == "CANCELLED" and last.ended_ns - last.submitted_ns >= RESTED_NS:
                patience.vain, pause = -1, FIRST_PAUSE_NS
            elif last.state == "CANCELLED":
                pause = min(pause, TAKEN_BACK_PAUSE_NS)
            patience.vain, patience.refused_ns, patience.due_ns = patience.vain + 1, desk.now, desk.now + pause
            self._tell(
                symbol, "critical", f"refused {last.reason}", f"{symbol}: no stop rests at the venue",
                f"The venue ended {last.client_order_id}: {last.reason}. It is tried again. {self._watcher(symbol)}",
            )
        return desk.now >= patience.due_ns or patience.refused_ns < desk.freed_ns

    def _place(self, symbol: str, quantity: Decimal) -> None:
        desk = self._desk
        prices = self._prices_now(symbol)
        if prices is None:
            return
        spec = SubmitOrder(
            client_order_id=desk.next_id(), symbol=symbol, side="sell", order_type="stop", quantity=quantity,
            origin="protective", price=prices.limit, stop_price=prices.stop, reduce_only=True, tag=DISASTER_TAG,
            reason=f"rests at the venue below our own stop at {to_text(prices.own)}",
        )
        verdict = desk.review(_wire(spec, prices, desk.markets[symbol].touch("sell") or ZERO))
        if isinstance(verdict, Denied):
            self._tell_denied(symbol, quantity, verdict)
            return
        self._send(spec, verdict)
        held = account.held_quantity(desk.state, desk.markets[symbol])
        largest = desk.markets[symbol].instrument.max_quantity
        if largest > ZERO and held - account.selling_quantity(desk.state, symbol) > ZERO and quantity < held:
            self._tell(
                symbol, "warning", f"capped {to_text(quantity)}", f"{symbol}: the stop at the venue is too small",
                f"It covers {to_text(quantity)} of {to_text(held)}: the venue takes no more in one order. Only this "
                "process watches the rest.",
            )

    def _send(self, spec: SubmitOrder, approved: Approved) -> None:
        desk = self._desk
        desk.emit(OrderInitialized(spec))
        order = desk.state.orders.get(spec.client_order_id)
        if order is None:
            return
        desk.send(order, approved)
        patience = self._patience.setdefault(spec.symbol, _Patience())
        patience.placed = spec.client_order_id
        patience.passed_since_ns = {
            stop: since for stop, since in patience.passed_since_ns.items()
            if (known := desk.state.orders.get(ClientOrderId(stop))) is not None and known.is_working
        }

    def _prices_now(self, symbol: str) -> StopPrices | None:
        """By the rule, or a little below the market where that has fallen through it and nothing here will sell.

        None while an armed exit is about to fire; a target, or a trail that waits for its activation, is not. Selling
        at once what a person has kept through such a fall is not ours to decide; a further fall ends it.
        """
        desk = self._desk
        prices, last = stop_prices(desk, symbol), desk.markets[symbol].last
        if prices is None or last is None or prices.stop < last:
            return prices
        if self._has_own_stop(symbol):
            return None
        lower = prices_below(desk, symbol, last)
        if lower is not None:
            self._tell(
                symbol, "warning", "below", f"{symbol}: already below its stop-loss",
                f"The market at {to_text(last)} is below where the stop belongs ({to_text(prices.stop)}). It rests at "
                f"{to_text(lower.stop)} instead: close the position by hand if you do not want to keep it.",
            )
        return lower

    def _has_own_stop(self, symbol: str) -> bool:
        """Will an exit of ours fire in a fall?"""
        return any(falling_trigger(self._desk, order) is not None for order in self._desk.state.orders.exits(symbol))

    # ---- words --------------------------------------------------------------------------------------

    def _tell_denied(self, symbol: str, quantity: Decimal, verdict: Denied) -> None:
        """Once per reason. Dust is not worth a word: the venue would not sell it either."""
        market = self._desk.markets[symbol]
        if verdict.code in _DUST_CODES and market.value(quantity) < market.instrument.min_notional:
            return
        self._tell(
            symbol, "warning", verdict.code, f"{symbol}: no stop rests at the venue",
            f"{verdict.message} {self._watcher(symbol)}",
        )

    def _tell_crowded(self, symbol: str, covered: Decimal, wanted: Decimal) -> None:
        """Once as long as they cover no other part."""
        patience = self._patience.setdefault(symbol, _Patience())
        if patience.crowded == covered:
            return
        patience.crowded = covered
        self._desk.alert(
            "critical", f"{symbol}: the stops at the venue cover a part",
            f"{MOST_BESIDE} of them cover {to_text(covered)} of {to_text(wanted)}, and the venue does not answer their "
            f"cancels, so that one for all could be placed. {self._watcher(symbol)} Look at the exchange.",
        )

    def _watcher(self, symbol: str) -> str:
        """Who sells in a fall while no stop rests at the venue."""
        if self._has_own_stop(symbol):
            return "Only this process watches the position meanwhile: do not stop it."
        return "Nothing watches the position meanwhile: give it a stop-loss, or close it by hand."

    def _tell(self, symbol: str, level: str, what: str, title: str, message: str) -> None:
        patience = self._patience.setdefault(symbol, _Patience())
        if patience.told != what:
            patience.told = what
            self._desk.alert(level, title, message)


def _wire(spec: SubmitOrder, prices: StopPrices, reference_price: Decimal) -> OrderRequest:
    return OrderRequest(
        spec.client_order_id, spec.symbol, spec.side, "stop_limit", spec.quantity, prices.limit, "GTC",
        reference_price, spec.reduce_only, spec.origin, stop_price=prices.stop,
    )
