"""After a restart no exit comes back that had its end: it would sell what later entries bought."""

from decimal import Decimal

import pytest

from bus.ids import ClientOrderId
from bus.messages.orders import CancelOrder, ClosePosition, EngageKillSwitch, Protection, ReleaseKillSwitch, TrailSpec
from market.ticks import Candle
from tests.orders.trading import BTC, Bench, sent

D = Decimal
PROTECTION = Protection(stop_ratio=D("0.02"), trail=TrailSpec("percent", D("0.03")))


def armed(bench: Bench) -> list[str]:
    return sorted(order.client_order_id for order in bench.engine.orders.working() if order.is_armed)


def close_by_command(bench: Bench) -> None:
    bench.say(ClosePosition(BTC, "enough"))


def close_by_sell(bench: Bench) -> None:
    bench.submit("td-sell", "sell", "market", "1", reduce_only=True)


def close_by_flatten(bench: Bench) -> None:
    bench.say(EngageKillSwitch("flatten", "test", "tester"))


def finish_sale(bench: Bench, price: str) -> None:
    (sale,) = [o for o in bench.engine.orders.working() if o.spec.side == "sell" and o.is_at_venue]
    bench.accept(sale.client_order_id)
    bench.fill(sale.client_order_id, sale.wire_quantity, price)


@pytest.mark.parametrize("close", [close_by_command, close_by_sell, close_by_flatten])
def test_exits_of_a_closed_position_do_not_come_back_on_the_next_one(close: object) -> None:
    bench = Bench()
    bench.hold("1", "100", "td-first", protection=PROTECTION)
    assert armed(bench) == ["td-first-s", "td-first-x"]
    close(bench)  # type: ignore[operator]
    finish_sale(bench, "101")
    if bench.engine.kill is not None:
        bench.say(ReleaseKillSwitch("tester", "over"))
    assert armed(bench) == []
    assert armed(bench.restarted()) == []
    bench.hold("2", "90", "td-second")
    after = bench.restarted("s3")
    assert armed(after) == []
    assert [order.client_order_id for order in after.engine.orders.working()] == []


def test_an_exit_that_a_person_cancelled_stays_cancelled() -> None:
    bench = Bench()
    bench.hold("1", "100", "td-first", protection=PROTECTION)
    bench.say(CancelOrder(ClientOrderId("td-first-s"), "I watch it myself"))
    assert armed(bench.restarted()) == ["td-first-x"]


def test_restarts_do_not_multiply_exits() -> None:
    bench = Bench()
    bench.hold("1", "100", "td-first", protection=PROTECTION)
    for session in ("s2", "s3", "s4"):
        bench = bench.restarted(session)
        assert armed(bench) == ["td-first-s", "td-first-x"]
        assert len(bench.engine.orders) == 3


def test_exits_that_the_end_came_before_are_armed_after_the_restart() -> None:
    bench = Bench()
    bench.hold("1", "100", "td-first", protection=PROTECTION)
    filled = next(i for i, fact in enumerate(bench.journal) if type(fact.body).__name__ == "OrderFilled")
    cut = Bench(bench.config.limits, capital="", session="s2")
    for fact in bench.journal[: filled + 1]:
        cut.engine.restore(fact)
    cut.engine.finish_restore(bench.now)
    assert armed(cut) == ["td-first-s", "td-first-x"]


@pytest.mark.parametrize(("kind", "trigger"), [("atr", "98"), ("absolute", "102")])
def test_a_trail_that_fired_under_halted_is_armed_anew_after_a_restart_that_knows_no_atr_yet(kind, trigger) -> None:
    bench = Bench()
    for second in range(20):
        bench.engine.process(Candle(
            BTC, "1s", second * 10**9, D(100), D(101), D(99), D(100), D(1), 1, bench.now, is_warmup=True,
        ))
    bench.hold("1", "100")
    bench.submit("td-x", "sell", "trailing", "1", trail=TrailSpec(
        kind, D(1 if kind == "atr" else 2), decay_ratio_per_minute=D("0.1"), decay_floor=D(1),
    ))
    bench.say(EngageKillSwitch("halt", "test", "tester"))
    bench.trade("97")
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    again.trade("104")
    assert not sent(again.say(ReleaseKillSwitch("tester", "over")))
    assert armed(again) == ["td-x"]
    assert again.engine.trigger_of("td-x") == D(trigger)
    assert again.restarted("s3").engine.trigger_of("td-x") == D(trigger)
    assert sent(again.trade(trigger))
