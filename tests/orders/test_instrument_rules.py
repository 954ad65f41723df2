"""F12: the venue changes a symbol's rules while we trade it."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bus.ids import SessionId
from bus.messages.header import Message, MessageMaker
from bus.messages.orders import OrderDenied, OrderInitialized, OrderUpdated, TrailSpec
from bus.messages.system import AlertRaised, InstrumentChanged
from orders.engine import Engine
from tests.orders.trading import BTC, Bench, instrument

D = Decimal


def change(bench: Bench, *, symbol: str = BTC, reason: str = "changed", **rules: Any) -> list[Any]:
    """The venue's new rules as the daemon tells them: journalled by it, then given to the engine."""
    now = instrument(symbol)
    values = {
        "price_tick": now.price_tick, "quantity_step": now.quantity_step, "min_quantity": now.min_quantity,
        "max_quantity": now.max_quantity, "min_notional": now.min_notional, "maker_fee": now.maker_fee,
        "taker_fee": now.taker_fee, "is_trading": True, **rules,
    }
    return [getattr(effect, "body", effect) for effect in bench.say(InstrumentChanged(symbol, **values, reason=reason))]


def test_a_held_stop_is_rounded_to_the_new_step_and_sells_when_it_fires() -> None:
    bench = Bench()
    bench.hold("0.1234", "100")
    bench.submit("td-stop", "sell", "stop", "0.1234", stop_price=D("90"), reduce_only=True)
    said = change(bench, quantity_step=D("0.01"), min_quantity=D("0.01"))
    assert any(isinstance(body, OrderUpdated) and body.quantity == D("0.12") for body in said)
    assert bench.order("td-stop").spec.stop_price == D("90")
    bench.trade("89")
    order = bench.order("td-stop")
    assert (order.state, order.wire_quantity) == ("SUBMITTED", D("0.12"))


def test_without_the_new_rules_the_same_stop_would_leave_with_the_old_step() -> None:
    bench = Bench()
    bench.hold("0.1234", "100")
    bench.submit("td-stop", "sell", "stop", "0.1234", stop_price=D("90"), reduce_only=True)
    bench.trade("89")
    assert bench.order("td-stop").wire_quantity == D("0.1234")


def test_an_armed_entry_fires_with_the_new_step() -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-in", "buy", "trailing", "0.1234", trail=TrailSpec("percent", D("0.01")))
    change(bench, quantity_step=D("0.01"), min_quantity=D("0.01"))
    bench.trade("99")
    bench.trade("101")
    order = bench.order("td-in")
    assert order.state == "SUBMITTED"
    assert order.wire_quantity == D("0.12")


def test_a_new_order_is_rounded_to_the_new_tick_and_step() -> None:
    bench = Bench()
    bench.trade("100")
    change(bench, price_tick=D("0.5"), quantity_step=D("0.1"), min_quantity=D("0.1"))
    bench.submit("td-1", "buy", "limit", "1.19", price=D("99.7"))
    order = bench.order("td-1")
    assert (order.wire_quantity, order.wire_price) == (D("1.1"), D("99.5"))


def test_an_order_smaller_than_the_new_step_ends_before_it_could_be_refused() -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-in", "buy", "trailing", "0.1234", trail=TrailSpec("percent", D("0.01")))
    change(bench, quantity_step=D(1), min_quantity=D(1))
    order = bench.order("td-in")
    assert order.state == "CANCELLED"
    assert "new rules" in order.reason


def test_a_halted_symbol_takes_no_entry_and_what_is_held_is_still_sold() -> None:
    bench = Bench()
    bench.hold("0.5", "100")
    bench.submit("td-stop", "sell", "stop", "0.5", stop_price=D("90"), reduce_only=True)
    said = change(bench, is_trading=False, reason="halted")
    assert any(isinstance(body, AlertRaised) and body.level == "critical" for body in said)
    effects = bench.submit("td-more", "buy", "market", "0.2")
    denials = [each.body for each in effects if isinstance(each, Message) and isinstance(each.body, OrderDenied)]
    assert [denial.code for denial in denials] == ["INSTRUMENT_NOT_TRADING"]
    bench.trade("89")
    assert bench.order("td-stop").state == "SUBMITTED"


def test_a_symbol_that_trades_again_takes_entries() -> None:
    bench = Bench()
    bench.trade("100")
    change(bench, is_trading=False)
    change(bench, is_trading=True)
    effects = bench.submit("td-1", "buy", "market", "0.2")
    assert any(isinstance(getattr(each, "body", None), OrderInitialized) for each in effects)


def test_new_rules_of_an_unknown_symbol_change_nothing() -> None:
    bench = Bench()
    assert change(bench, symbol="XXX/USDT") == []


def test_other_symbols_keep_their_rules() -> None:
    bench = Bench()
    bench.trade("100", symbol="ETH/USDT")
    change(bench, quantity_step=D(1), min_quantity=D(1))
    bench.submit("td-1", "buy", "market", "0.2", symbol="ETH/USDT")
    assert bench.order("td-1").wire_quantity == D("0.2")


class CoarseBench(Bench):
    """A venue that changed its step while the process was down."""

    def new_engine(self, session: str) -> Engine:
        coarse = instrument(BTC, step="0.01")
        return Engine(self.config, [coarse, instrument("ETH/USDT")], MessageMaker("engine", SessionId(session)))


def test_rules_that_changed_while_the_process_was_down_are_followed_after_the_restart() -> None:
    bench = Bench()
    bench.hold("0.1234", "100")
    bench.submit("td-stop", "sell", "stop", "0.1234", stop_price=D("90"), reduce_only=True)
    after = CoarseBench(capital="", session="s2")
    after.config, after.now, after.journal = bench.config, bench.now, list(bench.journal)
    for message in bench.journal:
        after.engine.restore(message)
    after.engine.finish_restore(after.now)
    assert after.order("td-stop").spec.quantity == D("0.12")
    after.trade("89")
    assert after.order("td-stop").wire_quantity == D("0.12")


def test_a_restart_repeats_no_rounding() -> None:
    bench = Bench()
    bench.hold("0.1234", "100")
    bench.submit("td-stop", "sell", "stop", "0.12", stop_price=D("90"), reduce_only=True)
    other = bench.restarted()
    effects = other.engine.finish_restore(other.now)
    assert not [each for each in effects if isinstance(getattr(each, "body", None), OrderUpdated)]


@given(
    quantity=st.decimals("0.01", "5", places=4), step=st.sampled_from(["0.0001", "0.003", "0.01", "0.25", "1"]),
    tick=st.sampled_from(["0.01", "0.05", "0.3", "1"]), price=st.decimals("80", "99", places=2),
)
def test_whatever_the_new_increments_are_nothing_leaves_that_is_off_them(
    quantity: Decimal, step: str, tick: str, price: Decimal,
) -> None:
    bench = Bench()
    bench.hold(str(quantity), "100")
    bench.submit("td-stop", "sell", "stop", str(quantity), stop_price=price, reduce_only=True)
    change(bench, quantity_step=D(step), min_quantity=D(step), price_tick=D(tick))
    bench.trade("70")
    order = bench.order("td-stop")
    if order.state == "SUBMITTED":
        assert order.wire_quantity % D(step) == 0
        assert D(0) < order.wire_quantity <= quantity
    else:
        assert quantity // D(step) * D(step) * 70 < 5  # what is left on the step is not worth the venue's minimum
