"""Deposits, withdrawals and target weights."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.ids import ProposalId
from bus.messages.council import ProposalApproved
from bus.messages.ledger import FundsChanged, PositionChanged, PositionClosed
from bus.messages.orders import (
    ChangeFunds,
    EngageKillSwitch,
    OrderDenied,
    Rebalance,
    RebalanceEnded,
    RebalanceStarted,
    TargetWeight,
    TrailSpec,
    VerdictScaled,
)
from bus.messages.system import AlertRaised
from market.money import LARGEST_ACCOUNT
from tests.orders.trading import BTC, ETH, WIDE, Bench, D, cancels, of_type, sent

TRAIL = TrailSpec("percent", D("0.02"))


@pytest.fixture
def bench() -> Bench:
    return priced(Bench())


def priced(made: Bench) -> Bench:
    made.quote("99.9", "100")
    made.trade("100")
    made.quote("9.99", "10", ETH)
    made.trade("10", ETH)
    return made


def council(bench: Bench, order_id: str = "td-p1", quantity: str = "10", kind: str = "trailing", **more) -> None:
    proposal = ProposalId(order_id.removeprefix("td-"))
    bench.say(ProposalApproved(proposal, BTC, D(quantity), None, (), "ok"))
    bench.journal.append(bench.last_command)  # the runtime writes verdicts down
    more = {"trail": TRAIL, **more} if kind == "trailing" else more
    bench.submit(order_id, "buy", kind, quantity, origin="council", proposal_id=proposal, **more)


# ---- deposits


def test_a_deposit_is_a_fact_an_alert_and_no_profit(bench):
    bench.hold("10", "100")
    before = bench.engine.look()
    effects = bench.say(ChangeFunds(D(5000), "by ann"))
    (fact,) = of_type(effects, FundsChanged)
    assert (fact.delta, fact.balance) == (D(5000), D(14_000))
    assert [alert.title for alert in of_type(effects, AlertRaised)] == ["Deposit"]
    after = bench.engine.look()
    assert after.equity == before.equity + 5000
    assert after.realized_pnl == before.realized_pnl
    assert after.unrealized_pnl == before.unrealized_pnl
    assert (after.daily_drawdown, after.daily_loss) == (before.daily_drawdown, before.daily_loss)


def test_a_deposit_of_more_than_a_tenth_enlarges_a_held_entry_of_the_council(bench):
    council(bench)
    effects = bench.say(ChangeFunds(D(5000)))
    (scaled,) = of_type(effects, VerdictScaled)
    assert scaled.quantity == D(15)
    assert bench.order("td-p1").spec.quantity == D(15)
    (submit,) = sent(bench.trade("102"))
    assert submit.approved.order.quantity == D(15)


@pytest.mark.parametrize("delta", [D(1000), D(500)])
def test_a_deposit_of_a_tenth_or_less_changes_no_entry(bench, delta):
    council(bench)
    bench.say(ChangeFunds(delta))
    assert bench.order("td-p1").spec.quantity == D(10)


def test_a_persons_entry_is_not_enlarged(bench):
    bench.submit("td-1", "buy", "trailing", "1", trail=TRAIL)
    bench.say(ChangeFunds(D(5000)))
    assert bench.order("td-1").spec.quantity == D(1)


def test_a_deposit_enlarges_an_entry_at_the_venue_by_replacing_it(bench):
    council(bench, kind="limit", price="99")
    bench.accept("td-p1")
    effects = bench.say(ChangeFunds(D(5000)))
    assert [effect.client_order_id for effect in cancels(effects)] == ["td-p1"]
    (submit,) = sent(bench.report("td-p1", "cancelled"))
    assert submit.approved.order.quantity == D(15)


def test_a_deposit_found_by_reconciliation_does_the_same(bench):
    council(bench)
    effects = bench.say(FundsChanged("USDT", D(5000), D(15_000), "difference found at the venue"))
    assert [alert.title for alert in of_type(effects, AlertRaised)] == ["Deposit"]
    assert bench.order("td-p1").spec.quantity == D(15)


def test_an_enlarged_entry_is_the_same_after_a_restart(bench):
    council(bench)
    bench.say(ChangeFunds(D(5000)))
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    assert again.order("td-p1").spec.quantity == D(15)
    priced(again)
    assert len(sent(again.trade("102"))) == 1


# ---- withdrawals


def test_a_withdrawal_shrinks_what_the_smaller_account_does_not_allow():
    bench = priced(Bench(replace(WIDE, max_order_notional=D("0.2"))))
    council(bench)
    effects = bench.say(ChangeFunds(D(-7000)))
    assert [alert.title for alert in of_type(effects, AlertRaised)] == ["Withdrawal"]
    assert bench.order("td-p1").spec.quantity == D(3)


def test_a_withdrawal_leaves_what_is_still_allowed(bench):
    council(bench)
    bench.say(ChangeFunds(D(-2000)))
    assert bench.order("td-p1").spec.quantity == D(10)


def test_a_withdrawal_cancels_what_would_become_too_small():
    bench = priced(Bench(replace(WIDE, max_order_notional=D("0.2"))))
    bench.submit("td-1", "buy", "limit", "10", price="99")
    bench.accept("td-1")
    effects = bench.say(FundsChanged("USDT", D(-9995), D(5), "withdrawn at the venue"))
    assert [effect.client_order_id for effect in cancels(effects)] == ["td-1"]
    assert "withdrawal" in bench.order("td-1").cancel_reason


def test_more_than_is_free_cannot_be_withdrawn(bench):
    bench.hold("50", "100")
    (denial,) = of_type(bench.say(ChangeFunds(D(-6000))), OrderDenied)
    assert denial.code == "INSUFFICIENT_FUNDS"
    assert "5000" in denial.message
    assert bench.engine.ledger.cash == D(5000)


def test_a_deposit_makes_no_account_larger_than_the_largest_capital(bench):
    cash = bench.engine.ledger.cash
    (denial,) = of_type(bench.say(ChangeFunds(LARGEST_ACCOUNT - cash + D("0.01"))), OrderDenied)
    assert denial.code == "INVALID_ORDER"
    assert str(LARGEST_ACCOUNT - cash) in denial.message
    assert bench.engine.ledger.cash == cash
    bench.say(ChangeFunds(LARGEST_ACCOUNT - cash))
    assert bench.engine.ledger.cash == LARGEST_ACCOUNT


def test_a_withdrawal_is_no_loss(bench):
    bench.say(ChangeFunds(D(-6000)))
    look = bench.engine.look()
    assert (look.daily_drawdown, look.max_drawdown, look.daily_loss) == (0.0, 0.0, 0.0)
    bench.second()
    assert bench.engine.kill is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-9000, 9000).filter(bool), max_size=8))
def test_the_books_balance_after_any_deposits_and_withdrawals(deltas):
    bench = priced(Bench())
    council(bench)
    for delta in deltas:
        bench.say(ChangeFunds(D(delta)))
        bench.second()
        bench.engine.ledger.check()
        assert bench.engine.ledger.cash >= 0
    assert bench.engine.ledger.realized_pnl == 0
    again = bench.restarted()
    assert again.engine.ledger.accounts() == bench.engine.ledger.accounts()


# ---- target weights


def fill_all(bench: Bench, effects) -> list[tuple[str, str, object]]:
    """Execute everything at once at its price; returns (symbol, side, quantity) in order."""
    done = []
    waiting = list(sent(effects))
    while waiting:
        order = waiting.pop(0).approved.order
        price = {BTC: "100", ETH: "10"}[order.symbol]
        done.append((order.symbol, order.side, order.quantity))
        waiting += sent(bench.fill(order.client_order_id, order.quantity, price))
    return done


def weights(**targets: str) -> Rebalance:
    return Rebalance(tuple(TargetWeight(f"{name.upper()}/USDT", D(weight)) for name, weight in targets.items()))


def rebalance(bench: Bench, command: Rebalance) -> list:
    done = fill_all(bench, bench.say(command))
    for _ in range(6):
        priced(bench)
        done += fill_all(bench, bench.second())
    return done


def test_positions_are_brought_to_their_targets(bench):
    done = rebalance(bench, weights(btc="0.2", eth="0.1"))
    assert {(symbol, side) for symbol, side, _ in done} == {(BTC, "buy"), (ETH, "buy")}
    equity = bench.engine.look().equity
    assert abs(bench.engine.ledger.quantity(BTC) * 100 / equity - D("0.2")) <= D("0.01")
    assert abs(bench.engine.ledger.quantity(ETH) * 10 / equity - D("0.1")) <= D("0.01")
    ends = [message.body for message in bench.journal if isinstance(message.body, RebalanceEnded)]
    assert [end.reason for end in ends] == ["done"]


def test_sales_come_first_and_purchases_when_the_money_is_there(bench):
    bench.hold("95", "100")
    effects = bench.say(weights(btc="0.3", eth="0.5"))
    assert [each.approved.order.side for each in sent(effects)] == ["sell"]
    assert sent(bench.second()) == []
    done = fill_all(bench, effects)
    for _ in range(6):
        priced(bench)
        done += fill_all(bench, bench.second())
    assert [side for _, side, _ in done] == ["sell", "buy"]


def test_a_weight_of_zero_sells_everything(bench):
    bench.hold("3", "100")
    rebalance(bench, weights(btc="0"))
    assert bench.engine.ledger.quantity(BTC) == 0


def test_inside_the_band_nothing_is_done(bench):
    bench.hold("20", "100")
    effects = bench.say(weights(btc="0.205"))
    assert sent(effects) == []
    assert len(of_type(effects, RebalanceEnded)) == 1


def test_a_symbol_that_is_not_named_stays_as_it_is(bench):
    bench.hold("5", "100")
    rebalance(bench, weights(eth="0.1"))
    assert bench.engine.ledger.quantity(BTC) == D(5)


def test_a_purchase_larger_than_one_order_may_be_goes_in_parts():
    bench = priced(Bench(replace(WIDE, max_order_notional=D("0.1"))))
    done = rebalance(bench, weights(btc="0.3"))
    assert len(done) >= 3
    assert abs(bench.engine.ledger.quantity(BTC) - 30) < D("1.1")


@pytest.mark.parametrize(("command", "code"), [
    (weights(btc="1.5"), "INVALID_ORDER"), (weights(btc="0.6"), "EXPOSURE_PER_ASSET"), (Rebalance(()), "INVALID_ORDER"),
    (weights(btc="0.4", eth="0.4"), "EXPOSURE_TOTAL"), (weights(doge="0.1"), "UNKNOWN_INSTRUMENT"),
    (Rebalance((TargetWeight(BTC, D("0.1")), TargetWeight(BTC, D("0.2")))), "UNKNOWN_INSTRUMENT"),
])
def test_targets_that_cannot_be_reached_are_refused_at_once(command, code):
    bench = priced(Bench(replace(WIDE, exposure_per_asset=D("0.5"), exposure_total=D("0.7"))))
    effects = bench.say(command)
    assert [denial.code for denial in of_type(effects, OrderDenied)] == [code]
    assert of_type(effects, RebalanceStarted) == []


def test_a_second_rebalancing_waits_for_the_first(bench):
    bench.say(weights(btc="0.2"))
    (denial,) = of_type(bench.say(weights(btc="0.3")), OrderDenied)
    assert "under way" in denial.message


def test_an_order_the_gate_refuses_is_the_last_of_its_symbol(bench):
    bench.hold("20", "100")
    bench.say(weights(btc="0.1", eth="0.1"))
    for _ in range(4):  # the market is not heard any more: entries are refused as stale
        bench.second(5)
    sells = [order for order in bench.engine.orders if order.spec.tag == "rebalance" and order.is_exit]
    for order in sells:
        bench.fill(order.client_order_id, order.remaining, "100")
    bench.second(5)
    bench.second(5)
    refused = [order for order in bench.engine.orders if order.denial is not None]
    assert [order.spec.symbol for order in refused] == [ETH]
    ends = [message.body.reason for message in bench.journal if isinstance(message.body, RebalanceEnded)]
    assert ends == [f"done, but for {ETH}: see the refused orders"]


def test_the_kill_switch_ends_it(bench):
    bench.say(weights(btc="0.2", eth="0.1"))
    bench.say(EngageKillSwitch("cancel", "enough", "ann"))
    assert len(of_type(bench.second(), RebalanceEnded)) == 1


def test_killed_in_the_middle_a_restart_goes_on_to_the_same_weights(bench):
    effects = bench.say(weights(btc="0.2", eth="0.1"))
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    priced(again)
    fill_all(again, effects)
    for _ in range(6):
        priced(again)
        fill_all(again, again.second())
    assert again.engine.ledger.quantity(BTC) == D(20)
    assert again.engine.ledger.quantity(ETH) == D(100)
    assert [message.body.reason for message in again.journal if isinstance(message.body, RebalanceEnded)] == ["done"]


# ---- before prices are heard


@pytest.mark.parametrize(("price", "amount"), [("80", "1000"), ("80", "-1000"), ("150", "4000"), ("150", "-4000")])
def test_money_that_comes_or_goes_before_a_held_symbol_has_a_price_is_no_loss(price, amount):
    """A restart finds it before it hears prices: marked at cost, the position was a peak that never was."""
    bench = Bench(replace(WIDE, runaway_loss=D("0.02")))
    bench.hold("50", "100")
    for step in ("95", price):
        bench.trade(step)
        bench.second(100)
        bench.second(100)
    before = bench.engine.look()
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    again.say(FundsChanged("USDT", D(amount), D(5000) + D(amount), "found at the venue"))
    third = again.restarted("s3")
    for each in (again, third):
        each.trade(price)
        for _ in range(5):
            each.second()
        after = each.engine.look()
        assert each.engine.kill is None
        assert after.equity == before.equity + D(amount)
        for name in ("daily_drawdown", "weekly_drawdown", "max_drawdown", "daily_loss"):
            assert getattr(after, name) == pytest.approx(getattr(before, name), abs=1e-9)


# ---- a death between the fact and what follows from it


@pytest.mark.parametrize(("asset", "amount"), [("USDT", "-4000"), ("USDT", "4000"), ("BTC", "-30"), ("BTC", "-50")])
@pytest.mark.parametrize("price", ["80", "100", "125"])
def test_money_whose_fact_is_the_last_that_was_written_is_no_loss_after_the_restart(asset, amount, price):
    bench = Bench(replace(WIDE, daily_loss=D("0.3"), kill_loss=D("0.4")))
    bench.hold("50", "100")
    bench.trade(price)
    bench.second(100)
    known = len(bench.journal)
    bench.say(FundsChanged(asset, D(amount), bench.engine.ledger.balance(asset) + D(amount), "found at the venue"))
    killed = Bench(bench.config.limits, capital="")
    killed.journal, killed.now = bench.journal[:known + 1], bench.now
    again = killed.restarted()
    again.engine.finish_restore(again.now)
    for each in (bench, again):
        each.trade(price)
        each.second()
    lived, after = bench.engine.look(), again.engine.look()
    assert again.engine.kill is None
    assert after.equity == lived.equity
    for name in ("daily_drawdown", "weekly_drawdown", "max_drawdown", "daily_loss"):
        assert getattr(after, name) == pytest.approx(getattr(lived, name), abs=1e-9)
    assert float(after.initial_capital) == pytest.approx(float(lived.initial_capital))


def test_the_first_money_of_an_account_sets_its_bases_though_the_process_died_at_once():
    bench = Bench()
    again = Bench(capital="")
    again.journal = bench.journal[:1]
    again = again.restarted()
    again.engine.finish_restore(again.now)
    again.second()
    assert again.engine.look().initial_capital == 10_000
    assert again.engine.look().daily_loss == 0


# ---- coins that went by hand


def missing(bench: Bench, amount: str) -> list:
    left = bench.engine.ledger.balance("BTC") - D(amount)
    return bench.say(FundsChanged("BTC", -D(amount), left, "sold or moved by hand"))


def test_a_position_shrinks_with_what_was_sold_by_hand_and_its_exits_with_it(bench):
    bench.hold("10", "100")
    bench.submit("td-x", "sell", "stop", "10", stop_price=D(95))
    before = bench.engine.look()
    effects = missing(bench, "4")
    (changed,) = of_type(effects, PositionChanged)
    assert (changed.quantity, changed.average_price) == (D(6), D(100))
    assert bench.engine.orders.get("td-x").spec.quantity == D(6)
    after = bench.engine.look()
    assert after.realized_pnl == before.realized_pnl
    assert (after.daily_drawdown, after.daily_loss) == (before.daily_drawdown, before.daily_loss)
    assert after.equity < before.equity
    bench.engine.ledger.check()


def test_a_position_that_was_sold_by_hand_is_closed_at_cost_and_its_exits_end(bench):
    bench.hold("10", "100")
    bench.submit("td-x", "sell", "stop", "10", stop_price=D(95))
    effects = missing(bench, "10")
    (closed,) = of_type(effects, PositionClosed)
    assert (closed.quantity, closed.entry_price, closed.exit_price) == (D(10), D(100), D(100))
    assert bench.engine.ledger.quantity(BTC) == 0
    assert not bench.engine.orders.get("td-x").is_working
    bench.engine.ledger.check()
