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

from tests.e2e.bare_binance import serving
from tests.e2e.fault_sessions import SIZES, SYMBOLS, trade_through
from tests.e2e.practice_truth import PracticeTruth
from tests.e2e.process import ROOT, Process, clean_environment, running, until

FAULTS = ("lost_ack", "http_5xx", "rate_limit", "partial", "fill_lost", "fill_duplicate", "ban", "reorder")
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

PEM = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
).decode()
LIVE = {
    "TRADINGD__MODE": "live", "TRADINGD_ALLOW_LIVE": "yes", "TRADINGD__COUNCIL__THRESHOLD": "1",
    "TRADINGD__CANDLES__WARMUP": "10",
}


@contextmanager
def exchange(data_dir: Path, symbols: str, port: int = 0) -> Iterator[dict[str, str]]:
    """The addresses of somebody else's exchange."""
    arguments = ["-m", "exchanges.practice", "--data-dir", str(data_dir), "--symbols", symbols, "--port", str(port)]
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


def test_a_coinbase_that_misbehaves_gets_no_order_twice_and_loses_none(tmp_path: Path) -> None:
    truth = PracticeTruth()
    with exchange(tmp_path / "exchange", ",".join(SYMBOLS), truth.port) as urls:
        env = {
            **settings("coinbase", urls), "TRADINGD__ACCOUNT__QUOTE": "USDT", "TRADINGD__SYMBOLS": ",".join(SYMBOLS),
            "TRADINGD__RISK__PROTECTIONS__COOLDOWN_S": "0",
        }
        with running(tmp_path / "data", env=env) as daemon:
            for symbol in SYMBOLS:
                daemon.buy(symbol, str(SIZES[symbol] * 5))
            trade_through(daemon, truth, SYMBOLS, FAULTS)
            assert daemon.status()["problems"] == []
            assert daemon.stop() == 0


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


def test_a_binance_without_anything_optional_is_traded_on_and_what_is_missing_is_told(tmp_path: Path) -> None:
    with serving() as (bare, address):
        urls = {"rest_url": f"http://{address}", "ws_url": f"ws://{address}/ws", "ws_api_url": ""}
        with running(tmp_path / "data", env=settings("binance", urls)) as daemon:
            daemon.buy("SOL/USDT", "0.5")
            assert held(daemon, "SOL/USDT") == Decimal("0.5")
            told = " ".join(each["text"] for each in daemon.status()["problems"])
            assert "no past candles" in told
            assert "does not tell what our key may do" in told
            daemon.client.post("/api/positions/close", {"symbol": "SOL/USDT"})
            until(lambda: held(daemon, "SOL/USDT") == 0, "a closed position", 20)
            assert daemon.stop() == 0
        assert len(bare.posts) == len(set(bare.posts))
        assert bare.balances["SOL"] == 0


def test_a_restart_during_an_outage_of_the_exchange_waits_for_its_end(tmp_path: Path) -> None:
    with serving() as (bare, address):
        urls = {"rest_url": f"http://{address}", "ws_url": f"ws://{address}/ws", "ws_api_url": ""}
        env = settings("binance", urls)
        with running(tmp_path / "data", env=env) as daemon:
            daemon.buy("SOL/USDT", "0.5")
            daemon.kill()
        bare.is_down = True
        again = Process(tmp_path / "data", env=env)
        try:
            until(lambda: "the start waits for the venue" in again.err, "a start that waits", 40)
            bare.is_down = False
            again.ready()
            assert held(again, "SOL/USDT") == Decimal("0.5")
            assert again.stop() == 0
        finally:
            again.kill()
