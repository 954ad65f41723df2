"""The same recording gives the same orders: at another speed, and under another hash seed."""

from pathlib import Path

import pytest

from bus.messages.ledger import PositionClosed
from bus.messages.orders import OrderFilled, OrderTriggered
from bus.messages.system import FeedLost
from tests.golden.recording import write_recording
from tests.golden.trading import Outcome, replayed
from tests.shared_data import shared_file

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SEED = 11
SECONDS = 240


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("golden") / "made_up.tsv", seed=SEED, seconds=SECONDS)


@pytest.fixture(scope="module")
def golden(recording: Path) -> Outcome:
    return replayed(recording.parent / "golden", recording, seconds=SECONDS - 5, hash_seed="1")


def test_the_recording_trades_both_ways(golden: Outcome) -> None:
    sides = {fill.side for fill in golden.bodies(OrderFilled)}
    assert sides == {"buy", "sell"}
    assert len(golden.bodies(PositionClosed)) >= 2
    assert len(golden.bodies(OrderTriggered)) >= 4


def test_another_hash_seed_gives_the_same_orders(golden: Outcome, recording: Path) -> None:
    again = replayed(recording.parent / "hash", recording, seconds=SECONDS - 5, hash_seed="2")
    assert again.rows == golden.rows


def test_another_speed_gives_the_same_orders(golden: Outcome, recording: Path) -> None:
    again = replayed(recording.parent / "speed", recording, seconds=SECONDS - 5, speed=100, hash_seed="3")
    assert again.rows == golden.rows


def test_even_the_journal_is_the_same_but_for_the_day(golden: Outcome, recording: Path) -> None:
    again = replayed(recording.parent / "journal", recording, seconds=SECONDS - 5, hash_seed="4")
    kinds = [(type(m.body).__name__, m.id) for m in golden.journal]
    assert [(type(m.body).__name__, m.id) for m in again.journal] == kinds


def test_another_recording_gives_other_orders(golden: Outcome, tmp_path: Path) -> None:
    other = write_recording(tmp_path / "other.tsv", seed=SEED + 10, seconds=SECONDS)
    assert replayed(tmp_path / "other", other, seconds=SECONDS - 5).rows != golden.rows


def test_a_silence_in_the_recording_gives_the_same_orders_at_any_speed(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "gap.tsv", seed=SEED, seconds=150, gap_after_s=80, gap_s=20)
    fast = replayed(tmp_path / "fast", recording, seconds=160, hash_seed="1")
    slow = replayed(tmp_path / "slow", recording, seconds=160, speed=100, hash_seed="2")
    assert fast.rows == slow.rows
    assert fast.rows


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["ws_spot_btcusdt_20240808", "ws_spot_btcusdt_20240809", "ws_spot_ethusdt_20240808"]
)
def test_a_real_recording_trades_both_ways_and_replays_to_the_same_orders(tmp_path: Path, name: str) -> None:
    file = shared_file(f"messages/binance/{name}.tsv.gz")
    first = replayed(tmp_path / "first", file, seconds=290, hash_seed="1")
    second = replayed(tmp_path / "second", file, seconds=290, hash_seed="2")
    assert first.rows == second.rows
    assert not first.bodies(FeedLost)
    assert {fill.side for fill in first.bodies(OrderFilled)} == {"buy", "sell"}


@pytest.mark.shared
def test_real_recordings_together_trade(tmp_path: Path) -> None:
    names = ("btcusdt_20240808", "ethusdt_20240808")
    files = [shared_file(f"messages/binance/ws_spot_{name}.tsv.gz") for name in names]
    outcome = replayed(tmp_path / "both", *files, seconds=340)
    assert {fill.side for fill in outcome.bodies(OrderFilled)} >= {"buy"}
