"""A backtest of a file needs no --symbol."""

from pathlib import Path

import pytest

from research.backtest.data import of_file
from research.history.symbol_names import symbol_guess

BEGIN_MS = 1_714_521_600_000


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("btcusdt_1m.csv", "BTC/USDT"), ("ETHBTC-1h.parquet", "ETH/BTC"), ("btc.csv", "BTC"), ("candles.csv", "CANDLES"),
     ("usd.csv", "DATA"), ("-.csv", "DATA"), ("aapl daily.csv.gz", "AAPL")],
)
def test_a_file_is_called_by_its_first_word(name: str, symbol: str) -> None:
    assert symbol_guess(name) == symbol


@pytest.mark.parametrize(
    ("heading", "before", "symbol"), [("", "", "CANDLES"), ("symbol,", "SOLUSDT,", "SOL/USDT")],
)
def test_what_the_file_says_comes_first(tmp_path: Path, heading: str, before: str, symbol: str) -> None:
    rows = [f"{before}{BEGIN_MS + number * 60_000},1,1,1,1,1" for number in range(5)]
    (tmp_path / "candles.csv").write_text("\n".join([f"{heading}ts,open,high,low,close,volume", *rows]))
    assert of_file(tmp_path / "candles.csv", "", "1m", None, None).bars.symbol == symbol
    assert of_file(tmp_path / "candles.csv", "ETH/USDT", "1m", None, None).bars.symbol == "ETH/USDT"
