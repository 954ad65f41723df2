"""Rules in files that know what they could not know, each in its own way: the command refuses them all."""

from pathlib import Path
from textwrap import dedent, indent

import numpy as np
import pytest
from typer.testing import CliRunner

from research.cli import app

TRADES = """
    def on_candle(self, x):
        up = x.index + 1 < len(self.c) and self.c[x.index + 1] > x.close
        if up and not x.quantity:
            x.buy()
        elif not up and x.quantity:
            x.sell()
"""


def trading(source: str) -> str:
    """A class that knows `c`, all closes, and trades by the next one."""
    return dedent(source) + indent(dedent(TRADES), "    ")


PLANTED = {
    "reads the data's file": trading("""
        import csv

        class R:
            def __init__(self):
                self.c = [float(row["close"]) for row in csv.DictReader(open("DATA"))]
        """),
    "reads it through numpy while trading": dedent("""
        import numpy

        class R:
            c = ()

            def on_candle(self, x):
                if not len(self.c):
                    self.c = numpy.genfromtxt("DATA", delimiter=",", skip_header=1)[:, 5]
                if self.c[min(x.index + 1, len(self.c) - 1)] > x.close:
                    x.buy()
                elif x.quantity:
                    x.sell()
        """),
    "reads it past Python, and swallows the refusal": trading("""
        class R:
            def __init__(self):
                try:
                    from pyarrow.csv import read_csv
                    self.c = read_csv("DATA")["close"].to_pylist()
                except Exception:
                    self.c = []
        """),
    "has pandas find what reads past Python": trading("""
        from pandas.compat._optional import import_optional_dependency

        class R:
            def __init__(self):
                self.c = import_optional_dependency("pyarrow.csv").read_csv("DATA")["close"].to_pylist()
        """),
    "keeps the future in a file beside it": trading("""
        import sys
        from pathlib import Path

        sys.path.insert(0, str(Path("DATA").parent))

        import beside

        class R:
            c = beside.CLOSES
        """),
    "asks another program": trading("""
        import os

        class R:
            def __init__(self):
                self.c = [float(line.split(",")[5]) for line in os.popen("tail -n +2 DATA")]
        """),
    "leaves what it saw in another module": trading("""
        import builtins

        class R:
            def prepare(self, candles):
                known = getattr(builtins, "_kept", ())
                if len(known) < len(candles.close):
                    builtins._kept = known = list(candles.close)
                self.c = known
        """),
    "keeps the whole data in a global": trading("""
        FUTURE = {}

        class R:
            def prepare(self, candles):
                FUTURE["c"] = candles.close

            @property
            def c(self):
                return FUTURE["c"]
        """),
    "looks into the caller's frame": dedent("""
        import sys

        class R:
            def on_candle(self, x):
                rows, k = sys._getframe(1).f_locals["rows"], x.index % 4096
                up = k + 1 < len(rows) and rows[k + 1][4] > x.close
                if up and not x.quantity:
                    x.buy()
                elif not up and x.quantity:
                    x.sell()
        """),
    "finds the candles in memory": trading("""
        import gc

        class R:
            def __init__(self):
                bars = next(each for each in gc.get_objects() if type(each).__name__ == "Bars")
                self.c = bars.close
        """),
    "normalises by all of the data": dedent("""
        class R:
            def prepare(self, candles):
                close = candles.close
                self.z = (close - close.mean()) / close.std()

            def on_candle(self, x):
                if self.z[x.index] < 0 and not x.quantity:
                    x.buy()
                elif self.z[x.index] > 0 and x.quantity:
                    x.sell()
        """),
    "knows the day's high in the morning": dedent("""
        import numpy as np

        class R:
            def prepare(self, candles):
                day = candles.ts // 86_400_000_000_000
                self.high = np.array([candles.high[day == each].max() for each in day])

            def on_candle(self, x):
                if x.close < self.high[x.index] * 0.98 and not x.quantity:
                    x.buy()
                elif x.close > self.high[x.index] * 0.99 and x.quantity:
                    x.sell()
        """),
}
HONEST = dedent("""
    import datetime
    import json
    import zoneinfo

    import pandas as pd

    print("told to whoever looks on")

    class R:
        def __init__(self, n: int = 20):
            self.n = n
            self.zone = zoneinfo.ZoneInfo("America/New_York")

        def prepare(self, candles):
            self.mean = pd.Series(candles.close).rolling(self.n).mean().to_numpy()

        def on_candle(self, x):
            hour = datetime.datetime.fromtimestamp(x.ts // 10**9, self.zone).hour
            if x.close > self.mean[x.index] and not x.quantity and hour != 3:
                x.buy()
            elif x.close < self.mean[x.index] and x.quantity:
                x.sell()
    """)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(chance.normal(0, 0.01, 600)))
    opened = np.append(close[:1], close[:-1])
    path = tmp_path_factory.mktemp("planted") / "BTCUSDT-1h.csv"
    rows = ["symbol,date,open,high,low,close,volume"]
    for hour, (first, last) in enumerate(zip(opened, close, strict=True)):
        high, low = max(first, last) * 1.003, min(first, last) * 0.997
        at = 1_704_067_200 + hour * 3600
        rows.append(f"BTC/USDT,{at},{first:.2f},{high:.2f},{low:.2f},{last:.2f},1.5")
    path.write_text("\n".join(rows) + "\n")
    (path.parent / "beside.py").write_text(f"CLOSES = {[round(float(each), 2) for each in close]}\n")
    return path


def backtest(folder: Path, data: Path, source: str, *more: str) -> tuple[int, str]:
    rule = folder / "rule.py"
    rule.write_text(source.replace("DATA", str(data)))
    ended = CliRunner().invoke(app, [
        "backtest", "--strategy", f"{rule}:R", "--data", str(data), "--timeframe", "1h", "--data-dir",
        str(folder / "lab"), "--name", "planted", *more,
    ])
    return ended.exit_code, ended.output


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_look_ahead_is_refused(tmp_path: Path, data: Path, kind: str) -> None:
    code, words = backtest(tmp_path, data, PLANTED[kind])
    assert code == 1, words
    assert "looks ahead" in words
    listed = CliRunner().invoke(app, ["sessions", "list", "--data-dir", str(tmp_path / "lab")]).output
    assert "failed" in listed


def test_an_honest_rule_in_a_file_passes_with_its_libraries(tmp_path: Path, data: Path) -> None:
    code, words = backtest(tmp_path, data, HONEST, "--param", "n=15")
    assert code == 0, words
    assert "look-ahead  none" in words
