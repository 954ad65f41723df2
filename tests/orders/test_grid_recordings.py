"""Grids over recorded markets, filled by the paper venue: a day of minutes, minutes of ticks, also killed."""

from collections.abc import Iterator
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from bus.messages.grid import GridStarted, StartGrid
from bus.messages.orders import OrderFilled
from exchanges.simulated import PaperConfig
from market.interval import SECOND_NS
from market.ticks import QuoteTick, TradeTick
from tests.orders.grid_world import GridWorld, candle_prices, spot
from tests.orders.test_grid_paths import check_levels
from tests.orders.trading import BTC
from tests.shared_data import shared_file

D = Decimal
MINUTES = "candles/binance_spot_1m_BTC-ETH-ADA-DOGE_2021-04_2021-05.parquet"
TICKS = "ticks/binance_spot_btcusdt_20240809_{}.parquet"
PAPER = PaperConfig(slippage=D("0.0005"), use_book=False)


def doge(count: int) -> list[Decimal]:
    table = pq.read_table(shared_file(MINUTES), filters=[("symbol", "==", "DOGE/USDT")]).to_pydict()
    rows = list(zip(table["open"], table["high"], table["low"], table["close"], strict=True))[:count]
    return list(candle_prices(rows, D("0.0000001"))())


def minutes(prices: list[Decimal], pauses: frozenset[int], *, is_killed: bool = False) -> GridWorld:
    """A grid over these prices, 15 seconds apart, begun anew whenever it has ended.

    At the steps named the price is heard twice, and in between the engine may be killed.
    """
    world = GridWorld(paper=PAPER, instrument=spot("0.0000001", "1"))
    for number, price in enumerate(prices):
        world.price(price, 15 * SECOND_NS)
        if number == 0 or world.grid.phase == "STOPPED":
            world.give(StartGrid(BTC, D(2000)))
        if number in pauses:
            if is_killed:
                world.restart()
            world.price(price, 1)
        world.second()
    return world


def check_books(world: GridWorld) -> None:
    grids, ledger = list(world.engine.grids), world.engine.ledger
    for grid in grids:
        check_levels(grid)
    assert ledger.funds_in - ledger.cash == sum((grid.cost - grid.profit for grid in grids), D(0))
    assert sum((grid.quantity for grid in grids), D(0)) == ledger.quantity(BTC)
    ledger.check()


def test_a_day_of_minutes_ends_the_same_when_killed_in_between() -> None:
    prices = doge(1440)
    first = minutes(prices, frozenset())
    fills = [message for message in first.journal if isinstance(message.body, OrderFilled)]
    assert len(fills) > 10
    # In the very moments in which orders are on their way, and in quiet ones.
    first_ns = next(message.header.ts for message in first.journal if isinstance(message.body, GridStarted))
    pauses = frozenset((message.header.ts - first_ns) // (15 * SECOND_NS) for message in fills[::6]) | {1000, 4444}
    lived, killed = minutes(prices, pauses), minutes(prices, pauses, is_killed=True)
    check_books(lived)
    check_books(killed)
    assert {each.grid_id: each for each in killed.engine.grids} == {each.grid_id: each for each in lived.engine.grids}
    assert killed.engine.ledger.accounts() == lived.engine.ledger.accounts()


def ticks() -> Iterator[TradeTick | QuoteTick]:
    """Trades and quotes in the order in which they were received."""
    trades = pq.read_table(shared_file(TICKS.format("trades"))).to_pylist()
    quotes = pq.read_table(shared_file(TICKS.format("quotes"))).to_pylist()
    made: list[TradeTick | QuoteTick] = [
        TradeTick(BTC, _money(row["price"]), _money(row["qty"]), "buy" if row["taker_buy"] else "sell",
                  str(row["trade_id"]), row["recv_ns"], row["recv_ns"])
        for row in trades
    ]
    made += [
        QuoteTick(BTC, _money(row["bid"]), _money(row["bid_qty"]), _money(row["ask"]), _money(row["ask_qty"]),
                  row["recv_ns"], row["recv_ns"])
        for row in quotes
    ]
    return iter(sorted(made, key=lambda item: item.ts_init))


def _money(value: object) -> Decimal:
    return D(str(value))


def replayed(kill_each: int) -> GridWorld:
    items = list(ticks())
    world = GridWorld(paper=PaperConfig(slippage=D(0), use_book=False), instrument=spot(), start_ns=items[0].ts_init)
    next_second = items[0].ts_init
    for number, item in enumerate(items):
        world.item(item)
        if number == 100:
            world.give(StartGrid(BTC, D(5000), 10, spacing=D("0.001"), trail=D("0.0005")))
        if kill_each and number > 200 and number % kill_each == 0:
            world.restart()
            world.item(item)
        while next_second <= item.ts_init:
            next_second += SECOND_NS
            world.second()
    return world


def test_recorded_ticks_end_the_same_when_killed_in_between() -> None:
    lived = replayed(0)
    check_books(lived)
    assert lived.grid.orders_made > 10
    fills = [message.body for message in lived.journal if isinstance(message.body, OrderFilled)]
    assert {fill.side for fill in fills} == {"buy", "sell"}
    killed = replayed(9_000)
    check_books(killed)
    assert (killed.grid.quantity, killed.grid.profit) == (lived.grid.quantity, lived.grid.profit)
    assert killed.grid.levels == lived.grid.levels


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_every_order_of_the_grid_went_through_the_gate(side: str) -> None:
    world = minutes(doge(1440), frozenset())
    orders = [request for request in world.sent if request.side == side]
    assert orders
    assert all(world.engine.grids.leg(request.client_order_id) is not None for request in orders)
