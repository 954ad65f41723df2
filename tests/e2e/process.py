"""The product as a process: started on a data directory, asked over HTTP, ended or killed."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from bus.messages.header import Message
from tradingd.auth import mint_token
from tradingd.client import AnswerError, Client, NotReachableError
from tradingd.data_dir import current_journal, read_run_info
from tradingd.message_journal import MessageJournal

ROOT = Path(__file__).resolve().parents[2]
READY_S = 90.0
NOT_YET = ("PRICE_UNKNOWN", "STALE_DATA", "TRADING_REDUCING", "FEED_SILENT")
"""Denials of the first moments, before the feed has spoken."""
T = TypeVar("T")


def until(look: Callable[[], T | None], what: str, seconds: float) -> T:
    """The first truthy value of `look`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without any setting of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRADINGD")}
    return {**kept, **(extra or {})}


def tradingd(
    *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """One command of the command line, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tradingd", *arguments], cwd=ROOT, env=clean_environment(env), timeout=timeout,
        capture_output=True, text=True, check=False,
    )


def is_alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def children_of(pid: int) -> list[int]:
    """Its direct children."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that ended meanwhile
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def journal_of(data_dir: Path) -> list[Message]:
    """Every journalled message, in order."""
    journal = MessageJournal.open(current_journal(data_dir), read_only=True)
    try:
        return list(journal.read())
    finally:
        journal.close()


@dataclass(frozen=True)
class TapeTrade:
    """One trade frame of the tape."""

    symbol: str
    number: int
    price: Decimal


def tape_trades(data_dir: Path) -> list[TapeTrade]:
    """The trades that the feed received, in order; a torn last line is skipped."""
    found = []
    for path in sorted((data_dir / "tape").glob("*.tsv*")):
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            for line in lines:
                if "@trade" not in line or not line.endswith("\n"):
                    continue
                data = json.loads(line.split("\t", 2)[2])["data"]
                found.append(TapeTrade(data["s"], data["t"], Decimal(data["p"])))
    return found


class Process:
    """A daemon of our own. `stop` ends it in order, `kill` as a power cut would."""

    module = "tradingd"

    def __init__(self, data_dir: Path, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        number = len(list(data_dir.parent.glob(f"{data_dir.name}.*.out")))
        self._out = data_dir.parent / f"{data_dir.name}.{number}.out"
        self._err = data_dir.parent / f"{data_dir.name}.{number}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module, "run", "--data-dir", str(data_dir), "--port", "0", *arguments],
                cwd=ROOT, env=clean_environment(env), stdout=out, stderr=err,
            )
        self.started = time.monotonic()
        self._client: Client | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def client(self) -> Client:
        assert self._client is not None, "wait for ready() first"
        return self._client

    def ready(self, seconds: float = READY_S) -> "Process":
        """Wait until it says that it is ready; from then on `client` speaks to it as the operator."""
        self._client = until(self._reached, f"a ready daemon; it said: {self.err}", seconds)
        return self

    def _reached(self) -> Client | None:
        assert self._process.poll() is None, f"it ended with {self._process.returncode}: {self.err}"
        info = read_run_info(self.data_dir)
        if info is None or info.pid != self.pid:
            return None
        try:
            Client(info.url).get("/api/health")
        except (AnswerError, NotReachableError):
            return None
        return Client(info.url, mint_token(self.data_dir))

    def orders(self, **query: str) -> list[dict[str, Any]]:
        """Newest first."""
        words = "&".join(f"{name}={value}" for name, value in {"limit": "5000", **query}.items())
        answer: list[dict[str, Any]] = self.client.get(f"/api/orders?{words}")
        return answer

    def order(self, order_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get(f"/api/orders/{order_id}")
        return answer

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get("/api/status")
        return answer

    def positions(self) -> dict[str, dict[str, Any]]:
        """By symbol."""
        return {row["symbol"]: row for row in self.client.get("/api/positions")}

    def buy(self, symbol: str, quantity: str) -> dict[str, Any]:
        """At market, filled on return. Tried anew while no price is known yet."""
        body = {"symbol": symbol, "side": "buy", "type": "market", "quantity": quantity}

        def submit() -> dict[str, Any] | None:
            try:
                answer: dict[str, Any] = self.client.post("/api/orders", body)
            except AnswerError as error:
                if error.code in NOT_YET:
                    return None
                raise
            return answer

        order = until(submit, f"a buy of {symbol} that is taken", 15)
        return self.filled(order["id"])

    def trail(self, symbol: str, quantity: str, percent: str) -> dict[str, Any]:
        """A trailing sell."""
        answer: dict[str, Any] = self.client.post(
            "/api/orders",
            {"symbol": symbol, "side": "sell", "type": "trailing", "quantity": quantity,
             "trail": {"kind": "percent", "value": percent}},
        )
        return answer

    def filled(self, order_id: str, seconds: float = 15) -> dict[str, Any]:
        """The order, once it is filled."""

        def look() -> dict[str, Any] | None:
            order = self.order(order_id)
            assert order["state"] not in ("REJECTED", "CANCELLED", "EXPIRED"), order
            return order if order["state"] == "FILLED" else None

        return until(look, f"a fill of {order_id}", seconds)

    def child(self) -> int:
        """The practice exchange's pid."""
        for pid in children_of(self.pid):
            if "exchanges.practice" in Path(f"/proc/{pid}/cmdline").read_text():
                return pid
        raise AssertionError("the daemon has no practice child")

    def stop(self, seconds: float = 20) -> int:
        """SIGTERM; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(seconds)

    def wait(self, seconds: float) -> int:
        """For its own end; its exit code."""
        return self._process.wait(seconds)

    @contextmanager
    def standing_still(self, seconds: float) -> Iterator[None]:
        """No instruction of it is executed for the length of the block, which takes `seconds` at least."""
        began = time.monotonic()
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
            until(lambda: time.monotonic() - began > seconds, "the time to pass", seconds + 1)
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, and nobody left behind."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)


@contextmanager
def running(data_dir: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Process]:
    """A ready daemon for the length of the block."""
    process = Process(data_dir, *arguments, env=env)
    try:
        yield process.ready()
    finally:
        process.kill()
