"""Live sessions under seeded sequences of faults: `python -m tests.e2e.fault_sessions --sessions 5` (make faults)."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from random import Random

from tests.e2e.practice_truth import PracticeTruth, agree, limit_order
from tests.e2e.process import NOT_YET, Process, running
from tradingd.client import AnswerError

SYMBOLS = ("SOL/USDT", "XRP/USDT", "DOGE/USDT")
PASSING = {"reorder": 1.0, "clock_skew": 2.0, "maintenance": 0.5, "slow": 2.5, "ban": 3.0, "user_mute": 3.0,
           "stream_down": 3.0, "not_found_early": 3.0}
"""Faults that last, and for how many seconds; the others strike once."""
PAUSES = {"rate_limit": 1.2}
"""Seconds for which one that strikes once is still felt."""
ONE_ORDER = frozenset({"lost_ack", "http_5xx", "rate_limit", "timeout_before", "timeout_after_accept"})
DRAWN = (*sorted(ONE_ORDER), *sorted(PASSING), "overfill", "partial", "fill_lost", "fill_duplicate", "stop_refused",
         "cancel_lost", "crash", "feed_down")
SIZES = {"SOL/USDT": Decimal("0.06"), "XRP/USDT": Decimal(6), "DOGE/USDT": Decimal(40)}
TRIES = 20


def trade_through(
    daemon: Process, truth: PracticeTruth, symbols: tuple[str, ...], faults: Iterable[str], first: int = 0
) -> None:
    """An order into each fault in turn, sides alternating; after each both books must agree."""
    for number, name in enumerate(faults, first):
        symbol = symbols[number % len(symbols)]
        lasts = PASSING.get(name, 0.0)
        truth.fault(name, "order" if name in ONE_ORDER else "", lasts)
        side = "buy" if number // len(symbols) % 2 == 0 else "sell"
        size = SIZES[symbol] * (2 + number % 5)
        held = daemon.positions().get(symbol)
        if side == "sell" and (held is None or Decimal(held["quantity"]) < size * 2):
            side = "buy"
        submit(daemon, symbol, side, size)
        time.sleep(lasts or PAUSES.get(name, 0.0))  # a fault takes its time; what follows is asked for after its end
        try:
            agree(daemon, truth, *symbols)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def submit(daemon: Process, symbol: str, side: str, size: Decimal) -> None:
    """Sent or denied; what a moment forbids is tried again."""
    body = {"symbol": symbol, "side": side, "type": "market", "quantity": str(size)}
    said = ""
    for _ in range(TRIES):
        try:
            daemon.client.post("/api/orders", body)
            return
        except AnswerError as error:
            if error.code not in NOT_YET:
                sys.stdout.write(f"  denied: {error}\n")
                return
            said = str(error)
        time.sleep(1.0)  # asking faster is what the runaway guard stops
    sys.stdout.write(f"  denied {TRIES} times: {side} {size} {symbol}: {said}\n")


def session(seed: int, folder: Path, faults: int) -> None:
    """One daemon, one exchange, so many faults drawn from the seed, and a resting order now and then."""
    random = Random(seed)
    truth = PracticeTruth()
    with running(folder / "data", "--seed", str(seed), env=truth.env) as daemon:
        for symbol in SYMBOLS:
            daemon.buy(symbol, str(SIZES[symbol] * 5))
        for number in range(faults):
            if random.random() < 0.3:
                symbol = random.choice(SYMBOLS)
                try:
                    limit_order(daemon, truth, symbol, str(SIZES[symbol]), random.choice(("0.999", "0.97")))
                except AnswerError as error:
                    sys.stdout.write(f"  denied: {error}\n")
            name = random.choice(DRAWN)
            beside = random.choice(("", "", "user_mute", "stream_down", "slow"))
            sys.stdout.write(f"  {name} {beside}\n")
            if beside:
                truth.fault(beside, "", 4.0)
            trade_through(daemon, truth, SYMBOLS, (name,), number)


def main() -> int:
    """Exit code 1 when a session's books differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--faults", type=int, default=20, help="in each session")
    parser.add_argument("--first", type=int, default=1, help="seed of the first session")
    given = parser.parse_args()
    failed = 0
    for seed in range(given.first, given.first + given.sessions):
        sys.stdout.write(f"session {seed}\n")
        with tempfile.TemporaryDirectory() as folder:
            try:
                session(seed, Path(folder), given.faults)
            except AssertionError as error:
                failed += 1
                sys.stdout.write(f"  FAILED: {error}\n")
    sys.stdout.write(f"{given.sessions} sessions, {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
