"""What people call faults and places becomes the fault that is meant, or is refused in words that help."""

import json
import sys
from pathlib import Path

import pytest

from simulator.__main__ import main
from simulator.fault_names import UnknownFaultError, fault_named, target_named
from simulator.fault_places import _TABLE
from simulator.faults import FAULTS, FaultScriptError, read_script


@pytest.mark.parametrize(("word", "name"), [
    ("NaN", "nan"), ("F-14", "timeout_after_accept"), ("F1", "feed_down"), ("f_05", "duplicate_ticks"),
    ("http503", "http_5xx"), ("504", "http_5xx"), ("http_520", "http_5xx"), ("reboot", "power_cut"),
    ("exchange offline", "maintenance"), ("ban with retry after", "rate_limit"),
    ("http429", "rate_limit"), ("HTTP 418", "rate_limit"), ("killswitch", "kill_halt"),
    ("kill_switch_pressed", "kill_halt"), ("crashloop", "crash_loop"), ("ip_banned", "rate_limit"),
    ("clock_jump_forward", "clock_jump"), ("clock_jump_back", "clock_skew"), ("redis_restart", "bus_down"),
    ("disk_slow", "stall"), ("kill_during_cancel_replace", "kill_before_journal"), ("order_rejected", "maintenance"),
    ("lost_response", "timeout_after_accept"), ("sell_by_hand", "sold_by_hand"),
    ("two_instances", "second_daemon"), ("agent_stall", "agent_dies"), ("feed_stall", "mute"),
    ("stream_cut", "stream_down"), ("symbol_delist", "halted"), ("sigint", "stop"), ("dropped_fills", "fill_lost"),
    ("14", "timeout_after_accept"), ("F9 bad tick", "bad_tick"), ("kill -9 after send", "kill_after_send"),
    ("kill_9_after_ack_before_journal", "kill_on_report"), ("5mb frame", "malformed"), ("minimum changes", "new_rules"),
    ("half_dead_ipv6", "network_down"), ("sigterm with orders open", "stop"), ("delisting", "halted"),
    ("duplicatedFill", "fill_duplicate"), ("full_disk", "disk_full"), ("ratelimit", "rate_limit"),
])
def test_a_fault_is_known_by_its_letters_its_words_and_its_id(word: str, name: str) -> None:
    assert fault_named(word) == (name, "")


@pytest.mark.parametrize(("word", "told"), [
    ("memory_leak", "make soak"), ("F50", "No fault of this id"), ("99", "No fault of this id"),
    ("F01,F15", "write an entry for each"), ("kill and crash", "write an entry for each"),
    ("telegram_down", r"'telegram_down'\. Known"), ("airdrop", r"'airdrop'\. Known"),
])
def test_what_there_is_not_is_refused_with_what_is_nearest(word: str, told: str) -> None:
    with pytest.raises(UnknownFaultError, match=told):
        fault_named(word)


@pytest.mark.parametrize(("word", "place", "name"), [
    ("crash", "redis", "bus_down"), ("kill", "sql", "bus_down"), ("restart", "postgres", "bus_down"),
    ("reset", "network", "network_down"), ("drop", "bus", "bus_loss"), ("down", "api", "trading_down"),
    ("slow", "feed", "mute"), ("slow", "agent", "agent_dies"), ("timeout", "create_order", "timeout_before"),
    ("timeout", "binance", "timeout_before"), ("timeout", "cancel", "cancel_lost"), ("error", "disk", "fsync_error"),
    ("freeze", "exchange", "trading_down"), ("hang", "process", "stall"), ("malformed", "bus", "forged"),
    ("duplicate", "daemon", "second_daemon"), ("mute", "network", "network_down"), ("mute", "risk", "risk_agent_dies"),
    ("crash", "exchange", "network_down"), ("crash", "market", "crash"), ("crash", "BTC/USDT", "crash"),
    ("restart", "machine", "power_cut"), ("stop", "exchange", "maintenance"), ("stop", "process", "stop"),
    ("lost", "fills", "fill_lost"), ("kill", "Market Scanner", "agent_dies"), ("corrupt", "journal", "bit_flip"),
])
def test_a_word_means_what_its_place_has(word: str, place: str, name: str) -> None:
    assert fault_named(word, place)[0] == name
    target_named(place)


