"""Somebody trades by hand, so that every kind of order is met."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from bus.messages import orders
from bus.messages.grid import StartGrid, StopGrid
from bus.messages.orders import Protection, SubmitOrder, TrailSpec
from market.money import ZERO
from orders.order_table import Order
from simulator.market import SeededMarket
from simulator.process import Process

if TYPE_CHECKING:
    from simulator.world import World

D = Decimal
_LAST_S: Final = 120.0
"""Nobody begins anything so shortly before the end."""


class Person:
    """Acts now and then, as the world's chance has it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.random
        self.given: list[SubmitOrder] = []
        """All orders that were ever asked for."""

    def act(self) -> None:
        """One wish, and the next one later."""
        world = self._world
        if world.schedule.elapsed_s > world.seconds - _LAST_S and not world.goes_on():
            return
        world.schedule.after(self._random.uniform(20, 80), self.act)
        process = world.process
        if process is None:
            return
        symbol = self._random.choice(sorted(world.markets))
        held = process.engine.ledger.quantity(symbol)
        command = self._management(process, symbol) if self._random.random() < 0.35 else None
        if command is None:
            command = self._wish(process, symbol, held)
        if isinstance(command, SubmitOrder):
            self.given.append(command)
        world.command(command)

    def _management(self, process: Process, symbol: str) -> object | None:
        """A grid is opened or closed, an order is changed or ended, weights are set."""
        market = self._world.markets[symbol]
        grids = list(process.engine.grids.live())
        working = [each for each in process.engine.orders.working(symbol) if each.spec.origin == "manual"]
        match self._random.choice(("grid", "grid_end", "change", "change", "end", "weights")):
            case "grid" if not grids:
                return StartGrid(symbol, D(450), levels=5, spacing=D("0.005"), reason="sideways, it seems")
            case "grid_end" if grids:
                return StopGrid(grids[0].grid_id, close=self._random.random() < 0.5, reason="enough")
            case "change" if working:
                order = self._random.choice(working)
                return self._change(order, market)
            case "end" if working:
                return orders.CancelOrder(self._random.choice(working).client_order_id, "changed my mind")
            case "weights":
                weight = self._random.choice((D(0), D("0.02"), D("0.04")))
                return orders.Rebalance((orders.TargetWeight(symbol, weight),), "as planned")
        return None

    def _change(self, order: Order, market: SeededMarket) -> object:
        """A little nearer to the market, or less of it."""
        spec = order.spec
        price = (market.bid - 3 if spec.side == "buy" else market.ask + 8) if spec.price is not None else None
        stop = None
        if spec.order_type in ("stop", "take_profit"):
            stop = market.ask + 4 if spec.side == "buy" or spec.order_type == "take_profit" else market.bid - 40
        quantity = None if price or stop else spec.quantity / 2
        return orders.ModifyOrder(spec.client_order_id, quantity, price, stop, reason="nearer")

    def _wish(self, process: Process, symbol: str, held: Decimal) -> object:
        market = self._world.markets[symbol]
        unit = D("0.004") if symbol.startswith("BTC") else D("0.08")
        kind = self._random.choice((
            "market", "limit", "stop", "trailing", "bracket", "sell", "sell_limit", "close", "target", "better",
        ))
        new = process.next_order_id()
        if kind in ("sell", "sell_limit", "close", "target") and held <= ZERO:
            kind = "market"
        if kind == "close":
            return orders.ClosePosition(symbol, "enough")
        common: dict[str, Any] = {"client_order_id": new, "symbol": symbol, "origin": "manual", "quantity": unit}
        match kind:
            case "market":
                return SubmitOrder(side="buy", order_type="market", **common)
            case "limit":
                return SubmitOrder(side="buy", order_type="limit", price=market.bid - 5, **common)
            case "stop":
                return SubmitOrder(side="buy", order_type="stop", stop_price=market.ask + 10, **common)
            case "trailing":
                return SubmitOrder(side="buy", order_type="trailing", trail=TrailSpec("percent", D("0.001")), **common)
            case "bracket":
                around = Protection(D("0.01"), TrailSpec("percent", D("0.004")), D("0.006"))
                return SubmitOrder(side="buy", order_type="market", protection=around, **common)
            case "better":
                return SubmitOrder(side="buy", order_type="limit", price=market.bid - 10, improve=True, **common)
            case "target":
                common["quantity"] = held
                return SubmitOrder(
                    side="sell", order_type="take_profit", stop_price=market.ask + 30, reduce_only=True, **common,
                )
            case "sell":
                common["quantity"] = held
                return SubmitOrder(side="sell", order_type="market", reduce_only=True, **common)
            case _:
                common["quantity"] = held
                return SubmitOrder(
                    side="sell", order_type="limit", price=market.ask + 20, reduce_only=True, **common,
                )
