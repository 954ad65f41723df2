"""A small Control for API and command line tests: a real read model, and an engine of three rules.

It obeys commands at once and makes the same facts the real engine makes: orders over 1 BTC are denied, market
orders fill at 100, all others wait.
"""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from bus.ids import ClientOrderId, SessionId, TradeId, VenueOrderId
from bus.messages import council, grid, ledger, orders, system
from bus.messages.header import Message, MessageMaker
from tradingd.api.app import create_app
from tradingd.api.server import serve_api
from tradingd.auth import Auth
from tradingd.control import (
    AgentReport,
    BusStatus,
    ControlConflictError,
    ControlUnavailableError,
    DaemonStatus,
    FeedStatus,
    Problem,
)
from tradingd.mode_switch import why_not
from tradingd.plugins.panel import PluginReport
from tradingd.profile import Inspected, Timing
from tradingd.read_model import ReadModel
from tradingd.research_line import Ended
from tradingd.settings import Settings
from tradingd.tuner import Tuner

START = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
LIMIT = Decimal(1)


def portfolio(**changes: Any) -> ledger.PortfolioSnapshot:
    money = Decimal(10_000)
    zero = Decimal(0)
    known = ledger.PortfolioSnapshot(
        quote="USDT", equity=money, cash=money, available=money, exposure=zero, realized_pnl=zero,
        unrealized_pnl=zero, fees=zero, positions=(), working_entries=(), peak_equity=money, day_open_equity=money,
        day_peak_equity=money, week_peak_equity=money, daily_drawdown=0.0, weekly_drawdown=0.0, max_drawdown=0.0,
        daily_loss=0.0, initial_capital=money,
    )
    return replace(known, **changes)


