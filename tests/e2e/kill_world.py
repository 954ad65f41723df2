"""A practice exchange that outlives the daemons, daemons that die at chosen points, and the comparison of the books.

The exchange's own word, asked past the product over its REST interface, is the truth. `Life.survive(point)` brings the
running daemon to the point, waits for its death, starts it again and returns what is wrong once it has settled.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

from bus.ids import CLIENT_ID_PREFIX
from bus.messages.ledger import FundsChanged
from bus.messages.orders import OrderFilled, OrderInitialized, OrderSubmitted
from tests.e2e.process import NOT_YET, ROOT, Process, clean_environment, journal_of, until
from tradingd.client import AnswerError, NotReachableError

SOL, XRP, DOGE = "SOL/USDT", "XRP/USDT", "DOGE/USDT"
SYMBOLS: Final = (SOL, XRP, DOGE)
STEPS: Final = {SOL: Decimal("0.001"), XRP: Decimal("0.1"), DOGE: Decimal(1)}
ADDRESSES: Final = ("rest_url", "ws_url", "ws_api_url")
ZERO: Final = Decimal(0)
SETTLED_WITHIN_S: Final = 40.0
DEAD_WITHIN_S: Final = 90.0

SETTINGS: Final = {
    "TRADINGD__MODE": "live", "TRADINGD__COUNCIL__THRESHOLD": "1", "TRADINGD__CANDLES__WARMUP": "0",
    "TRADINGD__SYMBOLS": ",".join(SYMBOLS), "TRADINGD__TAPE__ENABLED": "false",
    # What is tried here is dying, not the limits.
    "TRADINGD__RISK__EXPOSURE_PER_ASSET": "1", "TRADINGD__RISK__EXPOSURE_TOTAL": "1",
    "TRADINGD__RISK__MAX_ORDER_NOTIONAL": "1", "TRADINGD__RISK__NOTIONAL_PER_MINUTE": "50",
    "TRADINGD__RISK__MAX_POSITIONS": "10", "TRADINGD__RISK__COLLAR": "0.3", "TRADINGD__RISK__RUNAWAY_LOSS": "1",
    "TRADINGD__RISK__DUPLICATE_WINDOW_S": "0",
}


class DyingProcess(Process):
    """The daemon under `tests.e2e.dying_daemon`."""

    module = "tests.e2e.dying_daemon"


class PracticeExchange:
    """`python -m exchanges.practice`, asked directly."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._errors = (data_dir / "errors.txt").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "exchanges.practice", "--data-dir", str(data_dir), "--symbols", ",".join(SYMBOLS),
             "--capital", "1000000", "--volatility", "0.2"],
            cwd=ROOT, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._errors,
        )
        assert self._process.stdout is not None
        self.urls: dict[str, str] = json.loads(self._process.stdout.readline())

    def ask(self, path: str, **parameters: Any) -> Any:
        signed = {**parameters, "timestamp": time.time_ns() // 1_000_000, "signature": "any"}
        with urlopen(f"{self.urls['rest_url']}{path}?{urlencode(signed)}", timeout=10) as answer:
            return json.load(answer)

    def price(self, symbol: str) -> Decimal:
        with urlopen(f"{self.urls['rest_url']}/api/v3/ticker/price?symbol={wire(symbol)}", timeout=10) as answer:
            return Decimal(json.load(answer)["price"])

    def balances(self) -> dict[str, Decimal]:
        rows = self.ask("/api/v3/account")["balances"]
        return {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in rows}

    def orders(self) -> list[dict[str, Any]]:
        """All there ever were, in order."""
        return [row for s in SYMBOLS for row in self.ask("/api/v3/allOrders", symbol=wire(s), limit=1000)]

    def open_orders(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("/api/v3/openOrders")
        return found

    def trades(self) -> list[dict[str, Any]]:
        return [row for s in SYMBOLS for row in self.ask("/api/v3/myTrades", symbol=wire(s), limit=1000)]

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


def wire(symbol: str) -> str:
    return symbol.replace("/", "")


def plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


@dataclass(frozen=True)
class Point:
    """Where to die, what brings the daemon there, and what may have become of it.

    `at_start`: the point is met by the next start; `what` then leaves work for it behind. `at_most`: so many new buy
    orders may the exchange have seen in the end.
    """

    name: str
    what: "Callable[[Life], None]"
    at_most: int
    at_start: bool = False
    is_kill: bool = False


@dataclass(frozen=True)
class Survived:
    """`recovery_s`: from the start of the process to books that agree."""

    point: str
    problems: tuple[str, ...]
    recovery_s: float


class Life:
    """One account and its daemons, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plan = folder / "plan"
        self.exchange = PracticeExchange(folder / "exchange")
        urls = self.exchange.urls
        self._venue = {f"TRADINGD__VENUES__PRACTICE__{key.upper()}": urls[key] for key in ADDRESSES}
        self.daemon = self._start()
        try:
            self.daemon.ready()
            self.buy(SOL, "2")
            problems = self.until_settled()
            assert not problems, f"before any death: {problems}"
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.daemon.kill()
        self.exchange.end()

    def _start(self) -> DyingProcess:
        return DyingProcess(
            self._folder / "data", "--no-safe", env={**SETTINGS, **self._venue, "KILL_PLAN": str(self._plan)}
        )

    # ---- acts --------------------------------------------------------------------------------------------

    def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        """Taken by the daemon; tried anew while it has heard no price yet."""

        def look() -> dict[str, Any] | None:
            try:
                answer: dict[str, Any] = self.daemon.client.post("/api/orders", body)
            except AnswerError as error:
                if error.code in NOT_YET:
                    return None
                raise
            return answer

        return until(look, f"an order that is taken: {body}", 15)

    def buy(self, symbol: str, quantity: str) -> dict[str, Any]:
        return self.submit({"symbol": symbol, "side": "buy", "type": "market", "quantity": quantity,
                            "protection": {"stop_percent": "8"}})

    def rest(self, symbol: str, quantity: str) -> dict[str, Any]:
        """A limit buy far below the market, once the venue has it."""
        price = self.exchange.price(symbol) * Decimal("0.9")
        order = self.submit({"symbol": symbol, "side": "buy", "type": "limit", "quantity": quantity,
                             "price": plain(price.quantize(Decimal("0.0001" if symbol == XRP else "0.01")))})
        until(lambda: self.daemon.order(order["id"])["detail"] == "accepted", "an accepted order", 10)
        return order

    def cancel_all(self) -> None:
        for order in self.daemon.orders(state="SUBMITTED"):
            if order["side"] == "buy":
                with suppress(AnswerError):
                    self.daemon.client.delete(f"/api/orders/{order['id']}")

    @staticmethod
    def tolerant(act: Callable[[], object]) -> None:
        """The daemon may die while it is asked."""
        with suppress(NotReachableError, ConnectionError):
            act()

    # ---- dying -------------------------------------------------------------------------------------------

    def survive(self, point: Point) -> Survived:
        """Die there, start again, settle, compare."""
        buys_before = self._buys()
        if not point.at_start:
            self._plan.write_text(point.name)
        self.tolerant(lambda: point.what(self))
        if point.at_start:
            self.daemon.kill()
            self._plan.write_text(point.name)
            self.daemon = self._start()
        how = self._end_of_the_daemon()
        if how:
            return Survived(point.name, (how,), 0.0)
        begin = time.monotonic()
        self.daemon = self._start()
        self.daemon.ready()
        problems = self.until_settled()
        recovery_s = time.monotonic() - begin
        new = self._buys() - buys_before
        if len(new) > point.at_most:
            problems.append(f"{len(new)} buys are new at the exchange, {point.at_most} may be: {sorted(new)}")
        problems += self._lasting_problems()
        if point.is_kill:
            problems += self._problems_of_the_kill()
        self._tidy()
        return Survived(point.name, tuple(problems), recovery_s)

    def _end_of_the_daemon(self) -> str:
        """Wait for it; what was wrong with it."""
        try:
            code = self.daemon.wait(DEAD_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._plan.unlink(missing_ok=True)
            return "the point was never met"
        return "" if code == -9 else f"it ended with {code}: {self.daemon.err[-500:]}"

    def _tidy(self) -> None:
        """Nothing resting but stops, and something held, for the next death."""
        if self.daemon.status()["kill"] is not None:
            self.daemon.client.post("/api/trading/unlock", {"reason": "goes on", "confirm": "unlock"})
        self.cancel_all()
        if not self.daemon.positions():
            self.buy(SOL, "2")
        self.until_settled()

    def _buys(self) -> set[str]:
        return {row["clientOrderId"] for row in self.exchange.orders() if row["side"] == "BUY"}

    # ---- comparing ---------------------------------------------------------------------------------------

    def until_settled(self) -> list[str]:
        """Wait until nothing is left to complain of; what still is when the time is over."""
        deadline = time.monotonic() + SETTLED_WITHIN_S
        while True:
            problems = self._problems_of_the_moment()
            if not problems or time.monotonic() > deadline:
                return problems
            time.sleep(0.1)

    def _problems_of_the_moment(self) -> list[str]:
        working = {order["id"]: order for order in self.daemon.orders(state="SUBMITTED")}
        working |= {order["id"]: order for order in self.daemon.orders(state="PARTIAL")}
        unsure = sorted(each["id"] for each in working.values() if each["detail"] != "accepted")
        unsure += sorted(each["id"] for each in self.daemon.orders(state="PENDING") if each["detail"] != "armed")
        if unsure:
            return [f"nobody knows yet what became of {unsure}"]
        status = self.daemon.status()
        waiting = [problem["text"] for problem in status["problems"] if "kill switch" not in problem["text"]]
        there = {row["clientOrderId"]: Decimal(row["origQty"]) - Decimal(row["executedQty"])
                 for row in self.exchange.open_orders()}
        ours = {each["id"]: Decimal(each["quantity"]) - Decimal(each["filled"]) for each in working.values()}
        problems = [f"not ready: {waiting}"] if waiting else []
        if there != ours:
            problems.append(f"open orders: ours {ours}, the exchange's {there}")
        problems += self._problems_of_money()
        if status["kill"] is None:
            problems += self._problems_of_protection()
        elif status["kill"]["action"] == "flatten" and (there or self.daemon.positions()):
            problems.append(f"not flat: {there} {self.daemon.positions()}")
        return problems

    def _problems_of_money(self) -> list[str]:
        """What the journal adds up to, what the daemon says it holds, and what the account holds, are the same."""
        balances = self.exchange.balances()
        theirs = {asset: amount for asset, amount in balances.items() if amount}
        ours: dict[str, Decimal] = {}
        for body in (message.body for message in journal_of(self._folder / "data")):
            if isinstance(body, FundsChanged):
                _add(ours, body.asset, body.delta)
            elif isinstance(body, OrderFilled):
                sign = 1 if body.side == "buy" else -1
                _add(ours, body.symbol.partition("/")[0], sign * body.quantity)
                _add(ours, "USDT", -sign * body.quantity * body.price)
                _add(ours, body.fee_asset, -body.fee)
        ours = {asset: amount for asset, amount in ours.items() if amount}
        problems = [] if ours == theirs else [f"balances: ours {ours}, the exchange's {theirs}"]
        for symbol in SYMBOLS:
            there = balances.get(symbol.partition("/")[0], ZERO)
            row = self.daemon.positions().get(symbol)
            held = Decimal(row["quantity"]) if row else ZERO
            if held != there and (row or there >= STEPS[symbol]):
                problems.append(f"{symbol}: we hold {held}, the exchange {there}")
        return problems

    def _problems_of_protection(self) -> list[str]:
        """Each position has exactly one stop at the venue, and it covers all that can be sold."""
        problems = []
        for symbol, row in self.daemon.positions().items():
            stops = [order for order in self.exchange.open_orders()
                     if order["symbol"] == wire(symbol) and order["side"] == "SELL"]
            covered = sum((Decimal(order["origQty"]) for order in stops), ZERO)
            lacking = Decimal(row["quantity"]) - covered
            if len(stops) != 1 or not ZERO <= lacking <= Decimal(row["quantity"]) / 100 + STEPS[symbol]:
                problems.append(f"{symbol}: {row['quantity']} held, stops {[o['origQty'] for o in stops]}")
        return problems

    def _lasting_problems(self) -> list[str]:
        """What no time can mend."""
        journal = journal_of(self._folder / "data")
        born = [m.body.order.client_order_id for m in journal if isinstance(m.body, OrderInitialized)]
        sent = {m.body.client_order_id for m in journal if isinstance(m.body, OrderSubmitted)}
        fills = [(m.body.symbol, m.body.trade_id, m.body.quantity, m.body.price)
                 for m in journal if isinstance(m.body, OrderFilled)]
        there = [row["clientOrderId"] for row in self.exchange.orders()
                 if row["clientOrderId"].startswith(CLIENT_ID_PREFIX)]
        trades = {(symbol, row["id"]) for symbol in SYMBOLS for row in self.exchange.trades()
                  if row["symbol"] == wire(symbol)}
        corrections = [m.body for m in journal if isinstance(m.body, FundsChanged) and "initial" not in m.body.reason]
        problems = []
        if len(born) != len(set(born)):
            problems.append("an id was given twice")
        if len(there) != len(set(there)):
            problems.append("duplicate: the exchange has two orders of one id")
        if set(there) - sent:
            problems.append(f"orphans: sent but not journalled as sent: {sorted(set(there) - sent)}")
        if len({fill[:2] for fill in fills}) != len(fills) or {(s, int(i)) for s, i, _, _ in fills} != trades:
            problems.append("the fills in the journal are not those of the exchange, each once")
        if corrections:
            problems.append(f"money was corrected instead of accounted for: {corrections}")
        return problems

    def _problems_of_the_kill(self) -> list[str]:
        """Latched, and nothing but sales after the latch."""
        status = self.daemon.status()
        if status["kill"] is None or status["state"] != "HALTED":
            return ["the kill switch did not outlive the death"]
        latched = status["kill"].get("since", "")
        late = [order["id"] for order in self.daemon.orders() if order["side"] == "buy" and order["created"] > latched]
        return [f"bought after the latch: {late}"] if late else []


def _add(amounts: dict[str, Decimal], asset: str, amount: Decimal) -> None:
    amounts[asset] = amounts.get(asset, ZERO) + amount


# ---- the points ------------------------------------------------------------------------------------------


def _enter(life: Life) -> None:
    life.buy(SOL, "0.5")


def _enter_in_parts(life: Life) -> None:
    """Through several levels of the book, so that it is executed in parts."""
    price = life.exchange.price(SOL) * Decimal("1.02")
    life.submit({"symbol": SOL, "side": "buy", "type": "limit", "quantity": "400", "protection": {"stop_percent": "8"},
                 "price": plain(price.quantize(Decimal("0.01")))})


def _replace(life: Life) -> None:
    order = life.rest(XRP, "100")
    life.daemon.client.call("PATCH", f"/api/orders/{order['id']}", {"quantity": "120"})


def _grow(life: Life) -> None:
    """By so much that the stop at the venue is moved."""
    held = Decimal(life.daemon.positions()[SOL]["quantity"])
    life.buy(SOL, plain((held / 5).quantize(STEPS[SOL])))


def _enter_and_be_killed(life: Life) -> None:
    life.rest(XRP, "100")
    life.buy(DOGE, "500")


def _flatten(life: Life) -> None:
    life.rest(XRP, "100")
    life.daemon.client.post("/api/trading/kill", {"action": "flatten", "reason": "a test"})


ENTRY: Final = (
    Point("before the journal", _enter, 0),
    Point("after the journal", _enter, 0),
    Point("before the send", _enter, 0),
    Point("after the send", _enter, 1),
    Point("answered, not read", _enter, 1),
    Point("answered, not journalled", _enter, 1),
    Point("answered and journalled", _enter, 1),
)
CHANGE: Final = (
    Point("half of it is sent", _enter, 0),
    Point("the replacement is journalled, its cancel not sent", _replace, 2),
    Point("the venue has ended the old order", _replace, 2),
    Point("the replacement is due, not journalled", _replace, 2),
    Point("the replacement is due and journalled, not sent", _replace, 1),
    Point("the old stop is taken back", _grow, 1),
    Point("before the new stop is journalled", _grow, 1),
    Point("the new stop is journalled, not sent", _grow, 1),
    Point("the new stop is sent", _grow, 1),
    Point("a part executed, not journalled", _enter_in_parts, 1),
    Point("a part executed and journalled", _enter_in_parts, 1),
)
REST: Final = (
    Point("restored, nothing asked yet", _enter_and_be_killed, 2, at_start=True),
    Point("the first word in a reconciliation, not journalled", _enter_and_be_killed, 2, at_start=True),
    Point("the balances are known in a reconciliation", _enter_and_be_killed, 2, at_start=True),
    Point("the latch is journalled", _flatten, 1, is_kill=True),
    Point("the venue has ended an order for the kill switch", _flatten, 1, is_kill=True),
    Point("a sale of the kill switch is sent", _flatten, 1, is_kill=True),
    Point("a sale of the kill switch executed, not journalled", _flatten, 1, is_kill=True),
)
CHAINS: Final = (ENTRY, CHANGE, REST)
"""One account each: they may be lived through at the same time."""

FULL_MATRIX_ONLY: Final = frozenset({
    # An order of which the exchange knows nothing is held for lost after ten seconds only: one of these is enough.
    "before the send", "half of it is sent", "the replacement is due and journalled, not sent",
    "the new stop is journalled, not sent",
    # Close to another point.
    "answered and journalled", "before the new stop is journalled", "the replacement is due, not journalled",
    "the venue has ended an order for the kill switch",
})
"""Left out of the test suite."""


def live_through(folder: Path, points: Sequence[Point], tell: Callable[[Survived], None]) -> None:
    """One life, dying at each of the points; `tell` hears how each ended. What cannot go on is a problem of its point.

    After a problem a new life begins, so that one does not hide the next.
    """
    life: Life | None = None
    try:
        for number, point in enumerate(points):
            try:
                life = life or Life(folder / str(number))
                survived = life.survive(point)
            except Exception as error:  # noqa: BLE001 - told with its point, whatever it is
                survived = Survived(point.name, (f"{type(error).__name__}: {error}",), 0.0)
            tell(survived)
            if survived.problems and life is not None:
                life.close()
                life = None
    finally:
        if life is not None:
            life.close()
