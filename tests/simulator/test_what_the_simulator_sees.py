"""What the simulator would see: a product with a defect, and the word that tells of it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bus.messages.header import Message
from bus.messages.orders import EngageKillSwitch, SubmitOrder
from bus.messages.system import KillSwitchEngaged, TradingStateChanged
from orders import commands, placing
from orders.chores import Chores
from orders.desk import Desk
from orders.disaster_stop import DisasterStops
from orders.engine import Engine
from orders.print_guard import PrintGuard
from orders.trailing_wing import Wing
from risk.limits import RiskLimits
from simulator import limits, world
from simulator.faults import Fault
from simulator.link import Link
from simulator.process import Process
from simulator.schedule import SECOND
from simulator.world import BEGIN, live_through
from tradingd import composition
from tradingd.account_watch import AccountWatch
from tradingd.health import Health
from tradingd.message_journal import MessageJournal

SHORT_S = 900.0
MIDNIGHT_NS = 1_750_032_000 * SECOND


def violations(script: list[Fault], seeds: Iterable[int] = (3,)) -> str:
    return "\n".join(text for seed in seeds for text in live_through(seed, script, SHORT_S).violations)


def test_an_order_that_is_sent_twice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    create = Link._create

    def twice(self: Link, order: Any) -> Any:
        create(self, order)
        return create(self, order)

    monkeypatch.setattr(Link, "_create", twice)
    assert "was created again" in violations([])


def test_a_fill_that_nobody_asks_about_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Link, "query", lambda self, client_order_id, symbol: None)
    told = violations([Fault(at, "stream_down", "", 60) for at in range(100, 800, 80)], range(4))
    assert "our books say" in told


def test_a_send_that_is_not_flushed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    append = MessageJournal.append
    monkeypatch.setattr(MessageJournal, "append", lambda self, messages, *, sync: append(self, messages, sync=False))
    told = violations([Fault(float(at), "power_cut") for at in range(100, 800, 15)], range(4))
    assert "not in our books" in told or "our books say" in told


def test_an_entry_in_safe_mode_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradingd.health.Health.reasons_to_reduce", ())
    assert "an entry in SAFE mode" in violations([Fault(100, "crash_loop")], range(4))


def test_a_forged_order_that_is_obeyed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("risk.gate._JUDGES_OF_ENTRIES", ())
    assert "nobody who may had asked for it" in violations([Fault(300, "forged"), Fault(500, "fat_finger")])


def test_orders_after_the_kill_switch_and_beyond_the_limits_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("risk.gate._JUDGES_OF_ENTRIES", ())
    told = violations([Fault(300, "kill_halt"), Fault(700, "unlock")], range(3))
    assert "sent after the kill switch" in told
    assert "held of" in told


def test_a_kill_switch_that_is_not_obeyed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(commands.HANDLERS, EngageKillSwitch, lambda desk, command: None)
    told = violations([Fault(300, "kill_halt"), Fault(700, "unlock")], range(3))
    assert "sent after the kill switch" in told
    assert "was pressed, and the process knows nothing of it" in told


def test_a_kill_switch_that_a_death_undoes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    restore = Engine.restore

    def forgetful(self: Engine, message: Message) -> None:
        body = message.body
        if type(body) is not KillSwitchEngaged and not (type(body) is TradingStateChanged and body.state == "HALTED"):
            restore(self, message)

    script = [Fault(300, "kill_cancel"), Fault(320, "kill_idle")]
    assert violations(script) == ""
    monkeypatch.setattr(Engine, "restore", forgetful)
    told = violations(script)
    assert "sent after the kill switch" in told
    assert "was pressed, and the process knows nothing of it" in told


MUTE = [Fault(float(at), ("mute", "feed_down")[at // 100 % 2], "", 60.0) for at in range(100, 800, 100)]


def test_entries_on_stale_data_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    make = composition.make_limits

    def patient(settings: Any) -> RiskLimits:
        return replace(make(settings), stale_after_ns=1 << 60)

    monkeypatch.setattr(composition, "make_limits", patient)
    monkeypatch.setattr(Health, "raise_condition", lambda self, name, text, *, reduces=True: None)
    told = violations(MUTE, range(3))
    assert "an entry on stale data" in told
    assert "and trading is ACTIVE" in told


def test_nothing_is_bought_while_the_feed_is_down_though_people_ask_for_it() -> None:
    lives = [live_through(seed, MUTE, SHORT_S) for seed in range(3)]
    assert [text for life in lives for text in life.violations] == []
    assert any("[TRADING_REDUCING]" in line for life in lives for line in life.trace)


def test_limits_that_the_product_takes_for_wider_than_promised_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    make = composition.make_limits

    def wide(settings: Any) -> RiskLimits:
        return replace(make(settings), exposure_per_asset=Decimal(1), exposure_total=Decimal(1))

    monkeypatch.setattr(composition, "make_limits", wide)
    lives = [live_through(seed, [], 1800) for seed in (5, 4)]
    assert all(life.limit_breaches for life in lives)
    assert all("held of" in life.violations[0] for life in lives)


TIGHT_SEEDS = (4, 9)


@pytest.mark.parametrize(("limit", "word"), [
    ("max_positions", "are open, 1 are allowed"), ("orders_per_second", "within 1 s, 4 are allowed"),
    ("orders_per_minute", "within 60 s, 20 are allowed"),
])
def test_a_tight_limit_that_is_not_kept_is_seen(monkeypatch: pytest.MonkeyPatch, limit: str, word: str) -> None:
    script = [Fault(float(at), "runaway") for at in (200, 500)] + [Fault(float(at), "unlock") for at in (260, 560)]
    script.sort(key=lambda fault: fault.at)
    assert violations(script, TIGHT_SEEDS) == ""
    make = composition.make_limits
    wider: dict[str, Any] = {limit: 50}
    if limit == "orders_per_minute":  # so many reach it only where nothing else is in their way
        wider |= {"orders_per_second": 50, "duplicate_window_ns": 0}
        wider |= {"exposure_per_asset": Decimal(1), "exposure_total": Decimal(1)}
    monkeypatch.setattr(composition, "make_limits", lambda settings: replace(make(settings), **wider))
    assert word in violations(script, TIGHT_SEEDS)


def test_entries_after_the_days_loss_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TIGHT", replace(limits.TIGHT, daily_loss=Decimal("0.004")))  # soon reached
    falls = [Fault(float(at), "crash", symbol) for at in range(150, 800, 50) for symbol in ("BTC/USDT", "ETH/USDT")]
    assert violations(falls, (14, 19)) == ""
    make = composition.make_limits
    monkeypatch.setattr(composition, "make_limits", lambda settings: replace(make(settings), daily_loss=Decimal(1)))
    assert "of the day's capital was lost" in violations(falls, (14, 19))


def test_a_days_loss_is_counted_from_its_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was lost on the day before forbids nothing, and is held against nobody."""
    monkeypatch.setattr(limits, "TIGHT", replace(limits.TIGHT, daily_loss=Decimal("0.004")))
    monkeypatch.setattr(world, "BEGIN", MIDNIGHT_NS - 450 * SECOND)
    falls = [Fault(float(at), "crash", symbol) for at in range(150, 800, 50) for symbol in ("BTC/USDT", "ETH/USDT")]
    assert violations(falls, (14, 19)) == ""
    monkeypatch.setattr(world, "BEGIN", MIDNIGHT_NS - 100 * SECOND)
    make = composition.make_limits
    monkeypatch.setattr(composition, "make_limits", lambda settings: replace(make(settings), daily_loss=Decimal(1)))
    assert "of the day's capital was lost" in violations(falls, (14, 19))


