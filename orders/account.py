"""The account, valued: equity, what entries hold, exposure per asset, and the snapshot of it all.

Everything here is computed from the state and the last prices when somebody asks; nothing is kept. The sums
over working entries are part of the state (`orders.commitments`), so that the cost grows with symbols, not orders.
"""

from collections.abc import Mapping
from decimal import Decimal

from bus.messages.ledger import PortfolioSnapshot, PositionView
from market.money import ONE, ZERO
from market.record import record
from orders.commitments import Commitment, SymbolCommitments
from orders.ledger import Position
from orders.market_state import MarketState
from orders.order_table import Order
from orders.state import EngineState
from risk.drawdown import EquityTracker

Markets = Mapping[str, MarketState]


@record
class Exposure:
    """What is at stake apart from one order under review, in quote; and the account's whole worth."""

    asset: Decimal
    total: Decimal
    held_by_entries: Decimal
    open_positions: int
    equity: Decimal


def position_value(position: Position, market: MarketState) -> Decimal:
    """Marked to bid; while no price is heard as it was last, at cost where nobody knows that either."""
    mark = market.known_mark
    return position.quantity * mark if mark is not None else position.cost


def equity(state: EngineState, markets: Markets) -> Decimal:
    """Cash and positions, in quote."""
    positions = state.ledger.positions
    return state.ledger.cash + sum(
        (position_value(positions[symbol], markets[symbol]) for symbol in sorted(positions)), ZERO,
    )


def working_value(working: Commitment | SymbolCommitments, market: MarketState) -> Decimal:
    """Quote value of what working entries of the market's symbol may still buy; 0 where no price is known at all."""
    if not working.unpriced:
        return +working.value
    return working.value + working.unpriced * (market.touch("buy") or ZERO)


def has_position(position: Position | None, market: MarketState) -> bool:
    """Is there anything that could be sold? A remainder below the quantity step is dust.

    So is what was left of a closed position in a symbol that is watched no longer, whose step nobody knows.
    """
    if position is None or abs(position.quantity) < market.instrument.quantity_step:
        return False
    return market.is_watched or position.opened_ns > 0


def takes_place(position: Position, market: MarketState) -> bool:
    """Does it count for `max_positions`? It does while no price is known.

    Not what is less than the venue takes in one order: nobody could close it, and it would keep its place for ever.
    """
    quantity, mark, instrument = position.quantity, market.mark, market.instrument
    if not has_position(position, market):
        return False
    is_enough = quantity >= instrument.min_quantity and (mark is None or quantity * mark >= instrument.min_notional)
    return is_enough or quantity < ZERO


def held_quantity(state: EngineState, market: MarketState) -> Decimal:
    """Base held of the symbol, rounded down to what can be sold; never negative."""
    return max(market.instrument.round_quantity(state.ledger.quantity(market.symbol)), ZERO)


def selling_quantity(state: EngineState, symbol: str, apart_from: Order | None = None) -> Decimal:
    """What exits at the venue may still sell of the symbol."""
    own = apart_from.reserved if apart_from is not None else ZERO
    return state.orders.selling(symbol) - own


def yielding_quantity(state: EngineState, symbol: str) -> Decimal:
    """What a disaster stop at the venue holds: it makes way for any other exit, so it stands in the way of none."""
    return sum((order.reserved for order in state.orders.at_venue(symbol) if order.is_disaster_stop), ZERO)


def exposure(state: EngineState, markets: Markets, symbol: str = "", apart_from: str = "") -> Exposure:
    """Positions at mark plus working entries; `symbol` and `apart_from` describe the order under review."""
    asset = total = held = worth = ZERO
    occupied = set()
    positions, commitments = state.ledger.positions, state.orders.commitments
    for name in positions if len(positions) < 2 else sorted(positions):
        position, market = positions[name], markets[name]
        mark = market.bid if market.bid is not None else market.last
        value = position_value(position, market) if mark is None else position.quantity * mark
        worth += value
        if value > ZERO:
            total += value
            if name == symbol:
                asset += value
        if takes_place(position, market):
            occupied.add(name)
    own = commitments.of(apart_from)
    for name, working in commitments.by_symbol():
        is_own = own is not None and own.symbol == name
        if working.entries == is_own:
            continue  # nobody else's
        market = markets[name]
        others = working.less(own) if is_own and own is not None else working
        notional = working_value(others, market) if others.unpriced else +others.value
        total += notional
        held += notional * (ONE + market.instrument.taker_fee)
        if name == symbol:
            asset += notional
        occupied.add(name)
    occupied.discard(symbol)
    return Exposure(asset, total, held, len(occupied), state.ledger.cash + worth)


def snapshot(state: EngineState, markets: Markets, tracker: EquityTracker) -> PortfolioSnapshot:
    """The whole account as a fact."""
    views = tuple(
        _view(state.ledger.positions[symbol], markets[symbol]) for symbol in sorted(state.ledger.positions)
        if state.ledger.positions[symbol].quantity
    )
    commitments = state.orders.commitments
    entries = tuple((each.symbol, _entry_value(each, markets)) for each in commitments.each())
    replaceable = {
        order.spec.symbol: own for order in state.orders.working()
        if order.is_council_entry and (own := commitments.of(order.client_order_id)) is not None
    }  # the newest, as `orders.replacing` takes it
    stake = exposure(state, markets)
    return PortfolioSnapshot(
        quote=state.ledger.quote, equity=stake.equity, cash=state.ledger.cash,
        available=state.ledger.cash - stake.held_by_entries, exposure=stake.total,
        realized_pnl=state.ledger.realized_pnl, unrealized_pnl=sum((view.unrealized_pnl for view in views), ZERO),
        fees=state.ledger.fees, positions=views, working_entries=entries,
        peak_equity=tracker.peak_equity, day_open_equity=tracker.day_open_equity,
        day_peak_equity=tracker.day_peak_equity, week_peak_equity=tracker.week_peak_equity,
        daily_drawdown=float(tracker.daily_drawdown), weekly_drawdown=float(tracker.weekly_drawdown),
        max_drawdown=float(tracker.max_drawdown), daily_loss=float(tracker.daily_loss),
        initial_capital=tracker.initial_capital,
        replaceable=tuple((symbol, _entry_value(replaceable[symbol], markets)) for symbol in sorted(replaceable)),
    )


def _entry_value(entry: Commitment, markets: Markets) -> Decimal:
    return working_value(entry, markets[entry.symbol]) if entry.unpriced else entry.value


def _view(position: Position, market: MarketState) -> PositionView:
    value = position_value(position, market)
    known = market.known_mark
    mark = position.average_price if known is None else known
    is_dust = not has_position(position, market)
    return PositionView(
        position.symbol, position.quantity, position.average_price, mark, value, value - position.cost, is_dust,
        0 if is_dust or position.sold_quantity else position.opened_ns, not takes_place(position, market),
    )
