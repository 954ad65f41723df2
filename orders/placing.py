"""From a wish to an order: known ids answered, wishes checked and rounded, held orders armed and fired."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from bus.messages.header import Message
from bus.messages.orders import (
    OrderInitialized,
    OrderTriggered,
    PriceSource,
    Side,
    SubmitOrder,
    TrailingAdvanced,
    TrailingArmed,
    TrailSpec,
)
from market.interval import SECOND_NS
from market.money import ONE, ZERO, to_text
from orders import exits, grid_inventory, runaway, verdicts
from orders.admission import Refusal, admit, refuse
from orders.cancelling import expire
from orders.desk import Desk
from orders.effects import Answer
from orders.market_state import MarketState
from orders.order_table import HELD_KINDS
from orders.state import content_of
from orders.time_rules import MARGIN_S
from orders.trailing import Activated, Fire, TrailEvent
from orders.watch import fires_below
from risk.approved import Approved, Denied, OrderRequest
from risk.wording import moment, percent

MISSED_TIMER_NS: Final = 2 * SECOND_NS
"""Orders end with the timer of each second; so long after their time at least one was missed."""


def submit(desk: Desk, message: Message) -> None:
    """A SubmitOrder: the same answer again for a known id, else a denial or a new order."""
    _submit(desk, message)
    runaway.watch_attempts(desk)


def _submit(desk: Desk, message: Message) -> None:
    order = admitted(desk, message)
    if order is not None:
        place(desk, order)


def admitted(desk: Desk, message: Message) -> SubmitOrder | None:
    """The order as it is to be placed; None when it has been answered already, with its earlier fate or a denial."""
    wish: SubmitOrder = message.body
    if wish.client_order_id in desk.state.orders:
        answer_again(desk, wish)
        return None
    market = desk.markets.get(wish.symbol)
    order = admit(wish, market.instrument if market else None, desk.config.quote)
    if isinstance(order, Refusal) or market is None:
        if isinstance(order, Refusal):
            desk.deny(wish, order)
        return None
    late = _lateness(desk, message, order) or (closed_hours(desk, order) if order.side == "buy" else None)
    if late is not None:
        desk.deny(order, late)
        return None
    other = verdicts.mismatch(desk, order)
    if other is not None:
        desk.deny(order, other)
        return None
    never = _unarmable_trail(order, market)
    if never is not None:
        desk.deny(order, never)
        return None
    spared = grid_inventory.spare(desk, order)
    if isinstance(spared, Refusal):
        desk.deny(order, spared)
        return None
    return spared


def _unarmable_trail(order: SubmitOrder, market: MarketState) -> Refusal | None:
    """A protecting trail as far from the price as zero is: what is bought would stay without it."""
    trail = order.protection.trail if order.protection is not None else None
    price = order.price or order.stop_price or market.touch(order.side)
    if trail is None or trail.kind != "absolute" or price is None or trail.distance < price:
        return None
    quote = market.instrument.quote
    return refuse(
        "INVALID_ORDER", "protection.trail",
        f"A trail {to_text(trail.distance)} {quote} below a price of {to_text(price)} {quote} can never be armed. A "
        "share of the price is a trail in percent.", trail.distance, price,
    )


def closed_hours(desk: Desk, order: SubmitOrder, at: int | None = None) -> Refusal | None:
    """Why no entry may be made at this time of the day (`at` UTC ns, else now); None when it may."""
    rules, now = desk.config.time_rules, desk.now if at is None else at
    blackout = rules.blackout(now)
    if blackout is not None:
        return refuse(
            "BLACKOUT", "orders.blackouts", f"No entries during the blackout {blackout.text} (UTC).", blackout.text,
        )
    if (rules.closes_with_day or order.ends_with_day) and rules.is_day_ending(now):
        return refuse(
            "DAY_ENDING", "orders.day_end", f"The trading day ends within {MARGIN_S} seconds: no entries until it has.",
            MARGIN_S,
        )
    return None


def place(desk: Desk, order: SubmitOrder, best: Decimal | None = None) -> None:
    """An admitted order: denied by the gate, held, or sent. `best`: the price from which a trail goes on."""
    market = desk.markets[order.symbol]
    if order.order_type in HELD_KINDS:
        _submit_held(desk, order, market, best)
    elif order.side == "sell":
        exits.begin_exit(desk, order)
    else:
        _submit_entry(desk, order)


def answer_again(desk: Desk, wish: SubmitOrder) -> None:
    """Repeat what became of this id at its birth, with the new cause; nothing is done twice."""
    order = desk.state.orders.get(wish.client_order_id)
    if order is None:
        desk.answer_denied(wish.client_order_id, wish.symbol, refuse(
            "INVALID_ORDER", "client_order_id", f"The order {wish.client_order_id} was given before and ended long "
            f"ago: `tradingd explain {wish.client_order_id}` tells what became of it. Use a new id for a new order.",
            wish.client_order_id,
        ))
        return
    body = order.denial if order.denial is not None and not order.submitted_ns else OrderInitialized(order.spec)
    desk.out.append(Answer(desk.maker.make(body, desk.now, cause=desk.cause)))


def _lateness(desk: Desk, message: Message, order: SubmitOrder) -> Refusal | None:
    expires = message.header.expires
    if expires and desk.now > expires:
        return refuse(
            "INVALID_ORDER", "expires", f"The command came too late: it was valid until {moment(expires)}, now is "
            f"{moment(desk.now)}.", moment(desk.now), moment(expires),
        )
    if order.expire_at and desk.now >= order.expire_at:
        return refuse(
            "INVALID_ORDER", "expire_at", f"The order's time is over: expire_at {moment(order.expire_at)}, now is "
            f"{moment(desk.now)}.", moment(desk.now), moment(order.expire_at),
        )
    return None


def _submit_entry(desk: Desk, order: SubmitOrder) -> None:
    verdict = desk.review(exits.wire_request(desk, order, order.quantity), content=content_of(order))
    if isinstance(verdict, Denied):
        desk.deny(order, verdict)
        return
    desk.emit(OrderInitialized(order))
    initialized = desk.state.orders.get(order.client_order_id)
    if initialized is not None:
        desk.send(initialized, verdict)


def _submit_held(desk: Desk, order: SubmitOrder, market: MarketState, best: Decimal | None) -> None:
    watch = first_watch(desk, order, market)
    if isinstance(watch, TrailingArmed) and best is not None:
        watch = carried_on(order, watch, best)
    if isinstance(watch, Refusal):
        desk.deny(order, watch)
        return
    through = far_through(desk, order, market)
    if through is not None:
        desk.deny(order, through)
        return
    verdict = desk.review(arming_request(order, watch), content=content_of(order))
    if isinstance(verdict, Denied):
        desk.deny(order, verdict)
        return
    desk.emit(OrderInitialized(order))
    desk.emit(watch)
    fire_if_through(desk, order, market)


def far_through(desk: Desk, order: SubmitOrder, market: MarketState) -> Refusal | None:
    """A person's stop or target that the market has left behind by more than the collar is a slip of the hand.

    One that was passed by less fires at once: in a falling market a stop-loss always comes a little late.
    """
    price, stop, collar = market.watched_price("last", order.side), order.stop_price, desk.config.limits.collar
    if order.order_type not in ("stop", "take_profit") or order.origin != "manual" or price is None or stop is None:
        return None
    beyond = (stop - price if fires_below(order) else price - stop) / price
    if beyond < collar:
        return None
    if order.order_type == "take_profit":
        return refuse(
            "STOP_THROUGH_MARKET", "stop_price",
            f"The target {to_text(stop)} is {percent(beyond)} below the market ({to_text(price)}): it would sell at "
            "once. Give a higher price, a stop or a market order.", percent(beyond), percent(collar),
        )
    return refuse(
        "STOP_THROUGH_MARKET", "stop_price",
        f"The {order.side} stop {to_text(stop)} is {percent(beyond)} through the market ({to_text(price)}): it would "
        f"fire at once. Give a {'lower' if order.side == 'sell' else 'higher'} price, a take_profit or a market order.",
        percent(beyond), percent(collar),
    )


def fire_if_through(desk: Desk, order: SubmitOrder, market: MarketState) -> None:
    """A stop that the price has reached already does not wait for the next one, unless the feed is silent."""
    price = desk.fresh_price(market, "last", order.side)
    if order.order_type == "stop" and order.stop_price is not None and price is not None:
        is_through = price <= order.stop_price if fires_below(order) else price >= order.stop_price
        if is_through:
            on_trail_events(desk, market, "last", market.lasts.on_price(price))


def carried_on(order: SubmitOrder, watch: TrailingArmed, best: Decimal) -> TrailingArmed:
    """A trail that goes on from the best price another one has seen."""
    if order.trail is None or watch.distance is None or not watch.is_active:
        return watch
    kept = max(best, watch.best) if order.side == "sell" else min(best, watch.best)
    trigger = trigger_from(order.side, kept, watch.distance, is_ratio=order.trail.kind == "percent")
    return replace(watch, best=kept, trigger=trigger)


def arming_request(order: SubmitOrder, watch: TrailingArmed) -> OrderRequest:
    """What the gate reviews when an order is to be held: its content at today's price."""
    return OrderRequest(
        order.client_order_id, order.symbol, order.side, "market", order.quantity, None, order.time_in_force,
        watch.best, order.reduce_only, order.origin, order.proposal_id, is_arming=True,
    )