def test_a_position_without_protection_is_seen_and_for_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DisasterStops, "keep", lambda self: None)
    monkeypatch.setattr(DisasterStops, "after_report", lambda self, report: None)
    life = live_through(3, [], SHORT_S)
    assert any("without protection" in text for text in life.violations)
    assert life.unprotected_s_max > 100


def test_a_stop_that_covers_an_eighth_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    place = DisasterStops._place

    def place_little(self: DisasterStops, symbol: str, quantity: Decimal) -> None:
        place(self, symbol, self._desk.markets[symbol].instrument.round_quantity(quantity / 8))

    monkeypatch.setattr(DisasterStops, "_place", place_little)
    monkeypatch.setattr(DisasterStops, "_reason_to_move", lambda self, stop, wanted: "")
    assert "without protection" in violations([], range(2))


def test_armed_exits_without_a_stop_at_the_exchange_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    place = DisasterStops._place

    def place_where_nothing_is_armed(self: DisasterStops, symbol: str, quantity: Decimal) -> None:
        if not any(order.is_armed for order in self._desk.state.orders.exits(symbol)):
            place(self, symbol, quantity)

    monkeypatch.setattr(DisasterStops, "_place", place_where_nothing_is_armed)
    assert "for sale at the exchange" in violations([], range(4))


CRASHES = [Fault(float(at), "crash", symbol) for at in range(200, 800, 150) for symbol in ("BTC/USDT", "ETH/USDT")]


