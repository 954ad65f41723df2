"""The synthetic path: deterministic, consistent, lively, and seamless with its past and after a restart."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.practice.candles import CandleStore, compose, is_seamless
from exchanges.practice.config import DEFAULT_SYMBOLS, PracticeError
from exchanges.practice.ladder import Best, Print
from exchanges.practice.pairs import synthetic_pair
from exchanges.practice.state_file import MarketFile
from exchanges.practice.synthetic import SyntheticMarket
from exchanges.practice.synthetic_view import merged

START_MS = 1_760_000_000_000


TWO = ("BTC/USDT", "DOGE/USDT")


def market(seed: int = 7, symbols: tuple[str, ...] = TWO, start: int = START_MS) -> SyntheticMarket:
    return SyntheticMarket([synthetic_pair(symbol) for symbol in symbols], seed, 1.0, start)


def path(seed: int, steps: int) -> list[str]:
    one = market(seed)
    return [repr(one.step()) for _ in range(steps)]


def test_the_same_seed_gives_the_same_path() -> None:
    assert path(7, 100) == path(7, 100)
    assert path(7, 100) != path(8, 100)


def test_the_path_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from tests.exchanges.practice.test_synthetic import path; import hashlib;"
        "print(hashlib.sha256(''.join(path(7, 30)).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."}, capture_output=True,
            check=True, text=True, cwd=Path(__file__).parents[3],
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_a_pair_moves_the_same_whoever_else_is_listed() -> None:
    alone, together = market(symbols=("BTC/USDT",)), market(symbols=("ETH/USDT", "BTC/USDT"))
    for _ in range(50):
        assert alone.step()["BTCUSDT"] == together.step()["BTCUSDT"]


def test_differences_chain_and_rebuild_the_book_and_quotes_never_cross() -> None:
    one = market()
    one.step()
    books = {name: (dict(p.ladder.bids), dict(p.ladder.asks), p.ladder.update_id) for name, p in one.pairs.items()}
    for _ in range(600):
        for name, step in one.step().items():
            bids, asks, last = books[name]
            for event in step.events:
                if isinstance(event, Best):
                    assert event.bid < event.ask
                    assert event.bid_lots > 0 < event.ask_lots
            if step.diff is not None:
                assert step.diff.first_id == last + 1
                assert step.diff.last_id >= step.diff.first_id
                for side, changes in ((bids, step.diff.bids), (asks, step.diff.asks)):
                    side.update(changes)
                    for price in [p for p, lots in side.items() if lots == 0]:
                        del side[price]
                last = step.diff.last_id
            ladder = one.pairs[name].ladder
            assert (bids, asks, last) == (ladder.bids, ladder.asks, ladder.update_id)
            assert max(bids) == ladder.bid < ladder.ask == min(asks)
            assert {20 <= len(bids) <= 30, 20 <= len(asks) <= 30} == {True}
            books[name] = (bids, asks, last)


def test_trade_ids_count_up_without_gaps_and_times_stay_in_their_step() -> None:
    one = market()
    last = {name: pair.ladder.trade_id for name, pair in one.pairs.items()}
    for _ in range(300):
        for name, step in one.step().items():
            for event in step.events:
                if isinstance(event, Print):
                    assert event.trade_id == last[name] + 1
                    last[name] = event.trade_id
                    assert one.now_ms - 100 <= event.time_ms < one.now_ms


def test_a_newcomer_sees_moves_of_half_a_percent_within_most_minutes() -> None:
    one = market(symbols=DEFAULT_SYMBOLS)
    ranges = []
    prices: dict[str, list[float]] = {name: [] for name in one.pairs}
    for _ in range(1_800):
        one.step()
        for name, pair in one.pairs.items():
            prices[name].append((pair.ladder.bid + pair.ladder.ask) / 2)
    for series in prices.values():
        ranges += [max(series[i : i + 600]) / min(series[i : i + 600]) - 1 for i in range(0, 1_800, 600)]
    assert sum(r > 0.005 for r in ranges) >= len(ranges) * 0.7
    assert max(ranges) < 0.06


@pytest.mark.parametrize("length_ms", [1_000, 5_000, 60_000, 900_000, 3_600_000, 14_400_000, 86_400_000])
def test_a_thousand_klines_of_each_interval_are_there_at_once_and_join_the_live_path(length_ms: int) -> None:
    one = market(symbols=("SOL/USDT",))
    for _ in range(25):
        one.step()
    pair = one.pairs["SOLUSDT"]
    pair.ensure_history()
    bars = pair.candles.bars(length_ms, 1_000, None, None)
    assert len(bars) == 1_000
    assert is_seamless(bars, length_ms)
    assert bars[-1].close == pair.trades[-1].price
    for before, after in pairwise(bars):
        assert after.low <= min(after.open, after.close) <= max(after.open, after.close) <= after.high
        assert abs(after.open / before.close - 1) < 0.003


def test_klines_can_be_asked_for_by_time() -> None:
    one = market(symbols=("SOL/USDT",))
    one.step()
    pair = one.pairs["SOLUSDT"]
    pair.ensure_history()
    since = START_MS - 600_000
    bars = pair.candles.bars(60_000, 5, since, None)
    assert [bar.open_ms for bar in bars] == [-(-since // 60_000) * 60_000 + i * 60_000 for i in range(5)]
    assert [b.open_ms for b in pair.candles.bars(60_000, 2, None, since)][-1] <= since


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 9), st.integers(0, 2_500)), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None)
def test_volume_is_conserved_whatever_the_interval(trades: list[tuple[int, int, int]]) -> None:
    store, now = CandleStore(), START_MS
    store.roll(now, 10)
    for number, (price, lots, wait) in enumerate(trades, 1):
        now += wait
        store.roll(now, price)
        store.trade(price, lots, number, is_buy=number % 2 == 0)
    for length in (1_000, 3_000, 60_000, 900_000):
        bars = store.bars(length, 1_000, START_MS - 86_400_000, None)
        assert sum(bar.lots for bar in bars) == sum(lots for _, lots, _ in trades)
        assert sum(bar.trades for bar in bars) == len(trades)


def test_a_restored_market_goes_on_exactly_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    unbroken = market()
    for _ in range(137):
        unbroken.step()
    file = MarketFile(tmp_path, unbroken, 7)
    file.restore()
    file.save()
    expected = [repr(unbroken.step()) for _ in range(100)]
    again = market(start=START_MS + 999_000)
    second = MarketFile(tmp_path, again, 7)
    assert second.restore()
    assert [repr(again.step()) for _ in range(100)] == expected
    file.close()
    second.close()


def test_candles_of_an_earlier_run_are_remembered(tmp_path: Path) -> None:
    first = market(symbols=("BTC/USDT",))
    file = MarketFile(tmp_path, first, 7)
    file.restore()
    for _ in range(700):
        for name, step in first.step().items():
            for tier, bar in step.closed:
                file.closed(name, tier, bar)
    first.pairs["BTCUSDT"].ensure_history()
    file.save()
    second = market(symbols=("BTC/USDT",), start=START_MS + 5_000_000)
    again = MarketFile(tmp_path, second, 7)
    again.restore()
    again.save_all()
    second.pairs["BTCUSDT"].ensure_history()
    for length in (1_000, 60_000, 86_400_000):
        before = first.pairs["BTCUSDT"].candles.bars(length, 500, None, None)
        assert second.pairs["BTCUSDT"].candles.bars(length, 500, None, None) == before
    file.close()
    again.close()


def test_a_long_pause_is_bridged_ids_leap_and_the_price_stays() -> None:
    one = market(symbols=("BTC/USDT",))
    for _ in range(333):
        one.step()
    pair = one.pairs["BTCUSDT"]
    trade_id, update_id, price = pair.ladder.trade_id, pair.ladder.update_id, pair.trades[-1].price
    assert one.leap(one.now_ms + 8 * 3_600_000 + 12_345)
    one.step()
    assert pair.ladder.trade_id > trade_id + 10_000
    assert pair.ladder.update_id > update_id + 10_000
    assert abs(pair.trades[-1].price / price - 1) < 0.003
    pair.ensure_history()
    for length in (1_000, 5_000, 60_000, 3_600_000):
        assert is_seamless(pair.candles.bars(length, 900, None, None), length)


def test_a_market_file_that_is_not_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "market-7.json").write_bytes(b"{}")
    with pytest.raises(PracticeError, match=r"market-7\.json: cannot be continued"):
        MarketFile(tmp_path, market(), 7).restore()


def test_merged_differences_keep_the_last_quantity() -> None:
    one = market(symbols=("BTC/USDT",))
    one.step()
    before = dict(one.pairs["BTCUSDT"].ladder.bids)
    total = None
    for _ in range(10):
        diff = one.step()["BTCUSDT"].diff
        assert diff is not None
        total = merged(total, diff)
    assert total is not None
    before.update(total.bids)
    assert {price: lots for price, lots in before.items() if lots} == one.pairs["BTCUSDT"].ladder.bids


def test_state_is_plain_json() -> None:
    one = market()
    one.step()
    assert orjson.loads(orjson.dumps(one.to_state()))["position"] == START_MS // 100 + 1


def test_compose_aligns_to_the_epoch() -> None:
    one = market(symbols=("BTC/USDT",))
    for _ in range(80):
        one.step()
    bars = list(compose(one.pairs["BTCUSDT"].candles.closed[0], 5_000))
    assert all(bar.open_ms % 5_000 == 0 for bar in bars)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "btc/usdt", "/USDT", "BTC/"])
def test_a_symbol_that_is_no_pair_is_refused(symbol: str) -> None:
    with pytest.raises(PracticeError, match="write it like BTC/USDT"):
        synthetic_pair(symbol)


def test_a_pair_listed_later_or_again_has_a_seamless_past_and_higher_ids(tmp_path: Path) -> None:
    def run(symbols: tuple[str, ...], steps: int) -> SyntheticMarket:
        one = market(symbols=symbols)
        file = MarketFile(tmp_path, one, 7)
        file.restore()
        file.save_all()
        for _ in range(steps):
            one.step()
        file.close()
        return one

    first = run(("BTC/USDT", "ETH/USDT"), 900)
    run(("BTC/USDT",), 305)
    again = run(("BTC/USDT", "ETH/USDT", "SOL/USDT"), 25)
    eth = again.pairs["ETHUSDT"]
    assert eth.ladder.trade_id > first.pairs["ETHUSDT"].ladder.trade_id
    assert eth.ladder.update_id > first.pairs["ETHUSDT"].ladder.update_id
    for pair in (eth, again.pairs["SOLUSDT"]):
        pair.ensure_history()
        bars = pair.candles.bars(1_000, 300, None, None)
        assert is_seamless(bars, 1_000)
        assert all(abs(after.open / before.close - 1) < 0.003 for before, after in pairwise(bars))