def first_watch(
    desk: Desk, order: SubmitOrder, market: MarketState, reference: Decimal | None = None,
) -> TrailingArmed | Refusal:
    """How a held order is armed now: from `reference`, else from the price its trigger will look at."""
    source: PriceSource = order.trail.price_source if order.trail is not None else "last"
    price = market.watched_price(source, order.side)
    best = price if reference is None else reference
    if best is None:
        return refuse(
            "PRICE_UNKNOWN", "price", f"No price of {order.symbol} was heard yet, so no trigger can be set.",
        )
    if order.order_type == "take_profit" and order.stop_price is not None:
        # Reached already or not, it fires at or above its price: armed from below it in either case.
        below = min(best, order.stop_price - market.instrument.price_tick)
        return TrailingArmed(order.client_order_id, order.symbol, order.side, below, order.stop_price)
    if order.order_type == "stop":
        stop = order.stop_price if order.stop_price is not None else best
        return TrailingArmed(order.client_order_id, order.symbol, order.side, best, stop)
    trail = order.trail
    if trail is None:
        return refuse("INVALID_ORDER", "trail", "A trailing order needs a trail, and there is none.")
    distance = resolve_distance(trail, market, best)
    if isinstance(distance, Refusal):
        return distance
    fresh = desk.fresh_price(market, source, order.side) if reference is not None else None
    if fresh is not None:
        best = max(best, fresh) if order.side == "sell" else min(best, fresh)
    trigger = trigger_from(order.side, best, distance, is_ratio=trail.kind == "percent")
    start = trail.activation_price
    is_active = start is None or (best >= start if order.side == "sell" else best <= start)
    return TrailingArmed(
        order.client_order_id, order.symbol, order.side, best, trigger, distance, source, is_active,
    )


