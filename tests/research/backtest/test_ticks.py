"""The council over recorded ticks: the orders that the daemon gives in a replay of the same recording."""

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from exchanges.venue import FeedItem
from market.book import OrderBook
from market.interval import SECOND_NS
from market.ticks import BookDelta, BookSnapshot, QuoteTick, TradeTick
from research.backtest import council_ticks
from research.backtest.council_fold import CouncilResult
from research.backtest.council_ticks import CouncilTicks
from research.backtest.data import DataError, of_ticks
from research.backtest.guard import LookAheadError
from research.backtest.runner import Costs
from research.backtest.ticks import TickRecording
from research.cli import app
from tests.e2e.process import ROOT
from tests.golden.recording import START_NS, write_recording
from tests.golden.trading import Row, replayed, rows_of
from tradingd.message_journal import MessageJournal
from tradingd.settings import Settings
from tradingd.settings_loading import load_settings

SECONDS = 150
CASH = Decimal(10_000)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("ticks") / "market.tsv", seed=11, seconds=SECONDS)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(ROOT / "config.toml", environ={})


def costs_of(settings: Settings) -> Costs:
    return Costs(settings.paper.fee, Decimal(0), settings.paper.slippage)


def council(recording: Path, settings: Settings) -> CouncilTicks:
    return CouncilTicks(TickRecording([recording]), "BTC/USDT", CASH, costs_of(settings), settings)


@pytest.fixture(scope="module")
def journal(recording: Path, settings: Settings) -> Path:
    path = recording.parent / "backtest.journal"
    council(recording, settings).run(journal=path)
    return path


@pytest.fixture(scope="module")
def result(recording: Path, settings: Settings) -> CouncilResult:
    return council(recording, settings).run()


def rows(path: Path, session: str) -> list[Row]:
    """Without the session's name in the orders' ids."""
    opened = MessageJournal.open(path, read_only=True)
    try:
        found = [row for message in opened.read() for row in rows_of(message)]
    finally:
        opened.close()
    return [tuple(str(part).replace(f"-{session}-", "-") for part in row) for row in found]


@pytest.mark.e2e
@pytest.mark.timeout(180)
def test_the_daemon_replaying_the_recording_gives_the_same_orders_and_fills(recording: Path, journal: Path) -> None:
    daemon = replayed(recording.parent / "daemon", recording, seconds=SECONDS + 5)
    theirs = [tuple(str(part).replace("-r7-", "-") for part in row) for row in daemon.rows]
    assert len([row for row in theirs if row[1] == "filled"]) >= 2
    assert rows(journal, "backtest") == theirs


def test_two_runs_are_the_same_to_the_byte(recording: Path, settings: Settings, journal: Path, tmp_path: Path) -> None:
    council(recording, settings).run(journal=tmp_path / "again.journal")
    assert (tmp_path / "again.journal").read_bytes() == journal.read_bytes()


def test_the_money_adds_up(result: CouncilResult) -> None:
    assert len(result.trades) >= 1
    assert len(result.equity) > SECONDS * 0.8
    assert result.path_dependent is None
    gained = sum((each.pnl for each in result.trades), Decimal(0))
    if not result.open_quantity:
        assert abs(float(CASH + gained) - result.equity[-1]) < abs(float(gained)) + 50


def test_no_agent_knows_the_ticks_to_come(recording: Path, settings: Settings, result: CouncilResult) -> None:
    ticks, costs = TickRecording([recording]), costs_of(settings)
    assert council_ticks.check(ticks, "BTC/USDT", CASH, costs, settings, "", result.decisions) == 1
    other = [(at, side, f"{what}1") for at, side, what in result.decisions]
    with pytest.raises(LookAheadError):
        council_ticks.check(ticks, "BTC/USDT", CASH, costs, settings, "", other)


