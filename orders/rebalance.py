"""Bringing positions to target weights (T14): sales first, then purchases as the money comes free.

What there is to do follows from the account and the prices of the moment, never from a list: a symbol further than the
band (1 % of equity) from its target gets an order for the difference, one at a time. So a restart goes on with the
same rule. The orders are ordinary ones, at market, tagged "rebalance"; each passes the gate, and a refused one is the
last of its symbol. Purchases wait until no sale is under way.
"""

from decimal import Decimal
from typing import Final

from bus.ids import ClientOrderId
from bus.messages.orders import Rebalance, RebalanceEnded, RebalanceStarted, SubmitOrder
from market.interval import SECOND_NS
from market.money import ONE, ZERO
from orders import account, exits, placing
from orders.admission import Refusal, refuse
from orders.desk import Desk
from orders.state import REBALANCE_TAG, REBALANCE_TRIES

BAND: Final = Decimal("0.01")
LONGEST_NS: Final = 600 * SECOND_NS
_HEADROOM: Final = Decimal("0.999")
"""A purchase stays this far below a limit, so that a price that moves meanwhile does not break it."""


def start(desk: Desk, command: Rebalance) -> None:
    """Begin; refused when a target cannot be reached or a rebalancing is under way."""
    problem = _problem(desk, command)
    if problem is not None:
        desk.deny_command(ClientOrderId(""), "", problem)
        return
    desk.emit(RebalanceStarted(command.targets, command.reason or "on request"))
    go_on(desk)


def _problem(desk: Desk, command: Rebalance) -> Refusal | None:
    limits, seen = desk.config.limits, set()
    if desk.state.rebalance is not None:
        return refuse("INVALID_ORDER", "rebalance", "A rebalancing is under way: wait until it has ended.")
    if not command.targets:
        return refuse("INVALID_ORDER", "weights", "No target is named: name at least one symbol and its weight.")
    for target in command.targets:
        symbol, weight = target.symbol, target.weight
        market = desk.markets.get(symbol)
        if market is None or market.instrument.quote != desk.config.quote or symbol in seen:
            told = "is not traded here: use a symbol of the configuration's list"
            told = "is named twice" if symbol in seen else told
            return refuse("UNKNOWN_INSTRUMENT", "weights", f"{symbol} {told}.", symbol)
        seen.add(symbol)
        if not weight.is_finite() or not ZERO <= weight <= ONE:
            return refuse("INVALID_ORDER", "weights", f"The weight of {symbol} is {weight}: write 0 to 1.", weight, 1)
        if weight >= limits.exposure_per_asset:
            return refuse(
                "EXPOSURE_PER_ASSET", "exposure_per_asset",
                f"The weight of {symbol} is {weight}; one asset must stay below "
                f"{limits.exposure_per_asset} of equity: ask for less, or raise risk.exposure_per_asset.",
                weight, limits.exposure_per_asset,
            )
    total = sum((target.weight for target in command.targets), ZERO)
    if total >= limits.exposure_total:
        return refuse(
            "EXPOSURE_TOTAL", "exposure_total", f"The weights add up to {total}; all assets together must stay below "
            f"{limits.exposure_total} of equity: ask for less, or raise risk.exposure_total.",
            total, limits.exposure_total,
        )
    return None


def go_on(desk: Desk) -> None:
    """Once a second while a rebalancing is under way: the next orders, or its end."""
    running = desk.state.rebalance
    if running is None:
        return
    if desk.state.kill is not None or desk.state.trading_state == "HALTED":
        desk.emit(RebalanceEnded("ended early: trading is halted"))
        return
    if desk.now - desk.state.rebalance_ns >= LONGEST_NS:
        desk.emit(RebalanceEnded(f"ended early: not done within {LONGEST_NS // SECOND_NS} s"))
        return
    if _is_busy(desk):
        return
    gaps = _gaps(desk, running)
    if gaps is None:
        return
    sales = [(symbol, gap) for symbol, gap in gaps if gap < ZERO]
    for symbol, gap in sales or gaps:
        _order(desk, symbol, gap)
    if not gaps:
        desk.emit(RebalanceEnded(_outcome(desk, running)))


def _is_busy(desk: Desk) -> bool:
    """One of its orders works still. They all go at market: a limit of this tag is a person's own."""
    return any(
        order.spec.tag == REBALANCE_TAG and order.spec.order_type == "market" for order in desk.state.orders.working()
    )


def _gaps(desk: Desk, running: RebalanceStarted) -> list[tuple[str, Decimal]] | None:
    """(symbol, quote value to buy or, negative, to sell) outside the band and worth an order; None without a price."""
    worth = account.equity(desk.state, desk.markets)
    least = desk.config.limits.min_notional
    found = []
    for target in sorted(running.targets, key=lambda each: each.symbol):
        market = desk.markets[target.symbol]
        if market.mark is None:
            return None
        gap = target.weight * worth - market.value(account.held_quantity(desk.state, market))
        is_over = desk.state.rebalance_tries.get(target.symbol, 0) >= REBALANCE_TRIES
        is_worth_it = abs(gap) > BAND * worth or (target.weight == ZERO and gap < ZERO)
        if is_worth_it and abs(gap) >= max(least, market.instrument.min_notional) and not is_over:
            found.append((target.symbol, gap))
    return found


def _order(desk: Desk, symbol: str, gap: Decimal) -> None:
    market = desk.markets[symbol]
    side = "buy" if gap > ZERO else "sell"
    price = market.touch("buy" if gap > ZERO else "sell")
    if price is None:
        return
    value = min(abs(gap), _affordable(desk)) if gap > ZERO else abs(gap)
    held = account.held_quantity(desk.state, market)
    quantity = market.instrument.round_quantity(value / price)
    if gap < ZERO:
        is_all = held * price - value < max(desk.config.limits.min_notional, market.instrument.min_notional)
        quantity = held if is_all else min(quantity, held)
    spec = SubmitOrder(
        client_order_id=desk.next_id(), symbol=symbol, side="buy" if side == "buy" else "sell", order_type="market",
        quantity=quantity, origin="manual", reduce_only=side == "sell", tag=REBALANCE_TAG,
        reason="brings the position to its target weight",
    )
    if side == "sell":
        exits.begin_exit(desk, spec)
        return
    closed = placing.closed_hours(desk, spec)
    if closed is not None:
        desk.deny(spec, closed)
    else:
        placing.place(desk, spec)


def _affordable(desk: Desk) -> Decimal:
    """The most one purchase may be worth: free cash less its costs, and the limit for one order."""
    stake = account.exposure(desk.state, desk.markets)
    fees = max((market.instrument.taker_fee for market in desk.markets.values()), default=ZERO)
    free = (desk.state.ledger.cash - stake.held_by_entries) / (ONE + fees + desk.config.slippage_ratio)
    return max(min(free, desk.config.limits.max_order_notional * stake.equity), ZERO) * _HEADROOM


def _outcome(desk: Desk, running: RebalanceStarted) -> str:
    given_up = sorted(
        target.symbol for target in running.targets
        if desk.state.rebalance_tries.get(target.symbol, 0) >= REBALANCE_TRIES
    )
    return f"done, but for {', '.join(given_up)}: see the refused orders" if given_up else "done"