def resolve_distance(trail: TrailSpec, market: MarketState, price: Decimal) -> Decimal | Refusal:
    """A ratio for percent trails, else quote currency (a multiple of the ATR as it stands now)."""
    distance = trail.distance
    if trail.kind == "atr":
        atr = market.atr.value
        if atr is None or atr <= ZERO:
            return refuse(
                "INVALID_ORDER", "trail.distance",
                f"The ATR of {market.symbol} is not known yet: wait for 15 candles, or use a percent trail.",
            )
        # A tenth of a tick is finer than any price; the digits of an average mean nothing.
        distance = round_distance(distance * atr, market.instrument.price_tick / 10)
    if trail.kind != "percent" and distance >= price:
        return refuse(
            "INVALID_ORDER", "trail.distance",
            f"The trail's distance {distance} is not below the price {price}.", distance, price,
        )
    if trail.decay_floor is not None and trail.decay_floor > distance:
        return refuse(
            "INVALID_ORDER", "trail.decay_floor",
            f"The trail's decay_floor {trail.decay_floor} is above its distance {distance}.",
            trail.decay_floor, distance,
        )
    return distance


def round_distance(distance: Decimal, step: Decimal) -> Decimal:
    """To the nearest multiple of `step` (quote currency), at least one."""
    if step <= ZERO:
        return distance
    return max(ONE, (distance / step).to_integral_value()) * step