def test_a_rule_gets_the_candles_that_the_ticks_make(recording: Path) -> None:
    data = of_ticks([recording], "BTC/USDT", "5s", None, None)
    assert data.bars.interval == "5s"
    assert 25 <= len(data.bars) <= SECONDS // 5
    assert int(data.bars.ts[0]) >= START_NS
    half = of_ticks([recording], "BTC/USDT", "5s", START_NS + 60 * 10**9, None)
    assert len(half.bars) < len(data.bars)


def test_nothing_is_decided_on_a_candle_that_began_before_the_range(recording: Path, settings: Settings) -> None:
    inside = START_NS + 33 * SECOND_NS
    whole, part = (of_ticks([recording], "BTC/USDT", "5s", begin, None).bars for begin in (None, inside))
    assert int(part.ts[0]) == START_NS + 35 * SECOND_NS
    assert part.columns.equals(whole.columns.take(whole.ts >= inside))
    for interval, second in (("5s", 35), ("1m", 60)):
        ticks = TickRecording([recording], inside)
        council = CouncilTicks(ticks, "BTC/USDT", CASH, costs_of(settings), settings, interval)
        if interval == "5s":
            council.run()
        else:
            council.decisions(ticks.last_ns)
            assert len(council._candles) == 1
        assert council._candles[0].ts_open == START_NS + second * SECOND_NS


def test_a_range_has_a_fingerprint_of_its_own(recording: Path) -> None:
    ranges = ((None, None), (START_NS, None), (START_NS + SECOND_NS, None), (None, START_NS + SECOND_NS))
    whole, also, later, cut = (TickRecording([recording], *each).fingerprint() for each in ranges)
    assert whole == also == hashlib.sha256(recording.read_bytes()).hexdigest()
    assert len({whole, later, cut}) == 3


def test_a_symbol_that_is_not_there_is_named_with_those_that_are(recording: Path, settings: Settings) -> None:
    with pytest.raises(DataError, match=r"holds no XRP/USDT: there are BTC/USDT, ETH/USDT"):
        CouncilTicks(TickRecording([recording]), "XRP/USDT", CASH, Costs(), settings)
    with pytest.raises(DataError, match=r"choose one with --symbol"):
        of_ticks([recording], "", "5s", None, None)


