"""The real daemon in a process of its own, live on a loopback exchange, as the measurements need it."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.loopback_exchange import LoopbackExchange
from benchmarks.result import BenchSkipped

MEMORY: Final = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class LiveDaemon:
    """Its process id, the address of its API and a token for it."""

    pid: int
    url: str
    token: str

    def place_stop(self, stop_price: float) -> bool:
        """Arm a buy stop; false while the daemon takes no entries (it has not heard its feed for too long).

        Raises `BenchSkipped` when it is refused for another reason.
        """
        body = {
            "symbol": "BTC/USDT", "side": "buy", "type": "stop", "quantity": "0.00100",
            "stop_price": f"{stop_price:.2f}",
        }
        request = urllib.request.Request(
            f"{self.url}/api/orders", json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            urllib.request.urlopen(request, timeout=5).read()
        except urllib.error.HTTPError as error:
            said = error.read().decode()[:300]
            if any(code in said for code in ("TRADING_REDUCING", "STALE_DATA", "PRICE_UNKNOWN")):
                return False
            raise BenchSkipped(f"an order for the measurement was refused: {said}") from error
        return True


@asynccontextmanager
async def live_daemon(
    exchange: LoopbackExchange, parent: Path | None, command: Sequence[str] = ("-m", "tradingd", "run"),
) -> AsyncIterator[LiveDaemon]:
    """Started, connected and fed with a first price. `parent`: where its folder is made (None: the disk)."""
    with tempfile.TemporaryDirectory(prefix="tradingd-bench-", dir=parent) as folder:
        environment = _environment(exchange, folder)
        with (Path(folder) / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command], env=environment, stdout=output, stderr=output,
            )
        try:
            await asyncio.wait_for(exchange.connected.wait(), 60)
            url, token = await asyncio.to_thread(_control, Path(folder), environment)
            exchange.send(exchange.quote(exchange.price))
            exchange.send(exchange.trade(exchange.price))
            await asyncio.sleep(0.3)
            yield LiveDaemon(process.pid, url, token)
        except TimeoutError as error:
            said = (Path(folder) / "output.txt").read_text(errors="replace")[-800:]
            raise BenchSkipped(f"the daemon did not trade on the loopback exchange: {said}") from error
        finally:
            process.terminate()
            # Not `process.wait` here: the daemon's last requests are answered by this very loop.
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, 20)
            process.kill()
            process.wait()


def _environment(exchange: LoopbackExchange, folder: str) -> dict[str, str]:
    return os.environ | {
        "TRADINGD__MODE": "live", "TRADINGD__VENUE": "practice", "TRADINGD__DATA_DIR": folder,
        "TRADINGD__VENUES__PRACTICE__REST_URL": f"http://{exchange.address}",
        "TRADINGD__VENUES__PRACTICE__WS_URL": f"ws://{exchange.address}/stream",
        "TRADINGD__VENUES__PRACTICE__WS_API_URL": f"ws://{exchange.address}/ws-api/v3",
        "TRADINGD__VENUES__PRACTICE__PRIVATE_PER_S": "1000", "TRADINGD__ORDERS__DISASTER_STOP": "never",
        "TRADINGD__SYMBOLS": "BTC/USDT", "TRADINGD__API__PORT": "0", "TRADINGD__LOG__FORMAT": "json",
        "TRADINGD__COUNCIL__THRESHOLD": "1",
        "TRADINGD__RISK__ORDERS_PER_SECOND": "1000000", "TRADINGD__RISK__ORDERS_PER_MINUTE": "1000000",
        "TRADINGD__RISK__MAX_POSITIONS": "1000", "TRADINGD__RISK__EXPOSURE_PER_ASSET": "1",
        "TRADINGD__RISK__EXPOSURE_TOTAL": "1", "TRADINGD__RISK__DUPLICATE_WINDOW_S": "0",
    }


def _control(folder: Path, environment: dict[str, str]) -> tuple[str, str]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (folder / "run.json").exists():
            url = json.loads((folder / "run.json").read_text())["url"]
            with suppress(OSError):
                urllib.request.urlopen(f"{url}/api/health", timeout=2)
                token = subprocess.run(
                    [sys.executable, "-m", "tradingd", "token"], env=environment, capture_output=True, text=True,
                    check=True,
                ).stdout.strip()
                return url, token
        time.sleep(0.05)
    raise TimeoutError("no run.json")