class SmallDaemon:
    """Records what it was told in `commands`, and every message in `journal`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.read_model = ReadModel(settings.account.quote)
        self.commands: list[object] = []
        self.journal: list[Message] = []
        self.shutdown_reason = ""
        self.is_ready = True
        self.is_mute = False
        self.plugins: list[PluginReport] = []
        self.touch: dict[str, tuple[Decimal | None, Decimal | None, Decimal | None]] = {}
        self._now = START
        self._engine = MessageMaker("engine", SessionId("s1"))
        self._people: dict[str, MessageMaker] = {}
        self._manual = 0
        self._trades = 0
        self._tuner = Tuner(
            settings, self.read_model.tuning, self.now, lambda change, by: self.fact(change), self.fact,
            lambda text: None,
            self._no_history,
        )
        self._votes = {voter: ("ACTIVE", "all is well") for voter in ("operator", "ceo", "risk", "health")}
        self.fact(system.DaemonStarted(SessionId("s1"), "0.1.0", "paper", "practice", settings.symbols, 7, False))
        self.fact(system.TradingStateChanged("ACTIVE", self._vote_rows(), "start"))
        self.fact(portfolio())

    def tuner(self) -> Tuner:
        return self._tuner

    async def _no_history(self, arguments: list[str], *, within_s: float, config: str) -> Ended:
        return Ended(7, b"", "no history to replay")

    def now(self) -> int:
        return self._now

    def fact(self, body: object, cause: str = "") -> Message:
        self._now += SECOND
        message = self._engine.make(body, self._now, cause=cause)
        self.journal.append(message)
        self.read_model.apply(message)
        return message

    async def execute(self, body: object, *, by: str) -> Sequence[Message]:
        if self.is_mute:
            raise ControlUnavailableError("the engine does not answer: try again in a second")
        maker = self._people.setdefault(by, MessageMaker(by, SessionId("s1")))
        command = maker.make(body, self._now)
        self.commands.append(body)
        return [self.fact(fact, command.id) for fact in self._obey(body)]

    def _obey(self, body: object) -> Iterator[object]:
        match body:
            case orders.SubmitOrder():
                yield from self._submit(body)
            case orders.CancelOrder():
                view = self.read_model.order(body.client_order_id)
                assert view is not None
                yield orders.OrderCancelled(body.client_order_id, view.symbol, "us", body.reason)
            case orders.ModifyOrder():
                yield from self._modify(body)
            case orders.ChangeFunds():
                yield ledger.FundsChanged("USDT", body.delta, Decimal(10_000) + body.delta, body.reason)
            case orders.Rebalance():
                yield orders.RebalanceStarted(body.targets, body.reason)
                yield orders.RebalanceEnded("done")
            case orders.CancelAllOrders():
                for record in self.read_model.order_fold.working():
                    if body.scope == "all" or record.spec.side == "buy":
                        yield orders.OrderCancelled(ClientOrderId(record.id), record.spec.symbol, "us", body.reason)
            case orders.ClosePosition():
                held = self.read_model.results.holdings[body.symbol]
                self._manual += 1
                order = orders.SubmitOrder(
                    ClientOrderId(f"td-m{self._manual}"), body.symbol, "sell", "market", held.quantity, "manual",
                    reduce_only=True,
                )
                yield from self._submit(order)
            case grid.StartGrid():
                yield orders.OrderDenied(
                    ClientOrderId(""), body.symbol, "GRID_TOO_SMALL", "E006", "capital", str(body.capital), "any",
                    "this small daemon has no grids", None,
                )
            case system.VoteTradingState():
                self._votes[body.voter] = (body.state, body.reason)
                yield system.TradingStateChanged(self._state(), self._vote_rows(), body.reason)
            case council.WeightChanged():
                yield body
            case system.LiftLock():
                yield system.LockLifted(body.lock_id, "", body.by, body.reason)
            case orders.EngageKillSwitch():
                yield system.KillSwitchEngaged(body.action, body.reason, body.by)
                yield system.TradingStateChanged("HALTED", self._vote_rows(), body.reason)
            case orders.ReleaseKillSwitch():
                yield system.KillSwitchReleased(body.by, body.reason)
                yield system.TradingStateChanged(self._state(), self._vote_rows(), body.reason)

    def _modify(self, command: orders.ModifyOrder) -> Iterator[object]:
        record = self.read_model.order_fold.by_id[command.client_order_id]
        yield orders.OrderUpdated(
            command.client_order_id, record.spec.symbol, command.quantity or record.quantity,
            command.price or record.price, command.stop_price or record.stop_price, command.trail or record.trail,
            command.reason,
        )

    def _submit(self, order: orders.SubmitOrder) -> Iterator[object]:
        order_id, symbol = order.client_order_id, order.symbol
        if order.quantity > LIMIT:
            yield orders.OrderDenied(
                order_id, symbol, "MAX_ORDER", "E006", "max_order_notional", str(order.quantity), str(LIMIT),
                f"{order.quantity} is above the limit of {LIMIT}: order less", order,
            )
            return
        yield orders.OrderInitialized(order)
        price = Decimal(100)
        if order.order_type == "trailing":
            assert order.trail is not None
            away = price * order.trail.distance
            trigger = price - away if order.side == "sell" else price + away
            yield orders.TrailingArmed(order_id, symbol, order.side, price, trigger, order.trail.distance)
            return
        if order.order_type in ("stop", "take_profit"):
            assert order.stop_price is not None
            yield orders.TrailingArmed(order_id, symbol, order.side, price, order.stop_price)
            return
        yield orders.OrderSubmitted(order_id, symbol, order.order_type, order.quantity, order.price, price)
        yield orders.OrderAccepted(order_id, symbol, VenueOrderId("v1"))
        if order.order_type == "limit":
            return
        self._trades += 1
        fee = Decimal("0.05") * order.quantity
        yield orders.OrderFilled(
            order_id, symbol, order.side, TradeId(str(self._trades)), order.quantity, price, fee, "USDT",
            order.quantity, True, False, True,
        )
        if order.side == "buy":
            yield ledger.PositionOpened(symbol, order.quantity, price, order_id)
        else:
            yield ledger.PositionClosed(
                symbol, order.quantity, price, price, -fee * 2, fee * 2, self._now - SECOND, self._now, order_id
            )

    def _state(self) -> Any:
        order = ("HALTED", "REDUCING", "ACTIVE")
        return min((state for state, _ in self._votes.values()), key=order.index)

    def _vote_rows(self) -> tuple[tuple[str, str, str], ...]:
        return tuple((voter, *vote) for voter, vote in self._votes.items())

    def status(self) -> DaemonStatus:
        return DaemonStatus(
            pid=4242, session="s1", started_ns=START, uptime_s=12.5, is_ready=self.is_ready,
            not_ready_reason="" if self.is_ready else "the venue is being reconciled", is_replay=False,
            feeds=(FeedStatus("practice", "connected", 100, 0, 0, 0.1),), feed_age_s=0.1,
            bus=BusStatus("memory://", True, 10), problems=(Problem("the moon is full", START),),
            agents=(AgentReport("ceo", "running", "watching", "all well", 1, 3, started_ns=START),),
        )

    def prices(self) -> dict[str, tuple[Decimal | None, Decimal | None, Decimal | None]]:
        return dict(self.touch)

    def alpha_weights(self) -> dict[str, float]:
        ready = {each.name: 0.5 for each in self.plugins if each.state == "ready"}
        return {"momentum": 1.0, "structure": 0.0} | ready | self.read_model.alphas.chosen_weights()

    def released_weight(self, alpha: str, by: str) -> council.WeightChanged:
        configured = {"momentum": 1.0}.get(alpha, 0.0)
        return council.WeightChanged(alpha, configured, by, "released", is_pinned=False)

    def plugin_reports(self) -> Sequence[PluginReport]:
        return tuple(self.plugins)

    def inspected(self) -> dict[str, Inspected]:
        timing = Timing()
        timing.add(0.001)
        return {"agent:analyst": Inspected(timing, [1, 2, 3]), "alpha:momentum": Inspected(timing, {})}

    def switch_mode(self, mode: str, *, confirm: str, by: str) -> None:
        held = list(self.read_model.results.holdings)
        problem = why_not(mode, configured="paper", is_replay=False, working=[], held=held)  # type: ignore[arg-type]
        if problem is not None:
            raise ControlConflictError(*problem)
        self.shutdown_reason = f"{mode} by {by}"

    def next_manual_order_id(self) -> ClientOrderId:
        self._manual += 1
        return ClientOrderId(f"td-m{self._manual}")

    def request_shutdown(self, reason: str) -> None:
        self.shutdown_reason = reason


@contextmanager
def served(daemon: SmallDaemon, auth: Auth) -> Iterator[str]:
    """The API of `daemon` on a free port, in a loop of its own; gives its URL."""
    app = create_app(daemon, auth)
    urls: list[str] = []
    bound = threading.Event()
    handles: dict[str, Any] = {}

    async def main() -> None:
        stop = handles["stop"] = asyncio.Event()
        handles["loop"] = asyncio.get_running_loop()
        server = await serve_api(app, "127.0.0.1", 0)
        urls.append(server.url)
        bound.set()
        await stop.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert bound.wait(10)
    try:
        yield urls[0]
    finally:
        handles["loop"].call_soon_threadsafe(handles["stop"].set)
        thread.join(10)
        assert not thread.is_alive()


def settings_in(data_dir: Path) -> Settings:
    return Settings(data_dir=data_dir)