def test_exits_that_do_not_fire_in_a_crash_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert violations(CRASHES, range(3)) == ""
    fire = Wing.fire
    monkeypatch.setattr(Wing, "fire", lambda self, level: [] if self.is_falling else fire(self, level))
    monkeypatch.setattr(Engine, "load", lambda self: [])
    assert "has not fired" in violations(CRASHES, range(3))


def test_a_lone_print_that_is_believed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = [Fault(float(at), "bad_tick") for at in range(100, 850, 10)]
    assert violations(prints, range(2)) == ""
    monkeypatch.setattr(PrintGuard, "judge_print", lambda self, tick, market: self._believe(tick))
    assert "and the market was between" in violations(prints, range(2))


def test_a_stop_that_the_price_jumped_over_is_seen_when_nobody_sells(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = sorted([*CRASHES, *CRASHES], key=lambda fault: fault.at)
    assert violations(twice, range(3)) == ""
    monkeypatch.setattr(DisasterStops, "_press", lambda self, stop: None)
    assert "jumped over the stop" in violations(twice, range(3))


def again(change: Callable[[Desk, SubmitOrder], SubmitOrder]) -> Callable[[Chores], None]:
    """Chores that place once more what was bought ten seconds ago, under another id."""
    run = Chores.run

    def run_and_repeat(self: Chores) -> None:
        run(self)
        desk = self._desk
        for order in tuple(desk.state.orders):
            spec = order.spec
            if (spec.side, spec.order_type, spec.origin) != ("buy", "market", "manual") or spec.reason == "again":
                continue
            if 10 <= (desk.now - order.created_ns) // SECOND < 11:
                placing.place(desk, replace(change(desk, spec), client_order_id=desk.next_id(), reason="again"))

    return run_and_repeat


@pytest.mark.parametrize(("change", "word"), [
    (lambda desk, spec: spec, "nobody had wished for it"),
    (lambda desk, spec: replace(spec, replaces=spec.client_order_id), "bought or ordered where"),
])
def test_a_wish_that_is_bought_twice_under_two_ids_is_seen(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Desk, SubmitOrder], SubmitOrder], word: str,
) -> None:
    monkeypatch.setattr(Chores, "run", again(change))
    lives = [live_through(seed, [], SHORT_S) for seed in range(3)]
    assert any(word in text for life in lives for text in life.violations)
    assert sum(life.duplicates for life in lives) > 0


def test_entries_that_never_come_back_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    script = [Fault(120, "feed_down", "", 2)]
    assert violations(script) == ""
    clear = Health.clear
    late = BEGIN + 100 * SECOND
    monkeypatch.setattr(
        Health, "clear", lambda self, name: None if name == "feed" and self._now() > late else clear(self, name),
    )
    assert "trading is REDUCING at the end" in violations(script)


def test_a_fate_that_nobody_asks_about_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("timeout_after_accept", "stream_down")
    script = [Fault(float(at), name, "", 20) for at in range(100, 800, 100) for name in names]
    assert violations(script, range(2)) == ""
    monkeypatch.setattr(Link, "query", lambda self, client_order_id, symbol: None)
    assert "nobody knows its fate" in violations(script, range(2))


def test_books_that_do_not_follow_the_account_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    script = [Fault(float(at), "fill_lost") for at in range(100, 800, 60)]
    assert violations(script, range(4)) == ""
    monkeypatch.setattr(Process, "look_at_account", lambda self: None)
    monkeypatch.setattr(Link, "query", lambda self, client_order_id, symbol: None)
    assert re.search(r"our books say \S+, the exchange \S+ for 36 s", violations(script, range(4)))


SALES = [
    Fault(float(at), "sold_by_hand", symbol) for at in range(150, 800, 100) for symbol in ("BTC/USDT", "ETH/USDT")
]


def test_coins_sold_by_hand_that_the_books_do_not_follow_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    lives = [live_through(seed, SALES, SHORT_S) for seed in range(3)]
    assert [text for life in lives for text in life.violations] == []
    assert sum("of ours sold by hand" in line for life in lives for line in life.trace) > 5
    monkeypatch.setattr(AccountWatch, "_believe", lambda self, asset, difference, balance: None)
    assert "our books say" in violations(SALES)


def test_a_failure_of_the_product_is_seen_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Chores) -> None:
        raise ZeroDivisionError("in the chores")

    monkeypatch.setattr(Chores, "run", broken)
    assert "ZeroDivisionError: in the chores" in violations([])