def trades_file(folder: Path, count: int = 4000) -> Path:
    """Trades alone, nobody quotes: a saw of 1 %."""
    ns = [START_NS + number * 50_000_000 for number in range(count)]
    price = [60_000.0 + 600.0 * abs((number // 10 % 80) - 40) / 40 for number in range(count)]
    path = folder / "spot_btcusdt_20240809_trades.parquet"
    pq.write_table(pa.table({
        "recv_ns": ns, "trade_time_ms": [each // 1_000_000 for each in ns], "trade_id": list(range(count)),
        "price": price, "qty": [0.5] * count, "taker_buy": [number % 2 == 0 for number in range(count)],
    }), path)
    return path


def test_the_command_takes_ticks_and_tells_of_frames(tmp_path: Path) -> None:
    file, out = trades_file(tmp_path), tmp_path / "out.json"
    config = tmp_path / "run.toml"
    config.write_text(f'strategy = "council"\ndata = ["{file}"]\ntimeframe = "1s"\nspread = "0.0002"\n')
    ended = CliRunner().invoke(app, ["backtest", str(config), "--json", str(out), "--data-dir", str(tmp_path / "d")])
    assert ended.exit_code == 0, ended.output
    assert "frames" in ended.output
    document = json.loads(out.read_text())
    assert document["about"]["data"] == "frames"
    assert len(document["equity"]) >= 150
    assert len(document["fingerprint"]) == 64


def test_a_part_of_the_recording_begins_with_whole_books_and_ends_where_it_was_asked_to(recording: Path) -> None:
    whole = TickRecording([recording])
    begin, end = START_NS + 60 * SECOND_NS, START_NS + 90 * SECOND_NS
    part = TickRecording([recording], begin, end)
    assert (part.first_ns, part.last_ns) == (begin, end - 1)

    def told(made: TickRecording) -> list[FeedItem]:
        inside = [item for _, item in made.items() if isinstance(item, TradeTick | QuoteTick | BookDelta)]
        return [item for item in inside if begin <= item.ts_init < end]

    assert told(part) == told(whole)
    books = {each.symbol: OrderBook(each.symbol) for each in whole.instruments}
    for _, item in whole.items(end_ns=begin):
        if isinstance(item, BookSnapshot):
            books[item.symbol].apply_snapshot(item)
        elif isinstance(item, BookDelta):
            books[item.symbol].apply_delta(item)
    first: dict[str, BookSnapshot] = {}
    for _, item in part.items():
        if isinstance(item, BookSnapshot):
            first.setdefault(item.symbol, item)
    whole_ones = {symbol: book for symbol, book in books.items() if book.is_valid}
    assert whole_ones
    assert all(list(first[symbol].asks) == book.depth("ask", 1_000) for symbol, book in whole_ones.items())


@pytest.mark.parametrize(("more", "why"), [
    (("--start", "2035-01-01"), "nothing was recorded in this range"),
    (("--start", "nonsense"), "write it as 2024-01-31"),
    (("--start", "2024-02-01", "--end", "2024-01-01"), "is not before end"),
])
def test_a_range_of_ticks_that_cannot_be_is_refused(
    more: tuple[str, ...], why: str, recording: Path, tmp_path: Path
) -> None:
    made = CliRunner().invoke(app, [
        "backtest", "--strategy", "council", "--data", str(recording), "--data-dir", str(tmp_path), *more,
    ])
    assert made.exit_code != 0
    assert why in made.stderr


def test_the_council_is_tried_on_the_range_of_ticks_that_was_asked_for(recording: Path, tmp_path: Path) -> None:
    report, begin = tmp_path / "report.json", datetime.fromtimestamp(START_NS // SECOND_NS + 60, UTC)
    made = CliRunner().invoke(app, [
        "backtest", "--strategy", "council", "--data", str(recording), "--data-dir", str(tmp_path),
        "--start", begin.isoformat(), "--json", str(report),
    ])
    assert made.exit_code == 0, made.output
    assert json.loads(report.read_text())["about"]["first_ts"] >= START_NS + 60 * SECOND_NS


def test_a_recording_whose_first_half_makes_one_candle_is_tried_and_cut_all_the_same(
    recording: Path, tmp_path: Path
) -> None:
    made = CliRunner().invoke(app, [
        "backtest", "--strategy", "council", "--data", str(recording), "--symbol", "BTC/USDT", "--timeframe", "1m",
        "--data-dir", str(tmp_path),
    ])
    assert made.exit_code == 0, made.output
    assert "none: decisions repeated at 1 cuts" in made.stdout


def test_ticks_and_candles_are_not_mixed(tmp_path: Path) -> None:
    file = trades_file(tmp_path, 10)
    (tmp_path / "candles.csv").write_text("symbol,date,open,high,low,close,volume\n")
    ended = CliRunner().invoke(app, [
        "backtest", "--strategy", "council", "--data", str(file), "--data", str(tmp_path / "candles.csv"),
        "--data-dir", str(tmp_path / "d"),
    ])
    assert ended.exit_code == 7
    assert "name one kind" in ended.output


def test_the_daemons_tape_is_meant_by_the_word_ticks(tmp_path: Path, recording: Path) -> None:
    (tmp_path / "tape").mkdir()
    (tmp_path / "tape" / "00000000000000000001.tsv").write_bytes(recording.read_bytes())
    ended = CliRunner().invoke(app, [
        "backtest", "--strategy", "sma_cross", "--param", "fast=3", "--param", "slow=8", "--timeframe", "2s",
        "--symbol", "ETH/USDT", "--data", "ticks", "--data-dir", str(tmp_path),
    ])
    assert ended.exit_code == 0, ended.output
    assert "ETHUSDT-2s" in ended.output
