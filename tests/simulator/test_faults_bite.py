"""A fault befalls what it says, where it says, and one that befalls nobody is told."""

from functools import partial
from itertools import pairwise
from random import Random

import orjson
import pytest

from bus.ids import ClientOrderId
from bus.messages.orders import ExecutionReport
from market.money import ZERO
from simulator.exchange import Exchange
from simulator.faults import Fault
from simulator.link import Link
from simulator.outcome import Outcome
from simulator.process import Process
from simulator.schedule import SECOND, Schedule
from simulator.world import live_through

SHORT_S = 900.0


def live(script: list[Fault], seed: int = 3) -> Outcome:
    life = live_through(seed, script, SHORT_S)
    assert life.violations == []
    return life


def told(life: Outcome, *words: str) -> list[str]:
    return [line[11:] for line in life.trace if any(word in line for word in words)]


def test_frames_out_of_order_are_really_overtaken_and_move_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[tuple[str, int]] = []
    frame = Process.frame

    def heard(self: Process, raw: bytes) -> None:
        data = orjson.loads(raw)["data"]
        numbers.append((f"{data['s']} {'trade' if 't' in data else 'quote'}", data.get("t", data.get("u"))))
        frame(self, raw)

    monkeypatch.setattr(Process, "frame", heard)
    live([Fault(100, "reorder_ticks", "BTC/USDT", 700)])
    overtaken = {
        kind: sum(later < earlier for earlier, later in pairwise(row))
        for kind in {kind for kind, _ in numbers} for row in [[number for each, number in numbers if each == kind]]
    }
    assert overtaken["BTCUSDT quote"] > 100
    assert overtaken["BTCUSDT trade"] > 100
    assert overtaken["ETHUSDT quote"] == overtaken["ETHUSDT trade"] == 0


def test_a_slow_symbol_has_slow_requests_answers_and_questions_and_the_other_none() -> None:
    schedule = Schedule(0)
    exchange = Exchange([], "USDT", ZERO, ZERO)
    link = Link(schedule, exchange, Random(1), lambda fault, symbol: fault == "slow" and symbol == "BTC/USDT")
    came: dict[str, int] = {}

    def heard(report: ExecutionReport) -> None:
        came.setdefault(report.symbol, schedule.now)

    link.sink = heard
    for symbol in ("BTC/USDT", "ETH/USDT"):
        link.query(ClientOrderId(symbol), symbol)
        link._arrive(partial(came.setdefault, f"{symbol} arrived", 0), symbol)
    schedule.run_until(SECOND // 2)
    assert sorted(came) == ["ETH/USDT", "ETH/USDT arrived"]
    schedule.run_until(5 * SECOND)
    assert SECOND <= came["BTC/USDT"] <= 4 * SECOND
    assert "BTC/USDT arrived" in came


@pytest.mark.parametrize("symbol", ["BTC/USDT", "ETH/USDT"])
def test_a_purchase_by_hand_is_of_the_symbol_it_names(symbol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    create = Exchange.create

    def seen(self: Exchange, client_id: str, symbol: str, *rest: object, **more: object) -> object:
        if client_id.startswith("hand"):
            made.append(symbol)
        return create(self, client_id, symbol, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Exchange, "create", seen)
    live([Fault(200, "foreign_order", symbol), Fault(300, "sold_by_hand")])
    assert made == [symbol, symbol]


@pytest.mark.parametrize(("name", "waiting"), [("fill_lost", "loses_fills_of"), ("overfill", "overfills_of")])
def test_an_execution_that_goes_wrong_is_of_the_symbol_it_names(
    name: str, waiting: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    links: list[Link] = []
    hang_up = Link.hang_up

    def seen(self: Link) -> None:
        links.append(self)
        hang_up(self)

    monkeypatch.setattr(Link, "hang_up", seen)
    live([Fault(100, name, "BTC/USDT"), Fault(100, name, "DOGE/USDT")], seed=5)
    kept = getattr(links[-1] if name == "fill_lost" else links[-1].exchange, waiting)
    assert "DOGE/USDT" in kept
    assert "ETH/USDT" not in kept


@pytest.mark.parametrize("hold_up", ["stall", "sleep"])
def test_a_stop_while_the_process_has_no_time_is_obeyed_afterwards(hold_up: str) -> None:
    life = live([Fault(200, hold_up, "", 20), Fault(205, "stop")])
    assert told(life, "--- process died") == ["--- process died: SIGTERM"]
    assert next(float(line[:10]) for line in life.trace if "SIGTERM" in line) == pytest.approx(220, abs=0.1)


def test_a_kill_switch_while_no_process_lives_is_obeyed_by_the_next_in_the_order_of_what_people_said() -> None:
    down = Fault(400, "kill_idle", "", 60)
    life = live([down, Fault(410, "kill_halt"), Fault(420, "unlock"), Fault(430, "kill_cancel")])
    assert told(life, "waits for the next one") == [
        f"no process lives: {word} waits for the next one"
        for word in ("EngageKillSwitch", "ReleaseKillSwitch", "EngageKillSwitch")
    ]
    assert [line.split("(")[1][:6] for line in told(life, "KILL  engaged") if "(" in line] == ["halt):", "cancel"]
    assert [line for line in life.trace if "sent buy" in line and float(line[:10]) > 460.6] == []


def test_a_fault_that_no_process_lives_to_see_is_told() -> None:
    life = live([Fault(400, "kill_idle", "", 60), Fault(410, "fat_finger"), Fault(411, "stop")])
    assert told(life, "befalls nobody") == [
        "no process lives: fat_finger befalls nobody", "no process lives: stop befalls nobody",
    ]