def trigger_from(side: Side, best: Decimal, distance: Decimal, *, is_ratio: bool) -> Decimal:
    """SELL best*(1-ratio) or best-distance; BUY best*(1+ratio) or best+distance (T3)."""
    if side == "sell":
        return best * (ONE - distance) if is_ratio else best - distance
    return best * (ONE + distance) if is_ratio else best + distance


def on_trail_events(
    desk: Desk, market: MarketState, source: PriceSource, events: Sequence[TrailEvent],
) -> None:
    """What a price did to the held orders, in the order in which it happened."""
    for event in events:
        if isinstance(event, Fire):
            _fire(desk, event)
        elif isinstance(event, Activated):
            order = desk.state.orders.get(event.client_order_id)
            if order is not None:
                desk.emit(TrailingArmed(
                    event.client_order_id, market.symbol, event.side, event.best, event.trigger,
                    desk.state.watch.distance_of(event.client_order_id), source,
                ))
        else:
            desk.emit(TrailingAdvanced(
                market.symbol, event.side, source, event.best, event.count, event.client_order_id, event.trigger,
            ))


def _fire(desk: Desk, fire: Fire) -> None:
    """A trigger was reached: judged again as things are now, then sent. A sibling that ended meanwhile is left."""
    order = desk.state.orders.get(fire.client_order_id)
    if order is None or not order.is_armed:
        return
    spec = order.spec
    if not order.is_exit and is_long_over(spec, desk.now):
        expire(desk, order)
        return
    desk.emit(OrderTriggered(spec.client_order_id, spec.symbol, fire.trigger, fire.price))
    if order.is_exit:
        exits.release_fired(desk, order)
        return
    verdict = closed_hours(desk, spec) or desk.review(exits.wire_request(desk, spec, spec.quantity, fire.trigger))
    if isinstance(verdict, Approved):
        desk.send(order, verdict)
    else:
        desk.deny(spec, verdict)


def is_long_over(spec: SubmitOrder, now: int) -> bool:
    """Should a timer have ended it before `now` (UTC ns)? None came where the machine slept."""
    return 0 < spec.expire_at <= now - MISSED_TIMER_NS


def resume_after_halt(desk: Desk) -> None:
    """Trading is allowed again. Exits that fired meanwhile are sent if the price is still through their trigger,
    else armed anew: nobody wants a position sold because of a dip that was over long ago.
    """
    for order in desk.state.orders.working():
        if not (order.is_exit and order.state == "PENDING" and order.detail == "triggered"):
            continue
        watch = _recovered(desk, order.spec, order.fires[-1].trigger)
        if watch is None:
            exits.try_send(desk, order)
        else:
            desk.emit(watch)


def _where_it_was(spec: SubmitOrder, trail: TrailSpec, price: Decimal, trigger: Decimal) -> TrailingArmed | None:
    """A trail whose distance nobody knows now (no ATR yet, after a restart): it follows from where it fired."""
    distance = max(price - trigger, trail.decay_floor or ZERO)
    if trail.kind == "percent" or distance >= price:
        return None
    return TrailingArmed(
        spec.client_order_id, spec.symbol, spec.side, price, price - distance, distance, trail.price_source,
    )


def _recovered(desk: Desk, spec: SubmitOrder, trigger: Decimal) -> TrailingArmed | None:
    """The watch of an exit whose trigger lies away from the market again, None when it does not."""
    market = desk.markets[spec.symbol]
    order = desk.state.orders.get(spec.client_order_id)
    source: PriceSource = spec.trail.price_source if spec.trail is not None else "last"
    price = market.watched_price(source, spec.side)
    if price is None or order is None:
        return None
    if spec.order_type == "trailing" and spec.trail is not None:
        if price <= trigger:
            return None
        watch = first_watch(desk, replace(spec, trail=replace(spec.trail, activation_price=None)), market)
        return watch if isinstance(watch, TrailingArmed) else _where_it_was(spec, spec.trail, price, trigger)
    if (price > trigger) if fires_below(spec) else (price < trigger):
        return TrailingArmed(spec.client_order_id, spec.symbol, spec.side, price, trigger)
    return None
