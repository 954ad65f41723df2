"""`python -m exchanges.practice`: run a practice exchange, print where it answers as one JSON line."""

import argparse
import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from exchanges.practice.config import DEFAULT_SYMBOLS, PracticeConfig, PracticeError, PracticeUrls
from exchanges.practice.fault_script import FaultError, read_script
from exchanges.practice.server import serve

_BAD_INPUT: Final = 2
_PR_SET_PDEATHSIG: Final = 1


def parse_arguments(arguments: Sequence[str] | None = None) -> tuple[PracticeConfig, bool]:
    """The configuration, and whether it ends with its parent; exits 2 with the reason on a bad option."""
    parser = argparse.ArgumentParser(
        prog="tradingd practice",
        description="Runs a practice exchange, and prints where it answers as one line of JSON.",
    )
    parser.add_argument(
        "--data-dir", type=Path, default=Path(os.environ.get("TRADINGD__DATA_DIR", "data")),
        help="state goes to DIR/practice (default: TRADINGD__DATA_DIR, else ./data)",
    )
    parser.add_argument("--seed", type=int, default=7, help="of the synthetic price path")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--symbols", nargs="+", default=list(DEFAULT_SYMBOLS), metavar="BASE/QUOTE")
    parser.add_argument("--replay", nargs="+", type=Path, default=[], metavar="FILE", help="recordings or folders")
    parser.add_argument("--speed", type=float, default=1.0, help="of a replay; 0 = as fast as the client reads")
    parser.add_argument("--volatility", type=float, default=1.0, help="of the synthetic market; 1 is lively")
    parser.add_argument("--not-before-ns", type=int, default=0, help="earliest start of the shifted recording")
    parser.add_argument("--shift-days", type=int, help="move the recording by so many days (default: to this week)")
    parser.add_argument("--fast-until-ns", type=int, default=0, help="as fast as the client reads up to this time")
    parser.add_argument("--capital", type=_money, default=Decimal(10_000), help="of each quote currency at first")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="what goes wrong: docs/practice.md")
    parser.add_argument(
        "--check-coinbase-key", action="store_true", help="Coinbase's door takes only DIR/practice/coinbase-key.json"
    )
    parser.add_argument("--child", action="store_true", help="end when the parent does")
    given = parser.parse_args(arguments)
    if not 0 <= given.port <= 65_535:
        parser.error("--port: choose 0 (a free one) to 65535")
    if given.seed < 0:
        parser.error("--seed: choose 0 or more")
    if not 0 <= given.speed <= 1e6:
        parser.error("--speed: choose 0 (as fast as the client reads) or a factor such as 10")
    if not 0 < given.volatility <= 100:
        parser.error("--volatility: choose a factor above 0 and up to 100")
    try:
        faults = read_script(given.faults) if given.faults is not None else ()
    except FaultError as error:
        parser.exit(_BAD_INPUT, f"practice exchange: --faults: {error}\n")
    symbols = tuple(dict.fromkeys(part for text in given.symbols for part in text.split(",") if part))
    config = PracticeConfig(
        data_dir=given.data_dir, seed=given.seed, port=given.port, symbols=symbols, replay=tuple(given.replay),
        speed=given.speed, volatility=given.volatility, not_before_ns=given.not_before_ns,
        shift_days=given.shift_days, fast_until_ns=given.fast_until_ns, capital=given.capital, faults=faults,
        checks_coinbase_key=given.check_coinbase_key,
    )
    return config, given.child


def _money(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount such as 10000") from error
    if not (value.is_finite() and 0 <= value <= 10**12):
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount from 0 to 1000000000000")
    return value


def _announce(urls: PracticeUrls) -> None:
    line = json.dumps(asdict(urls))
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _die_with_parent() -> None:
    """Ask Linux to end this process when its parent dies, even by kill -9."""
    if sys.platform == "linux":
        parent = os.getppid()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(0)  # it died before we could ask


async def _run(config: PracticeConfig, *, is_child: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if is_child:
        _watch_stdin(loop, stop)
    serving = asyncio.ensure_future(serve(config, _announce))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    descriptor = sys.stdin.fileno()

    def on_readable() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            stop.set()

    try:
        loop.add_reader(descriptor, on_readable)
    except PermissionError:
        stop.set()  # a regular file or /dev/null: there is no parent at the other end


def main() -> int:
    """Exit code 0 after a signal or the parent's end, 2 when it could not start as asked."""
    config, is_child = parse_arguments()
    if is_child:
        _die_with_parent()
    try:
        asyncio.run(_run(config, is_child=is_child))
    except PracticeError as error:
        sys.stderr.write(f"practice exchange: {error}\n")
        return _BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main())
