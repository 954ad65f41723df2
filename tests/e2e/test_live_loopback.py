"""Live mode on a Binance and on a Coinbase that the daemon did not start and knows only by their addresses."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.e2e.process import ROOT, Process, clean_environment, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

PEM = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
).decode()
LIVE = {
    "TRADINGD__MODE": "live", "TRADINGD_ALLOW_LIVE": "yes", "TRADINGD__COUNCIL__THRESHOLD": "1",
    "TRADINGD__CANDLES__WARMUP": "10",
}


@contextmanager
def exchange(data_dir: Path, symbols: str) -> Iterator[dict[str, str]]:
    """The addresses of somebody else's exchange."""
    arguments = ["-m", "exchanges.practice", "--data-dir", str(data_dir), "--symbols", symbols]
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


def settings(venue: str, urls: dict[str, str]) -> dict[str, str]:
    prefix = f"TRADINGD__VENUES__{venue.upper()}__"
    if venue == "binance":
        own = {"WS_URL": urls["ws_url"], "WS_API_URL": urls["ws_api_url"], "API_KEY": "k", "API_SECRET": "s"}
        quote = "USDT"
    else:
        own = {
            "WS_URL": urls["coinbase_ws_url"], "WS_USER_URL": urls["coinbase_ws_user_url"],
            "API_KEY": "organizations/a/apiKeys/b", "API_SECRET": PEM,
        }
        quote = "USD"
    return {
        **LIVE, "TRADINGD__VENUE": venue, "TRADINGD__ACCOUNT__QUOTE": quote, "TRADINGD__SYMBOLS": f"SOL/{quote}",
        prefix + "REST_URL": urls["rest_url"], **{prefix + key: value for key, value in own.items()},
    }


def held(daemon: Process, symbol: str) -> Decimal:
    row = daemon.positions().get(symbol)
    return Decimal(row["quantity"]) if row else Decimal(0)


@pytest.mark.parametrize("venue", ["binance", "coinbase"])
def test_the_daemon_trades_live_there_and_its_position_outlives_a_kill(tmp_path: Path, venue: str) -> None:
    symbol = "SOL/USDT" if venue == "binance" else "SOL/USD"
    with exchange(tmp_path / "exchange", symbol) as urls:
        env = settings(venue, urls)
        with running(tmp_path / "data", env=env) as daemon:
            bought = daemon.buy(symbol, "0.5")
            was = held(daemon, symbol)
            assert was > Decimal("0.49")
            assert bought["state"] == "FILLED"
            problems = " ".join(each["text"] for each in daemon.status()["problems"])
            assert "does not tell what our key may do" in problems or venue == "coinbase"
            daemon.kill()
        with running(tmp_path / "data", env=env) as daemon:
            until(lambda: held(daemon, symbol) == was, "the position of before", 10)
            daemon.client.post("/api/positions/close", {"symbol": symbol})
            until(lambda: held(daemon, symbol) < Decimal("0.01"), "a closed position", 20)
            assert daemon.stop() == 0


def test_without_consent_it_does_not_trade_there(tmp_path: Path) -> None:
    env = settings("binance", {"rest_url": "http://127.0.0.1:9", "ws_url": "ws://127.0.0.1:9", "ws_api_url": ""})
    del env["TRADINGD_ALLOW_LIVE"]
    process = Process(tmp_path / "data", env=env)
    assert process.wait(20) == 3
    assert "TRADINGD_ALLOW_LIVE" in process.err