@pytest.mark.parametrize(("word", "place"), [
    ("malformed", "risk"), ("duplicate", "redis"), ("crash", "clock"), ("freeze", "operator"), ("mute", "account"),
])
def test_a_word_that_its_place_does_not_have_is_refused_with_what_it_has(word: str, place: str) -> None:
    with pytest.raises(UnknownFaultError, match=f"no fault '{word}' befalls '{place}' here"):
        fault_named(word, place)


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTCUSDT", "btc-usdt", "BTC"])
def test_a_halt_of_a_symbol_is_its_market_s_and_a_halt_of_nothing_the_kill_switch_s(symbol: str) -> None:
    name, rest = fault_named("halt", symbol)
    assert (name, target_named(rest)) == ("halted", "BTC/USDT")
    assert fault_named("halt") == ("kill_halt", "")


def test_two_faults_in_one_word_are_two(tmp_path: Path) -> None:
    rows = [
        {"at": 1, "fault": "partial_fill_then_disconnect", "for": 20}, {"at": 2, "fault": "kill -9 during reconcile"},
    ]
    path = tmp_path / "faults.json"
    path.write_text(json.dumps(rows))
    assert [(fault.at, fault.name, fault.lasts) for fault in read_script(path)] == [
        (1, "partial", 20), (1, "stream_down", 20), (2, "kill_idle", 0), (2, "kill_on_report", 0),
    ]
    path.write_text('[{"at": 1, "fault": "F21", "target": "BTC"}]')
    assert [(fault.name, fault.target, fault.lasts) for fault in read_script(path)] == [
        ("partial", "BTC/USDT", 10), ("stream_down", "BTC/USDT", 10),
    ]


def test_the_summary_counts_faults_and_those_in_vain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"at": 10, "fault": "withdrawal"}, {"at": 11, "fault": "sold_by_hand"}, {"at": 14, "fault": "runaway"},
        {"at": 12, "fault": "network_down", "for": 0}, {"at": 13, "fault": "kill_idle", "for": 5},
        {"at": 15, "fault": "mute", "target": "BTC"},
    ]
    path = tmp_path / "faults.json"
    path.write_text(json.dumps(rows))
    assert main(["--seeds", "1", "--trace", "1", "--seconds", "60", "--faults", str(path)]) == 0
    *trace, particulars, _ = capsys.readouterr().out.splitlines()
    told = json.loads(particulars)
    assert (told["faults"], told["faults_in_vain"]) == (6, 3)
    for words in ("not sold by hand: no ETH is there", "network_down goes on for 0 s", "runaway befalls nobody",
                  "mute befalls no symbol alone"):
        assert any(words in line for line in trace), words


def test_each_place_has_faults_that_there_are() -> None:
    assert {fault for faults in _TABLE.values() for fault in faults} <= set(FAULTS)


def read(tmp_path: Path, data: bytes) -> list[str]:
    path = tmp_path / "faults.json"
    path.write_bytes(data)
    return [fault.name for fault in read_script(path)]


def test_a_script_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert read(tmp_path, b'\xef\xbb\xbf[{"at": 1, "fault": "kill"}]') == ["kill_idle"]
    assert read(tmp_path, b'[{"at": 1, "fault": 503}]') == ["http_5xx"]


@pytest.mark.parametrize(("data", "told"), [
    (b"[" * 100_000, "lists within lists"), (b'[{"at": 1, "fault": ["kill"]}]', "entry 1: fault is"),
    (b'[{"at": 1, "at": 2, "fault": "kill"}]', "'at' is written twice"),
    (b'[{"at": 1, "fault": null}]', "fault is None"),
])
def test_what_would_be_misread_is_refused(tmp_path: Path, data: bytes, told: str) -> None:
    if data.startswith(b"[["):
        assert len(data) > sys.getrecursionlimit()
    with pytest.raises(FaultScriptError, match=told):
        read(tmp_path, data)


@pytest.mark.parametrize("seconds", ["nan", "-5", "0", "inf"])
def test_a_length_that_no_seed_can_have_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1", f"--seconds={seconds}"]) == 2
    assert "write seconds of market from 1" in capsys.readouterr().err


def test_a_script_names_the_entry_whose_place_has_no_such_fault(tmp_path: Path) -> None:
    rows = [{"at": 1, "fault": "kill"}, {"at": 2, "fault": "crash", "target": "clock"}]
    with pytest.raises(FaultScriptError, match="entry 2: no fault 'crash' befalls 'clock' here"):
        read(tmp_path, json.dumps(rows).encode())
