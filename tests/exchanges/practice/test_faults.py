"""Which faults strike when, and what becomes of frames."""

import asyncio
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.practice.fault_market import FrameFaults, Lane, falsify_binance
from exchanges.practice.fault_script import FAULTS, NEEDS_TIME, Fault, FaultError, read_fault, read_script
from exchanges.practice.faults import Faults
from simulator import faults as simulated


def at_work(*faults: Fault, now: float = 0.0) -> Faults:
    return Faults(faults, lambda: now)


# ---- scripts ---------------------------------------------------------------------------------------


def test_a_script_is_read_in_the_order_of_its_times(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text('[{"at": 9, "fault": "gap"}, {"at": 2.5, "fault": "mute", "target": "BTC/USDT", "for": 3}]')
    assert read_script(path) == (Fault(2.5, "mute", "BTC/USDT", 3.0), Fault(9.0, "gap"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", ("no list", "JSON list of")),
        ("[", ("faults.json", "JSON list of")),
        ('[{"at": 1, "fault": "gap"}, {"at": 1, "fault": "hiccup"}]', ("entry 2", "'hiccup'", "timeout_before")),
        ('[{"fault": "gap"}]', ("entry 1", '"at" is missing')),
        ('[{"at": -1, "fault": "gap"}]', ("entry 1", "at is -1")),
        ('[{"at": 1, "fault": "mute"}]', ("entry 1", 'mute needs "for"')),
        ('[{"at": 1, "fault": "clock_skew", "target": "much", "for": 1}]', ("clock_skew", "'much'")),
        ('[{"at": 1, "fault": "gap", "until": 3}]', ("entry 1", "these keys")),
    ],
)
def test_a_script_that_cannot_be_used_says_where_and_what_to_write(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    path = tmp_path / "faults.json"
    path.write_text(text)
    with pytest.raises(FaultError) as refused:
        read_script(path)
    assert all(word in str(refused.value) for word in words), refused.value


def test_what_means_the_same_is_called_the_same_as_in_the_simulator() -> None:
    not_of_a_process = {name for name in simulated.FAULTS if not name.startswith(("kill_", "power_"))}
    of_machine_or_people = {
        "agent_dies", "bit_flip", "bus_down", "bus_loss", "clock_jump", "crash_loop", "disk_full", "fat_finger",
        "forged", "fsync_error", "network_down", "pause", "replayed", "resume", "risk_agent_dies", "runaway",
        "second_daemon", "sleep", "stall", "stop", "unlock",
    }
    of_an_exchange_there_only = {
        "cancel_race", "cancelled_by_hand", "halted", "new_rules", "quiet", "rally", "trading_down",
    }
    assert not_of_a_process - of_machine_or_people - of_an_exchange_there_only <= FAULTS.keys()


def test_every_fault_is_documented() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "practice.md").read_text()
    assert [name for name in FAULTS if f"| `{name}` |" not in page] == []


# ---- when ------------------------------------------------------------------------------------------


def test_a_fault_without_a_length_strikes_once() -> None:
    faults = at_work(Fault(0.0, "lost_ack"))
    assert faults.strikes("lost_ack", "order") is not None
    assert faults.strikes("lost_ack", "order") is None


def test_a_fault_with_a_length_strikes_whatever_comes_until_its_end() -> None:
    now = [0.0]
    faults = Faults([Fault(1.0, "lost_ack", "", 2.0)], lambda: now[0])
    struck = []
    for now[0] in (0.9, 1.0, 2.0, 2.9, 3.0):
        struck.append(faults.strikes("lost_ack", "order") is not None)
    assert struck == [False, True, True, True, False]


@pytest.mark.parametrize("target", ["BTC/USDT", "BTC-USDT", "btcusdt", ""])
def test_a_target_is_found_however_the_symbol_is_written(target: str) -> None:
    assert at_work(Fault(0.0, "gap", target)).strikes("gap", "BTCUSDT", "book") is not None
    assert (at_work(Fault(0.0, "gap", target)).strikes("gap", "ETHUSDT") is None) == bool(target)


@given(st.lists(st.tuples(st.sampled_from(sorted(FAULTS)), st.floats(0, 100), st.floats(0, 50)), max_size=20))
def test_nothing_strikes_before_its_time_or_after_its_end(rows: list[tuple[str, float, float]]) -> None:
    now = [0.0]
    script = [Fault(at, name, "", lasts) for name, at, lasts in rows]
    faults = Faults(script, lambda: now[0])
    for now[0] in range(0, 160, 7):
        for name in FAULTS:
            fault = faults.strikes(name)
            if fault is not None:
                assert fault.at <= now[0]
                assert fault.lasts == 0 or now[0] < fault.end


# ---- frames ----------------------------------------------------------------------------------------

TRADE = '{"e":"trade","s":"BTCUSDT","t":7,"p":"100.00000000","q":"1.00000000","m":true}'
QUOTE = '{"u":1,"s":"BTCUSDT","b":"99.00000000","B":"1.0","a":"101.00000000","A":"1.0"}'
DEPTH = '{"e":"depthUpdate","s":"BTCUSDT","U":1,"u":2,"b":[["99.0","1"]],"a":[["101.0","1"],["102.0","1"]]}'


def test_frames_are_falsified_as_the_fault_says() -> None:
    assert orjson.loads(falsify_binance("bad_tick", TRADE))["p"] == "90.00000000"
    assert orjson.loads(falsify_binance("nan", TRADE))["p"] == "NaN"
    assert orjson.loads(falsify_binance("nan", QUOTE))["b"] == "NaN"
    crossed = orjson.loads(falsify_binance("crossed", QUOTE))
    assert Decimal(crossed["b"]) > Decimal(crossed["a"])
    book = orjson.loads(falsify_binance("crossed", DEPTH))
    assert Decimal(book["b"][0][0]) > max(Decimal(price) for price, _ in book["a"])
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(falsify_binance("malformed", DEPTH))


def test_a_gap_takes_a_book_frame_and_nothing_else() -> None:
    frames = FrameFaults(at_work(Fault(0.0, "gap")))
    assert frames.on_binance_frame("btcusdt@trade", TRADE) == ("pass", TRADE)
    assert frames.on_binance_frame("btcusdt@depth@100ms", DEPTH)[0] == "lose"
    assert frames.on_binance_frame("btcusdt@depth@100ms", DEPTH) == ("pass", DEPTH)


def test_a_mute_market_says_nothing_but_a_replays_clock_goes_on() -> None:
    frames = FrameFaults(at_work(Fault(0.0, "mute", "", 9.0)))
    assert frames.on_binance_frame("btcusdt@trade", TRADE)[0] == "lose"
    assert frames.on_binance_frame("practice@clock", "{}") == ("pass", "{}")


def test_only_fills_are_lost_or_doubled_on_the_user_stream() -> None:
    lost, twice = (FrameFaults(at_work(Fault(0.0, name))) for name in ("fill_lost", "fill_duplicate"))
    assert (lost.judge_event("BTCUSDT", is_fill=False), lost.judge_event("BTCUSDT", is_fill=True)) == ("pass", "lose")
    assert (twice.judge_event("X", is_fill=False), twice.judge_event("X", is_fill=True)) == ("pass", "twice")


async def test_a_lane_swaps_doubles_loses_and_delays_in_order() -> None:
    sent: list[str] = []
    lane = Lane(sent.append)
    for action, text in (("hold", "1"), ("pass", "2"), ("lose", "3"), ("twice", "4")):
        lane.put(action, text)  # type: ignore[arg-type]
    assert sent == ["2", "1", "4", "4"]
    lane.put("late", "5")
    lane.put("pass", "6")
    assert sent == ["2", "1", "4", "4"]
    async with asyncio.timeout(5):
        while len(sent) < 6:  # noqa: ASYNC110  # the lane has no event to wait for
            await asyncio.sleep(0.01)
    assert sent[4:] == ["5", "6"]


def test_faults_that_mean_nothing_for_one_frame_want_a_length() -> None:
    for name in NEEDS_TIME:
        with pytest.raises(FaultError, match="for"):
            read_fault({"at": 1, "fault": name})
