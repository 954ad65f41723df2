"""The daemon on a stranger that misbehaves: `python -m tests.strangers.campaign --venue coinbase --rounds 3`
(`make strangers`).

Each step does one wrong, lets the daemon trade into it, ends it, and asks that both books become the same in time and
that what is held is protected. With `--kills` the daemon is killed (-9) in some of the steps and started again.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from decimal import Decimal
from pathlib import Path
from random import Random

from tests.e2e.process import NOT_YET, Process, until
from tests.strangers.binance import Binance
from tests.strangers.market import Market, Order, now_ms
from tests.strangers.sessions import Stranger, running_there, strange_binance, strange_coinbase
from tests.strangers.truth import agree, protected
from tradingd.client import AnswerError

STRIKES = ("lost_ack", "timeout_before", "timeout_after", "rate_limit", "http_502_html", "http_500_empty", "cut_before",
           "504_after", "half_answer", "partial", "fill_lost", "stop_refused", "lookup_500")
"""Faults of one request."""
CANCELS = ("cancel_lost", "cancel_race", "cancel_rate_limit")
TICKS = ("gap", "crossed", "bad_tick", "spike", "nan", "zero", "malformed")
LASTS = {"not_found_early": 3.0, "late_answers": 3.0, "maintenance": 3.0, "slow": 4.0, "user_mute": 4.0,
         "user_down": 3.0, "double_reports": 2.0, "stream_down": 4.0, "mute": 7.0, "double_ticks": 1.0,
         "rest_dead": 4.0, "quiet": 4.0, "bad_key": 4.0}
"""Faults that last, and for how many seconds."""
OTHERS = ("skew", "ban", "close", "overfill", "stop_jumped", "taken_by_hand", "foreign_order", "deposit", "halt",
          "stall")
ALL = (*STRIKES, *CANCELS, *TICKS, *LASTS, *OTHERS)
SIZES = {"SOL": Decimal("0.3"), "DOGE": Decimal(200), "BTC": Decimal("0.0006")}
PROTECTED_S = 5.0
STALL_S = 3.0
TRIES = 4
"""So often something is done that a fault of one request could befall."""


class Campaign:
    """One daemon on one stranger; `step` after `step`."""

    def __init__(self, stranger: Stranger, daemon: Process, seed: int, number: int = 0) -> None:
        self.stranger, self.daemon = stranger, daemon
        self.random = Random(seed + number)
        self.number = number
        self.patience_s = 20
        """So long an order is asked for that only the moment forbids."""

    @property
    def markets(self) -> list[Market]:
        return self.stranger.exchange.markets

    def do(self, work: Callable[[], object]) -> None:
        """In the stranger's own loop."""
        self.stranger.served.do(work)

    def begin(self) -> None:
        """Something is held of everything."""
        for market in self.markets:
            self.daemon.buy(_symbol(market), str(SIZES[market.base] * 2))
        self.settled(30)

    def settled(self, seconds: float = 30.0) -> None:
        """Both books are the same, and what is held is protected."""
        agree(self.daemon, self.stranger.exchange, seconds)
        try:
            until(lambda: not self._bare(), "protected positions", PROTECTED_S)
        except AssertionError as error:
            bare = self._bare()
            keys = ("id", "state", "detail", "reason", "quantity")
            sales = [row for row in self.daemon.orders() if row["side"] == "sell" and row["symbol"] in bare]
            exits = [{key: row[key] for key in keys} for row in sales]
            problems = [each["text"] for each in self.daemon.status()["problems"]]
            raise AssertionError(f"{error}: {bare} bare, {problems}, {exits[:4]}") from None

    def _bare(self) -> list[str]:
        """Held, and nothing that rests there would sell all of it."""
        symbols = [_symbol(market) for market in self.markets]
        return [each for each in symbols if not protected(self.daemon, self.stranger.exchange, each)]

    def step(self, names: str) -> float:
        """One wrong, or several ("ban+mute"), to their end. Seconds from then until both books were the same."""
        began = time.monotonic()
        struck = Counter(self.stranger.door.faults.struck)
        lasts = self.begin_step(names)
        time.sleep(max(0.0, lasts - (time.monotonic() - began)))
        for name in names.split("+"):
            if not self._has_struck(name, struck):
                sys.stdout.write(f"    {name} found no occasion\n")
        self.end_step()
        ended = time.monotonic()
        self.settled()
        return time.monotonic() - ended

    def _has_struck(self, name: str, struck: Mapping[str, int]) -> bool:
        """Whether it did; one that befalls a single request is offered some more."""
        faults, market = self.stranger.door.faults, self.markets[self.number % len(self.markets)]
        for _ in range(TRIES):
            if name in OTHERS or faults.struck.get(name, 0) > struck[name]:
                return True
            if name not in LASTS:
                self._trade(name, market)
                time.sleep(2.0)
        return False

    def begin_step(self, names: str) -> float:
        """The wrongs begin, and the daemon trades into them; for how many seconds they last."""
        self.number += 1
        market = self.markets[self.number % len(self.markets)]
        lasts = max(self._begin(name, market) for name in names.split("+"))
        self._trade(names.partition("+")[0], market)
        return lasts

    def end_step(self) -> None:
        """What did not find its occasion is over, too."""
        for market in self.markets:
            market.status = "TRADING"
        self.do(self.stranger.door.faults.left.clear)
        self.stranger.exchange.overfill = False

    def _begin(self, name: str, market: Market) -> float:
        door, exchange = self.stranger.door, self.stranger.exchange
        if name in LASTS:
            self.do(lambda: door.faults.last(name, LASTS[name]))
            if name.endswith("_down"):
                self.stranger.served.wait_for(self.stranger.streams.close_all())
            return LASTS[name]
        if name in STRIKES or name in CANCELS or name in TICKS:
            self.do(lambda: door.faults.arm(name))
            return 1.5
        if name == "skew":
            self._skew(7.0 if self.number % 2 else -7.0)
        elif name == "ban":
            if isinstance(door, Binance):
                door.banned_until_ms = now_ms() + 3000
            self.do(lambda: door.faults.last("ban", 3.0))
            return 3.0
        elif name == "close":
            self.stranger.served.wait_for(self.stranger.streams.close_all())
        elif name == "overfill":
            exchange.overfill = True
        elif name == "halt":
            market.status = "HALTED"
            return 2.0
        return 0.3

    def _skew(self, seconds: float) -> None:
        door = self.stranger.door
        if isinstance(door, Binance):
            door.clock_ahead_ms += int(seconds * 1000)
        else:
            door.clock_ahead_s += seconds

    def _trade(self, name: str, market: Market) -> None:
        if name in CANCELS:
            self._limit(market, Decimal("0.98"), is_cancelled=True)
        elif name == "stop_jumped":
            self._jump(market)
        elif name == "stall":
            self._market_order(market)
            with self.daemon.standing_still(STALL_S):
                pass
        elif name == "taken_by_hand":
            self._take_by_hand(market)
        elif name == "foreign_order":
            self.do(lambda: self.stranger.exchange.place(self._foreign(market)))
        elif name == "deposit":
            self.do(lambda: self.stranger.exchange.account.add(market.quote, Decimal(7)))
        elif self.number // len(self.markets) % 3 == 2:
            self._close(market)
        elif self.random.random() < 0.25:
            self._limit(market, Decimal(1), is_cancelled=False)
        else:
            self._market_order(market)

    def give_an_order(self, market: Market, kind: str) -> None:
        """At market, "near" it at a limit, one that is "cancelled" at once, or the "close" of the position."""
        if kind == "close":
            self._close(market)
        elif kind == "market":
            self._market_order(market)
        else:
            ratio = Decimal("0.98") if kind == "cancelled" else Decimal(1)
            self._limit(market, ratio, is_cancelled=kind == "cancelled")

    def _market_order(self, market: Market) -> None:
        quantity = SIZES[market.base] + market.step * self.random.randrange(1, 40)
        self._send({"symbol": _symbol(market), "side": "buy", "type": "market", "quantity": str(quantity)})

    def _limit(self, market: Market, ratio: Decimal, *, is_cancelled: bool) -> None:
        price = (market.best_bid * ratio // market.tick) * market.tick
        quantity = SIZES[market.base] + market.step * self.random.randrange(1, 40)
        order_id = self._send({"symbol": _symbol(market), "side": "buy", "type": "limit", "quantity": str(quantity),
                               "price": str(price)})
        if order_id and is_cancelled:
            with suppress(AnswerError):  # it may have ended by itself
                self.daemon.client.delete(f"/api/orders/{order_id}")

    def _close(self, market: Market) -> None:
        try:
            self.daemon.client.post("/api/positions/close", {"symbol": _symbol(market)})
        except AnswerError as error:
            sys.stdout.write(f"    not closed: {error}\n")

    def _send(self, body: dict[str, str]) -> str:
        """Its id; "" when a rule denied it. What a moment forbids is asked for again."""
        for _ in range(self.patience_s):
            try:
                return str(self.daemon.client.post("/api/orders", body)["id"])
            except AnswerError as error:
                if error.code not in NOT_YET:
                    sys.stdout.write(f"    denied: {error.code} {error}\n")
                    return ""
            time.sleep(1.0)
        if self.patience_s > 1:
            sys.stdout.write(f"    never taken: {body}\n")
        return ""

    def _jump(self, market: Market) -> None:
        """The price falls through a stop and its limit at once."""
        market.middle = (market.middle * Decimal("0.93") // market.tick) * market.tick

    def _take_by_hand(self, market: Market) -> None:
        """A person cancels the resting orders of a market at the exchange."""
        exchange = self.stranger.exchange

        def cancel() -> None:
            for order in exchange.orders:
                if order.market is market and order.is_working:
                    order.wire.setdefault("cancelled_by", "web_1234")
                    exchange.cancel(order)

        self.do(cancel)

    def _foreign(self, market: Market) -> Order:
        price = (market.middle * Decimal("0.9") // market.tick) * market.tick
        quantity = (Decimal(20) / price // market.step) * market.step
        wire = {
            "type": "LIMIT", "product_id": f"{market.base}-{market.quote}", "kind": "limit_limit_gtc",
            "order_configuration": {"limit_limit_gtc": {"base_size": str(quantity), "limit_price": str(price)}},
        }
        return Order(0, f"web_{self.number}", market, True, "LIMIT", quantity, price, wire=dict(wire))


def _symbol(market: Market) -> str:
    return f"{market.base}/{market.quote}"


def session(stranger: Stranger, folder: Path, names: Sequence[str], seed: int, *, kills: bool) -> list[str]:
    """What went wrong, in words."""
    failed: list[str] = []
    random = Random(seed)
    left = list(names)
    while left:
        with running_there(stranger, folder / "data", TRADINGD__RISK__MAX_POSITIONS="5") as daemon:
            campaign = Campaign(stranger, daemon, seed, number=len(names) - len(left))
            try:
                campaign.begin() if len(left) == len(names) else campaign.settled()
            except AssertionError as error:
                failed.append(f"after a start: {error}")
                sys.stdout.write(f"  after a start FAILED: {error}\n")
            while left:
                name = left.pop(0)
                is_killed = kills and random.random() < 0.3
                if is_killed:
                    sys.stdout.write(f"  {name}, killed\n")
                    campaign.begin_step(name)
                    time.sleep(random.random())
                    daemon.kill()
                    campaign.end_step()
                    break
                try:
                    took = campaign.step(name)
                    sys.stdout.write(f"  {name}: {took:.1f} s\n")
                except AssertionError as error:
                    failed.append(f"{name}: {error}")
                    sys.stdout.write(f"  {name} FAILED: {error}\n")
                sys.stdout.flush()
    return failed


def drawn(random: Random) -> list[str]:
    """Forty wrongs, some of them together with another that lasts."""
    firsts = random.choices(ALL, k=40)
    return [f"{each}+{random.choice(list(LASTS))}" if random.random() < 0.4 else each for each in firsts]


def main() -> int:
    """Exit code 1 when anything differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venue", choices=("binance", "coinbase"), default="binance")
    parser.add_argument("--rounds", type=int, default=1, help="the first goes through all faults, the others draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--drawn", action="store_true", help="the first round draws, too")
    parser.add_argument("--kills", action="store_true", help="kill the daemon in some of the steps")
    parser.add_argument("--keep", help="leave the daemon's story and journal in this folder")
    parser.add_argument("names", nargs="*", help="only these faults, in this order")
    given = parser.parse_args()
    failed: list[str] = []
    for number in range(given.rounds):
        seed = given.seed + number
        names = given.names or (list(ALL) if number == 0 and not given.drawn else drawn(Random(seed)))
        sys.stdout.write(f"{given.venue}, seed {seed}\n")
        opened: AbstractContextManager[Stranger] = (
            strange_binance() if given.venue == "binance" else strange_coinbase()
        )
        with tempfile.TemporaryDirectory() as folder, opened as stranger:
            failed += session(stranger, Path(given.keep or folder) / str(seed), names, seed, kills=given.kills)
    sys.stdout.write(f"{len(failed)} failed\n" + "".join(f"  {each}\n" for each in failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
