"""Live trading on the practice exchange while it misbehaves: in the end both sides' books agree, nothing twice, nothing
lost, and no order's fate is open for longer than half a minute after the fault."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.fat_fingers import refusal_of, slips
from tests.e2e.fault_sessions import trade_through
from tests.e2e.practice_truth import PracticeTruth, agree, limit_order, market_order
from tests.e2e.process import Process, running, until
from tradingd.client import AnswerError

SYMBOLS = ("SOL/USDT", "XRP/USDT", "DOGE/USDT")


@pytest.fixture(scope="module")
def truth() -> PracticeTruth:
    return PracticeTruth()


@pytest.fixture(scope="module")
def daemon(truth: PracticeTruth, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    data_dir = tmp_path_factory.mktemp("faults") / "data"
    with running(data_dir, env=truth.env) as found:
        for symbol, quantity in zip(SYMBOLS, ("0.3", "20", "120"), strict=True):
            found.buy(symbol, quantity)
        yield found


def test_every_fault_of_an_order_ends_with_books_that_agree(daemon: Process, truth: PracticeTruth) -> None:
    faults = (
        "lost_ack", "http_5xx", "overfill", "partial", "fill_lost", "fill_duplicate", "reorder", "clock_skew",
        "rate_limit",
    )
    trade_through(daemon, truth, SYMBOLS, faults)


def test_orders_that_time_out_are_found_or_known_never_to_have_arrived(daemon: Process, truth: PracticeTruth) -> None:
    daemon.buy("DOGE/USDT", "41")  # after a clock that was skewed: a request with a wrong time would be refused unheard
    truth.fault("timeout_after_accept", "SOLUSDT")
    truth.fault("timeout_before", "XRPUSDT")
    there = market_order(daemon, "SOL/USDT", "buy", "0.07")
    nowhere = market_order(daemon, "XRP/USDT", "buy", "9")
    started = time.monotonic()
    until(lambda: truth.struck("timeout_before"), "a request that is held", 5)
    daemon.filled(there)
    until(lambda: daemon.order(nowhere)["state"] in ("REJECTED", "EXPIRED", "CANCELLED"), "its end", 45)
    assert time.monotonic() - started < 10 + 30
    agree(daemon, truth, *SYMBOLS)


def test_fills_that_no_stream_tells_are_found_all_the_same(daemon: Process, truth: PracticeTruth) -> None:
    """F21, F24: one stream is cut, the other is open and mute, while resting orders are filled by a fall."""
    truth.fault("user_mute", "", 8)
    mute = limit_order(daemon, truth, "DOGE/USDT", "40", "0.99")
    until(lambda: daemon.order(mute)["detail"] == "accepted", "an order that rests", 5)
    truth.fault("crash", "DOGE/USDT")
    daemon.filled(mute, 45)
    truth.fault("stream_down", "", 4)
    cut = limit_order(daemon, truth, "XRP/USDT", "7", "0.99")
    truth.fault("crash", "XRP/USDT")
    daemon.filled(cut, 45)
    agree(daemon, truth, *SYMBOLS)


def test_a_cancel_without_an_answer_ends_the_order(daemon: Process, truth: PracticeTruth) -> None:
    order = limit_order(daemon, truth, "SOL/USDT", "0.06", "0.97")
    until(lambda: daemon.order(order)["detail"] == "accepted", "an order that rests", 5)
    truth.fault("cancel_lost", "SOLUSDT", 1)
    daemon.client.delete(f"/api/orders/{order}")
    until(lambda: daemon.order(order)["state"] == "CANCELLED", "its end", 30)
    agree(daemon, truth, *SYMBOLS)


def test_a_closed_market_refuses_entries_and_takes_them_again_afterwards(daemon: Process, truth: PracticeTruth) -> None:
    truth.fault("maintenance", "DOGE/USDT", 60)
    refused = market_order(daemon, "DOGE/USDT", "buy", "33")
    until(lambda: daemon.order(refused)["state"] == "REJECTED", "the exchange's no", 10)
    truth.call("DELETE", "/practice/faults")

    def bought() -> str | None:
        try:
            return market_order(daemon, "DOGE/USDT", "buy", "34")
        except AnswerError as error:
            if error.code != "INSTRUMENT_NOT_TRADING":
                raise
            time.sleep(2)  # many denials in a row are a runaway
            return None

    daemon.filled(until(bought, "entries taken again: the venue is asked every ten seconds", 30))
    agree(daemon, truth, *SYMBOLS)


def test_after_a_key_that_was_refused_entries_come_back_by_themselves(daemon: Process, truth: PracticeTruth) -> None:
    """F19."""
    truth.fault("bad_key", "", 5)
    refused = market_order(daemon, "XRP/USDT", "buy", "11")
    until(lambda: daemon.order(refused)["state"] == "REJECTED", "the exchange's no", 10)
    until(lambda: daemon.status()["state"] == "REDUCING", "no entries", 3)
    until(lambda: daemon.status()["state"] == "ACTIVE", "entries again", 30)
    truth.call("DELETE", "/practice/faults")
    assert daemon.buy("XRP/USDT", "12")["state"] == "FILLED"
    agree(daemon, truth, *SYMBOLS)


def test_what_is_executed_while_the_daemon_stands_still_is_not_lost(daemon: Process, truth: PracticeTruth) -> None:
    """F13: the fills come, entries wait until the loop is on time again."""
    order = limit_order(daemon, truth, "SOL/USDT", "0.08", "0.99")
    until(lambda: daemon.order(order)["detail"] == "accepted", "an order that rests", 5)
    with daemon.standing_still(4.0):
        truth.fault("crash", "SOL/USDT")
    until(lambda: any("late" in each["text"] for each in daemon.status()["problems"]), "the lag named", 3)
    daemon.filled(order, 45)
    until(lambda: daemon.status()["state"] == "ACTIVE", "entries again", 15)
    agree(daemon, truth, *SYMBOLS)


def test_what_nobody_can_mean_is_denied_with_a_code(daemon: Process, truth: PracticeTruth) -> None:
    """F35."""
    before = len(truth.orders(*SYMBOLS))
    held, price = daemon.positions()["XRP/USDT"]["quantity"], daemon.positions()["XRP/USDT"]["mark"]
    for wish, code in slips(held, price):
        assert refusal_of(daemon, {"symbol": "XRP/USDT", **wish}) == code, wish
    assert len(truth.orders(*SYMBOLS)) == before
    agree(daemon, truth, *SYMBOLS)


def test_kill_9_while_an_order_waits_for_its_answer_sends_nothing_twice(tmp_path: Path) -> None:
    truth = PracticeTruth()
    with running(tmp_path / "data", env=truth.env) as daemon:
        daemon.buy("SOL/USDT", "0.3")
        agree(daemon, truth, *SYMBOLS)
        truth.fault("timeout_after_accept", "XRPUSDT")
        truth.fault("user_mute", "", 60)
        order = market_order(daemon, "XRP/USDT", "buy", "12")
        until(lambda: truth.struck("timeout_after_accept"), "a request that is held", 5)
        daemon.kill()
    with running(tmp_path / "data", env=truth.env) as daemon:
        daemon.filled(order)
        agree(daemon, truth, *SYMBOLS)


def test_bad_market_data_moves_no_order_and_the_feed_comes_back(tmp_path: Path) -> None:
    """F01-F11 by a script: gap, crossed book, bad tick, NaN, half a frame, doubles, swaps, silence, a cut."""
    truth = PracticeTruth()
    script = tmp_path / "script.json"
    one_by_one = ("gap", "crossed", "bad_tick", "nan", "malformed", "drop", "bad_tick")
    script.write_text(json.dumps([
        *({"at": 6 + number * 0.4, "fault": name, "target": "SOL/USDT"} for number, name in enumerate(one_by_one)),
        {"at": 9, "fault": "duplicate_ticks", "for": 1}, {"at": 10, "fault": "reorder_ticks", "for": 1},
        {"at": 11, "fault": "delay", "for": 1}, {"at": 13, "fault": "feed_down", "for": 2},
        {"at": 16, "fault": "mute", "for": 6},
    ]))
    with running(tmp_path / "data", "--faults", str(script), env=truth.env) as daemon:
        daemon.buy("SOL/USDT", "0.5")
        trail = daemon.trail("SOL/USDT", "0.1", "8")["id"]

        def over() -> bool:
            listed = truth.call("GET", "/practice/faults")["faults"]
            assert daemon.order(trail)["state"] == "PENDING", "a lone bad tick fired a trail"
            return all(row["state"] == "over" for row in listed)

        until(over, "the end of the script", 40)
        assert all(row["struck"] or row["fault"] == "mute" for row in truth.call("GET", "/practice/faults")["faults"])

        def again() -> bool:
            feed = daemon.status()["feeds"][0]
            return bool(feed["state"] == "connected" and feed["age_s"] < 1)

        until(again, "a feed that flows", 40)
        assert daemon.status()["feeds"][0]["reconnects"] >= 1
        daemon.client.delete(f"/api/orders/{trail}")
        assert daemon.buy("XRP/USDT", "20")["state"] == "FILLED"
        agree(daemon, truth, *SYMBOLS)
