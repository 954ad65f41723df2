"""The read model folds the real engine's facts; it must agree with the engine, and explain every order."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.codec import decode, encode
from bus.ids import ClientOrderId, ProposalId, SessionId, TradeId
from bus.messages import council, ledger, orders, system
from bus.messages.header import Message, MessageMaker
from bus.messages.orders import Protection, TrailSpec
from market.ticks import Candle
from orders.effects import SubmitToVenue
from tests.orders.trading import BTC, ETH, START, Bench
from tests.tradingd.small_daemon import portfolio
from tradingd.read_model import ReadModel
from tradingd.read_model_results import DAY_NS
from tradingd.read_model_views import to_iso

D = Decimal
SECOND = 1_000_000_000
PERCENT_2 = TrailSpec("percent", D("0.02"))


class Maker:
    """Numbers messages of several sources on one clock."""

    def __init__(self) -> None:
        self.now = START
        self.makers: dict[str, MessageMaker] = {}

    def make(self, source: str, body: object, cause: str = "") -> Message:
        self.now += SECOND
        return self.makers.setdefault(source, MessageMaker(source, SessionId("s1"))).make(body, self.now, cause=cause)


def folded(messages: list[Message], **bounds: int) -> ReadModel:
    model = ReadModel("USDT", **bounds)
    for message in messages:
        model.apply(message)
    return model


def of_bench(bench: Bench) -> ReadModel:
    return folded(bench.journal)


def whole(model: ReadModel) -> dict[str, Any]:
    """Every view at once."""
    listed = model.orders(limit=10_000)
    return {
        "orders": [asdict(view) for view in listed],
        "traces": {view.id: [asdict(entry) for entry in model.trace(view.id) or ()] for view in listed},
        "fills": [asdict(view) for view in model.fills(limit=10_000)],
        "positions": [asdict(view) for view in model.positions()],
        "performance": asdict(model.performance()),
        "trading": asdict(model.trading()),
        "counts": asdict(model.counts()),
    }


def test_a_market_order_is_seen_from_birth_to_fill() -> None:
    bench = Bench()
    bench.hold("0.5", "100", "td-1", tag="mine")
    order = of_bench(bench).order("td-1")
    assert order is not None
    assert (order.state, order.filled, order.average_price, order.tag) == ("FILLED", "0.5", "100", "mine")
    assert [line.state for line in order.history] == ["PENDING", "SUBMITTED", "SUBMITTED", "FILLED"]
    assert order.created == to_iso(START + 1_000_000) == "2023-11-14T22:13:20.001000Z"


def test_the_worked_case_shows_its_fire_with_trigger_and_price() -> None:
    bench = Bench()
    bench.hold("1", "100")
    bench.submit("td-x", "sell", "trailing", "1", trail=PERCENT_2)
    armed = of_bench(bench).order("td-x")
    assert armed is not None
    assert (armed.state, armed.detail, armed.best, D(armed.trigger or "0")) == ("PENDING", "armed", "100", D(98))
    bench.trade("105")
    moved = of_bench(bench).order("td-x")
    assert moved is not None
    assert (moved.best, moved.trigger) == ("105", "102.9")
    bench.trade("102.5")
    fired = of_bench(bench).order("td-x")
    assert fired is not None
    assert [(fire.trigger, fire.price) for fire in fired.fires] == [("102.9", "102.5")]
    assert (fired.trigger, fired.best, fired.state) == (None, None, "SUBMITTED")


def test_one_advance_moves_every_trail_it_passes_and_no_other() -> None:
    bench = Bench()
    bench.hold("3", "100")
    bench.submit("td-a", "sell", "trailing", "1", trail=PERCENT_2)
    bench.submit("td-b", "sell", "trailing", "1", trail=TrailSpec("absolute", D(10)))
    bench.trade("99")
    bench.submit("td-c", "sell", "trailing", "1", trail=PERCENT_2)
    bench.trade("99.5")
    model = of_bench(bench)
    for name in ("td-a", "td-b", "td-c"):
        view = model.order(name)
        assert view is not None
        assert view.best is not None
        assert view.trigger is not None
        watch = bench.engine._desk.state.watch
        assert D(view.best) == watch.best_of(ClientOrderId(name))
        assert D(view.trigger) == watch.trigger_of(ClientOrderId(name))


def test_a_denied_order_is_kept_as_rejected_by_us_with_its_code() -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-big", "buy", "market", "5000")
    model = of_bench(bench)
    order = model.order("td-big")
    assert order is not None
    assert order.denial is not None
    assert (order.state, order.detail, order.by, order.quantity) == ("REJECTED", "denied", "us", "5000")
    assert order.denial.code
    assert model.counts().denied == 1
    assert model.counts().rejected == 0


def test_a_refused_command_about_an_order_leaves_the_order_as_it_was() -> None:
    bench = Bench()
    bench.hold("0.5", "100", "td-1")
    bench.say(orders.CancelOrder(ClientOrderId("td-1"), "late"))
    bench.say(orders.CancelOrder(ClientOrderId("td-ghost"), "never was"))
    model = of_bench(bench)
    order = model.order("td-1")
    assert order is not None
    assert order.state == "FILLED"
    assert "refused" in order.history[-1].reason
    assert model.order("td-ghost") is None


def test_slippage_counts_against_the_price_at_submission() -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-1", "buy", "market", "1")
    bench.fill("td-1", "1", "101")
    view = of_bench(bench).order("td-1")
    assert view is not None
    assert view.slippage == pytest.approx(0.01)
    assert of_bench(bench).performance().average_slippage == pytest.approx(0.01)


def test_fees_in_the_base_currency_are_valued_at_the_price_of_the_fill() -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-1", "buy", "market", "1")
    bench.fill("td-1", "1", "100", fee="0.001", fee_asset="BTC")
    view = of_bench(bench).order("td-1")
    assert view is not None
    assert D(view.fees) == D("0.1")


def test_a_position_shows_its_unrealised_profit_and_the_orders_that_would_sell_it() -> None:
    bench = Bench()
    bench.hold("1", "100", protection=Protection(stop_ratio=D("0.05"), trail=PERCENT_2))
    bench.trade("104")
    bench.second(61)
    model = of_bench(bench)
    [row] = model.positions()
    portfolio_line = bench.engine.portfolio(bench.now).positions[0]
    assert row.unrealized_pnl is not None
    assert D(row.unrealized_pnl) == portfolio_line.unrealized_pnl
    assert set(row.exits) == {view.id for view in model.orders(working_only=True)}
    assert len(row.exits) == 2
    assert row.protected == "1"


def test_a_position_shows_how_much_of_it_is_covered() -> None:
    bench = Bench()
    bench.hold("100", "1")
    bench.submit("td-s", "sell", "stop", "20", stop_price=D("0.9"))
    bench.submit("td-t", "sell", "take_profit", "100", stop_price=D("1.5"))
    [row] = of_bench(bench).positions()
    assert (row.quantity, row.protected, len(row.exits)) == ("100", "20", 2)


def test_a_round_trip_counts_in_win_rate_profit_factor_and_expectancy() -> None:
    maker = Maker()
    facts = [maker.make("engine", _closed(pnl)) for pnl in ("30", "-10", "10", "0")]
    result = folded(facts).performance()
    assert (result.round_trips, result.wins, result.losses) == (4, 2, 1)
    assert result.win_rate == 0.5
    assert result.profit_factor == 4.0
    assert result.expectancy == "7.5"
    assert [trip.result for trip in result.latest_round_trips] == ["BREAKEVEN", "WIN", "LOSS", "WIN"]
    assert result.sharpe_basis == "round_trips"


def test_without_a_loss_there_is_no_profit_factor_and_without_trades_no_figures() -> None:
    maker = Maker()
    assert folded([maker.make("engine", _closed("5"))]).performance().profit_factor is None
    nothing = folded([]).performance()
    assert (nothing.win_rate, nothing.expectancy, nothing.sharpe, nothing.sharpe_basis) == (None, None, None, "none")


def test_sharpe_is_of_daily_returns_net_of_deposits_when_there_are_enough_days() -> None:
    maker = Maker()
    messages, equity = [], D(1000)
    for day, ratio in enumerate(("0", "0.01", "-0.01", "0.02", "0.01", "0", "0.01")):
        maker.now = START + day * DAY_NS
        equity *= 1 + D(ratio)
        if day == 3:
            equity += 500
            messages.append(maker.make("engine", ledger.FundsChanged("USDT", D(500), equity, "deposit")))
        messages.append(maker.make("engine", portfolio(equity=equity)))
    result = folded(messages).performance()
    returns = [0.01, -0.01, 0.02, 0.01, 0.0, 0.01]
    mean = sum(returns) / 6
    deviation = (sum((value - mean) ** 2 for value in returns) / 5) ** 0.5
    assert result.sharpe_basis == "daily"
    # The deposit day's return is measured on the equity before the deposit.
    assert result.sharpe == pytest.approx(mean / deviation * 365**0.5, rel=0.02)


def test_the_deepest_drawdown_stays_after_recovery() -> None:
    maker = Maker()
    messages = [maker.make("engine", portfolio(max_drawdown=depth)) for depth in (0.0, 0.12, 0.03)]
    assert folded(messages).performance().max_drawdown == 0.12


def test_the_kill_latch_and_the_votes_are_seen() -> None:
    maker = Maker()
    votes = (("operator", "REDUCING", "paused"), ("risk", "ACTIVE", "fine"))
    model = folded([
        maker.make("engine", system.TradingStateChanged("REDUCING", votes, "paused")),
        maker.make("engine", system.KillSwitchEngaged("halt", "smoke", "operator")),
    ])
    first = model.kill_view()
    assert first is not None
    assert (first.action, first.reason, first.by) == ("halt", "smoke", "operator")
    assert model.trading().state == "REDUCING"
    assert model.trading().votes[0].reason == "paused"
    model.apply(maker.make("engine", system.KillSwitchEngaged("flatten", "fire", "operator")))
    stricter = model.kill_view()
    assert stricter is not None
    assert (stricter.action, stricter.since) == ("flatten", first.since)
    model.apply(maker.make("engine", system.KillSwitchReleased("operator", "over")))
    assert model.kill_view() is None


def test_before_any_vote_trading_is_not_said_to_be_active() -> None:
    assert folded([]).trading().state == "REDUCING"


def test_ended_orders_are_forgotten_oldest_first_and_working_ones_never() -> None:
    bench = Bench()
    bench.hold("1", "100")
    bench.submit("td-keep", "sell", "stop", "0.1", stop_price="50")
    for number in range(6):
        bench.submit(f"td-{number}", "buy", "market", "0.01")
        bench.fill(f"td-{number}", "0.01", "100")
    model = folded(bench.journal, max_orders=3, max_fills=4)
    assert [view.id for view in model.orders()] == ["td-5", "td-4", "td-keep"]
    assert len(model.fills()) == 4
    assert model.counts().filled == 7
    assert model.counts().fills == 7


def test_orders_are_filtered_by_state_and_symbol_newest_first() -> None:
    bench = Bench()
    bench.trade("100")
    bench.trade("10", ETH)
    bench.submit("td-1", "buy", "limit", "1", price="90")
    bench.submit("td-2", "buy", "limit", "1", price="9", symbol=ETH)
    bench.submit("td-3", "buy", "trailing", "1", trail=PERCENT_2)
    model = of_bench(bench)
    assert [view.id for view in model.orders()] == ["td-3", "td-2", "td-1"]
    assert [view.id for view in model.orders(symbol=ETH)] == ["td-2"]
    assert [view.id for view in model.orders(state="PENDING")] == ["td-3"]
    assert [view.id for view in model.orders(limit=1)] == ["td-3"]


def test_symbols_at_stake_are_those_held_and_those_with_a_working_order() -> None:
    bench = Bench()
    assert of_bench(bench).symbols_at_stake() == set()
    bench.hold("1", "100")
    bench.trade("10", ETH)
    bench.submit("td-2", "buy", "limit", "2", price="9", symbol=ETH)
    assert of_bench(bench).symbols_at_stake() == {BTC, ETH}


def test_an_order_of_unknown_fate_is_counted_until_the_venue_answers() -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-1", "buy", "market", "1")
    bench.report("td-1", "unknown", reason="timeout")
    assert of_bench(bench).counts().unknown == 1
    bench.fill("td-1", "1", "100")
    assert of_bench(bench).counts().unknown == 0


def test_a_fact_about_an_order_never_heard_of_still_shows_its_fill() -> None:
    maker = Maker()
    fill = orders.OrderFilled(
        ClientOrderId("td-lost"), BTC, "sell", TradeId("1"), D(1), D(100), D(0), "USDT", D(1), True, False, False
    )
    view = folded([maker.make("engine", fill)]).order("td-lost")
    assert view is not None
    assert (view.state, view.side, view.filled) == ("FILLED", "sell", "1")


# ---- the chain ----------------------------------------------------------------------------------------


def council_story(maker: Maker, bench: Bench) -> list[Message]:
    """Candle, analysis, proposal, verdict and command, each caused by the one before."""
    candle = maker.make("engine", Candle(BTC, "1s", START, D(99), D(101), D(98), D(100), D(5), 12, START + SECOND))
    signal = council.AlphaSignal(
        "momentum", "1", BTC, "1s", START, "trail_buy", 0.8, 1.0, 0.01, "medium", "the price rises"
    )
    doubt = council.AlphaSignal("structure", "1", BTC, "1s", START, "hold", 0.1, 0.8, 0.0, "low", "no shape")
    analysis = maker.make(
        "analyst",
        council.AnalysisCompleted(
            BTC, "1s", START, D(100), "trending", (council.Feature("atr_14", 1.5),), (signal, doubt)
        ),
        candle.id,
    )
    protection = Protection(stop_ratio=D("0.05"), trail=PERCENT_2)
    proposal = maker.make(
        "strategy",
        council.TradeProposed(
            ProposalId("s1-p1"), BTC, "buy", D(2), D(100), 0.8, (council.Vote("momentum", "trail_buy", 0.8, 1.0),),
            "momentum", PERCENT_2, protection, 0, False, "momentum agrees to buy",
        ),
        analysis.id,
    )
    check = council.Check("exposure", "0.02", "0.05", True, "2 % of equity is within 5 %")
    verdict = maker.make(
        "risk", council.ProposalApproved(ProposalId("s1-p1"), BTC, D(1), D(2), (check,), "shrunk"), proposal.id
    )
    command = maker.make(
        "trader",
        orders.SubmitOrder(
            ClientOrderId("td-s1-p1"), BTC, "buy", "trailing", D(1), "council", trail=PERCENT_2,
            proposal_id=ProposalId("s1-p1"), protection=protection, confidence=0.8, lead_alpha="momentum",
        ),
        verdict.id,
    )
    bench.now = maker.now - SECOND // 1000
    bench.trade("100")
    bench._take(verdict)
    bench._take(command)
    return [candle, analysis, proposal, verdict, command]


def told(maker: Maker) -> tuple[list[Message], Bench]:
    """A whole life: a trailing entry that fires, its protection, and the exit that ends it."""
    bench = Bench()
    story = council_story(maker, bench)
    bench.trade("98")
    bench.trade("100.5")
    bench.accept("td-s1-p1")
    bench.fill("td-s1-p1", "1", "100.6", fee="0.05")
    bench.trade("110")
    bench.trade("107")
    exit_id = next(order.client_order_id for order in bench.engine.orders if order.state == "SUBMITTED")
    bench.fill(exit_id, "1", "107", fee="0.05")
    return sorted([*story, *bench.journal], key=lambda message: message.header.ts), bench


def test_a_council_order_is_explained_from_candle_to_result() -> None:
    messages, _ = told(Maker())
    entries = folded(messages).trace("td-s1-p1")
    assert entries is not None
    kinds = [entry.kind for entry in entries]
    steps = (
        "Candle", "AnalysisCompleted", "AlphaSignal", "TradeProposed", "ProposalApproved", "SubmitOrder",
        "OrderInitialized", "TrailingArmed", "TrailingAdvanced", "OrderTriggered", "OrderSubmitted",
        "OrderAccepted", "OrderFilled", "PositionClosed",
    )
    places = [kinds.index(step) for step in steps]
    assert places == sorted(places)
    assert kinds.count("AlphaSignal") == 2
    times = [entry.time for entry in entries]
    assert times == sorted(times)


def test_each_link_of_a_trace_is_a_sentence_with_its_figures() -> None:
    messages, _ = told(Maker())
    entries = folded(messages).trace("td-s1-p1") or ()
    texts = "\n".join(entry.text for entry in entries)
    assert all(entry.text[-1:].strip() for entry in entries)
    assert "momentum says buy with confidence 0.80" in texts
    assert "approved 1 BTC/USDT, shrunk from 2" in texts
    assert "New low 98" in texts
    assert "profit 6.3 USDT after fees" in texts
    verdict = next(entry for entry in entries if entry.kind == "ProposalApproved")
    assert verdict.data["checks"][0]["limit"] == "0.05"
    assert orjson.loads(orjson.dumps([asdict(entry) for entry in entries]))


def test_an_entrys_trace_tells_the_fate_of_its_protection() -> None:
    messages, bench = told(Maker())
    children = [order for order in bench.engine.orders if order.spec.parent_id == "td-s1-p1"]
    assert len(children) == 2
    texts = [entry.text for entry in folded(messages).trace("td-s1-p1") or ()]
    for child in children:
        assert any(child.client_order_id in text for text in texts)
    assert any("Its trailing exit" in text and "Filled" in text for text in texts)
    assert any("Its stop" in text and "Cancelled" in text for text in texts)


def test_the_trace_of_an_exit_begins_with_the_proposal_of_its_entry() -> None:
    messages, bench = told(Maker())
    exit_id = next(o.client_order_id for o in bench.engine.orders if o.spec.parent_id and o.state == "FILLED")
    kinds = [entry.kind for entry in folded(messages).trace(exit_id) or ()]
    assert kinds[0] == "Candle"
    assert kinds[-1] == "PositionClosed"


def test_a_trace_without_the_council_begins_at_the_order() -> None:
    bench = Bench()
    bench.hold("1", "100", "td-1")
    kinds = [entry.kind for entry in of_bench(bench).trace("td-1") or ()]
    assert kinds == ["OrderInitialized", "OrderSubmitted", "OrderAccepted", "OrderFilled", "PositionOpen"]


def test_an_unknown_order_has_no_trace() -> None:
    assert folded([]).trace("td-nobody") is None


# ---- agreement with the engine, and with itself -------------------------------------------------------


steps = st.lists(
    st.tuples(
        st.sampled_from([
            "trade", "buy", "limit", "trail", "stop", "exit", "accept", "fill", "part", "cancel", "unknown", "reject",
            "second", "pause", "active", "kill", "release",
        ]),
        st.integers(0, 5), st.integers(90, 110),
    ),
    min_size=5, max_size=60,
)


def _play(bench: Bench, script: list[tuple[str, int, int]]) -> None:
    bench.trade("100")
    for number, (what, which, price) in enumerate(script):
        name = f"td-{number}"
        known = [order for order in bench.engine.orders if order.is_working]
        at_venue = [order for order in known if order.is_at_venue]
        match what:
            case "trade":
                bench.trade(str(price))
            case "buy":
                bench.submit(name, "buy", "market", "0.5", protection=Protection(stop_ratio=D("0.05"), trail=PERCENT_2))
            case "limit":
                bench.submit(name, "buy", "limit", "0.5", price=str(price))
            case "trail":
                bench.submit(name, "buy", "trailing", "0.5", trail=PERCENT_2)
            case "stop":
                bench.submit(name, "sell", "stop", "0.2", stop_price=str(price))
            case "exit":
                bench.say(orders.ClosePosition(BTC, "enough"))
            case "second":
                bench.second(which + 1)
            case "pause" | "active":
                state: Any = "REDUCING" if what == "pause" else "ACTIVE"
                bench.say(system.VoteTradingState("operator", state, what))
            case "kill":
                bench.say(orders.EngageKillSwitch("cancel", "test", "me"))
            case "release":
                bench.say(orders.ReleaseKillSwitch("me", "test"))
            case "cancel" if known:
                bench.say(orders.CancelOrder(known[which % len(known)].client_order_id, "test"))
            case "accept" | "fill" | "part" | "unknown" | "reject" if at_venue:
                order = at_venue[which % len(at_venue)]
                if what == "accept":
                    bench.accept(order.client_order_id)
                elif what == "fill":
                    bench.fill(order.client_order_id, order.remaining, str(price), fee="0.01")
                elif what == "part" and order.remaining > D("0.1"):
                    bench.fill(order.client_order_id, "0.1", str(price), fee="0.01")
                elif what == "unknown":
                    bench.report(order.client_order_id, "unknown", reason="timeout")
                elif what == "reject" and order.state == "SUBMITTED":
                    bench.report(order.client_order_id, "rejected", reason="no")


@settings(max_examples=60, deadline=None)
@given(steps)
def test_it_agrees_with_the_engine_after_any_session(script: list[tuple[str, int, int]]) -> None:
    bench = Bench()
    _play(bench, script)
    model = of_bench(bench)
    engine = bench.engine
    assert {view.id for view in model.orders(limit=10_000)} == {order.client_order_id for order in engine.orders}
    for order in engine.orders:
        view = model.order(order.client_order_id)
        assert view is not None
        assert (view.state, D(view.filled)) == (order.state, order.filled)
        assert D(view.quantity) == order.spec.quantity
        assert abs(D(view.average_price or "0") - order.average_price) < D("1e-9")
        assert len(view.fires) == len(order.fires)
        watch = engine._desk.state.watch
        if order.is_armed and order.spec.order_type == "trailing":
            assert (view.best, view.trigger) != (None, None)
            assert D(view.best or "0") == watch.best_of(order.client_order_id)
            assert D(view.trigger or "0") == watch.trigger_of(order.client_order_id)
    assert model.trading().state == engine.trading_state or not model.trading().votes
    assert (model.kill is None) == (engine.kill is None)
    held = {symbol: position.quantity for symbol, position in engine.ledger.positions.items()}
    assert {row.symbol: D(row.quantity) for row in model.positions()} == held


@settings(max_examples=20, deadline=None)
@given(steps)
def test_the_journal_gives_the_same_views_as_the_live_messages(script: list[tuple[str, int, int]]) -> None:
    bench = Bench()
    _play(bench, script)
    live = of_bench(bench)
    from_disk = folded([decode(encode(message)) for message in bench.journal])
    assert whole(live) == whole(from_disk)
    assert orjson.dumps(whole(live)) == orjson.dumps(whole(from_disk))


@settings(max_examples=20, deadline=None)
@given(steps, st.randoms(use_true_random=False))
def test_it_never_raises_whatever_is_missing_or_out_of_order(script: list[tuple[str, int, int]], chance: Any) -> None:
    bench = Bench()
    _play(bench, script)
    messages = [message for message in bench.journal if chance.random() > 0.3]
    chance.shuffle(messages)
    whole(folded(messages, max_orders=5))


def test_what_it_shows_is_sent_by_the_engine_only_when_approved() -> None:
    bench = Bench()
    bench.trade("100")
    effects = bench.submit("td-1", "buy", "market", "1")
    assert any(isinstance(effect, SubmitToVenue) for effect in effects)
    view = of_bench(bench).order("td-1")
    assert view is not None
    assert view.reference_price == "100"


def _closed(pnl: str) -> ledger.PositionClosed:
    return ledger.PositionClosed(
        BTC, D(1), D(100), D(100) + D(pnl), D(pnl), D("0.1"), START, START + SECOND, ClientOrderId("td-x")
    )
