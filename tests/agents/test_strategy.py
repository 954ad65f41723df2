from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agents.agent import HISTORY
from agents.strategies.trailing_consensus import TrailingConsensus, TrailingConsensusConfig
from agents.strategy import CouncilConfig, Strategy
from bus.ids import ClientOrderId, ProposalId, TradeId
from bus.messages.council import AnalysisCompleted, MandateIssued, ProposalExpired, ProposalVetoed, TradeProposed
from bus.messages.ledger import PositionClosed, PositionOpened
from bus.messages.orders import (
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
    Protection,
    ReassessmentDue,
    SubmitOrder,
    TrailSpec,
)
from bus.messages.system import TradingStateChanged
from market.interval import SECOND_NS
from risk.limits import RiskLimits
from tests.agents.council_scene import (
    BTC,
    ETH,
    SESSION,
    Voice,
    analysis,
    at,
    bodies,
    buys,
    portfolio,
    position,
    sells,
    signal,
)

D = Decimal
BTC_NAME = "BTC/USDT"
ENTRY = ClientOrderId("td-s7-p1")


class Desk:
    """A strategy with an account and a mandate, ready to buy."""

    def __init__(
        self, *, mandate: str = "risk_on", council: CouncilConfig | None = None, restarts: int = 0,
        limits: RiskLimits | None = None, known: bool = True, **rule: Any,
    ) -> None:
        limits = limits or RiskLimits()
        self.strategy = Strategy(
            SESSION, council or CouncilConfig(), TrailingConsensus(TrailingConsensusConfig(**rule), limits), (BTC, ETH),
            restarts,
        )
        self.voice = Voice()
        if known:
            self.tell(0, portfolio())
        if mandate:
            self.tell(0, MandateIssued(mandate, "all is well", at(1000)))  # type: ignore[arg-type]

    def tell(self, second: float, body: Any) -> list[TradeProposed]:
        return bodies(self.strategy.handle(self.voice.say(second, body)), TradeProposed)

    def candle(
        self, second: float, symbol: str = BTC_NAME, signals: Sequence[Any] | None = None, **more: Any,
    ) -> list[Any]:
        return self.tell(second, analysis(symbol, signals, second=second, **more))

    def timer(self, second: float) -> list[Any]:
        return bodies(self.strategy.handle(self.voice.tick(second)))

    def hold(self, second: float, quantity: str = "0.005", symbol: str = BTC_NAME) -> "Desk":
        self.tell(second, PositionOpened(symbol, D(quantity), D(60_000), ENTRY))
        self.tell(second, portfolio(position(symbol, quantity)))
        return self


def entry_order(order_id: str = ENTRY, proposal: str = "s7-p1", **changes: Any) -> OrderInitialized:
    order = SubmitOrder(
        ClientOrderId(order_id), BTC_NAME, "buy", "trailing", D("0.005"), "council", proposal_id=ProposalId(proposal),
    )
    return OrderInitialized(replace(order, **changes))


# ---- entries ---------------------------------------------------------------------------------------


def test_a_buy_consensus_becomes_a_complete_proposal() -> None:
    (wish,) = Desk(take_profit=D("0.05")).candle(1)
    assert wish.proposal_id == "s7-p1"
    assert (wish.symbol, wish.side, wish.reduce_only) == (BTC_NAME, "buy", False)
    assert wish.reference_price == D(60_000)
    assert wish.trail == TrailSpec("percent", D("0.002"))  # 2 x ATR of 0.1 %
    assert wish.protection == Protection(D("0.02"), TrailSpec("percent", D("0.006")), D("0.05"))
    assert wish.order_expires == at(61)
    assert wish.reason == "momentum 0.78, structure 0.70 agree to buy; technical holds"
    assert [vote.alpha for vote in wish.votes] == ["momentum", "structure", "technical"]
    assert wish.lead_alpha == "momentum"
    # 5 % of 10,000 x confidence 0.7444, under the 5 % per asset, on the step
    assert wish.confidence == pytest.approx((0.78 + 0.8 * 0.70) / 1.8)
    assert wish.quantity == D("0.00620")


def test_a_proposal_dies_after_its_time_to_live() -> None:
    desk = Desk()
    (emit,) = desk.strategy.handle(desk.voice.say(1, analysis(second=1)))
    assert emit.expires == at(6)
    assert emit.cause == ""  # the runner names the analysis as the cause


@pytest.mark.parametrize(
    ("atr_ratio", "entry", "leave"),
    [
        (0.00001, "0.0003", "0.001"),  # calm: each at its smallest distance
        (0.004, "0.008", "0.024"),
        (0.01, "0.02", "0.03"),
        (0.5, "0.03", "0.03"),
    ],
)
def test_distances_follow_the_range_within_their_bounds(atr_ratio: float, entry: str, leave: str) -> None:
    (wish,) = Desk().candle(1, atr_ratio=atr_ratio)
    assert wish.trail.distance == D(entry)
    assert wish.protection.trail.distance == D(leave)
    assert wish.protection.stop_ratio == D("0.02"), "the limit, wherever the trail is"
    assert wish.protection.take_profit_ratio is None


def test_without_a_range_nothing_is_bought() -> None:
    desk = Desk()
    assert desk.candle(1, atr_ratio=0) == []
    assert "true range is not known" in desk.strategy.status().message


@pytest.mark.parametrize(("confidence", "proposed"), [(0.5999, 0), (0.60, 1), (0.61, 1)])
def test_the_threshold_is_the_least_confidence_that_is_enough(confidence: float, proposed: int) -> None:
    assert len(Desk().candle(1, signals=[signal("momentum", "trail_buy", confidence)])) == proposed


def test_the_same_candle_is_decided_on_once() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0))
    assert len(desk.candle(1)) == 1
    desk.tell(1, ProposalVetoed(ProposalId("s7-p1"), BTC_NAME, "MAX_POSITIONS", (), "no"))
    assert desk.tell(1.1, analysis(second=1)) == []
    assert desk.tell(1.2, analysis(second=0)) == []
    assert len(desk.tell(2, analysis(second=2))) == 1


def test_only_the_decision_interval_decides() -> None:
    assert Desk().candle(1, interval="1m") == []


def test_a_symbol_that_is_not_traded_is_only_watched() -> None:
    assert Desk().candle(1, "SOL/USDT") == []


@pytest.mark.parametrize("mandate", ["risk_on", "neutral"])
def test_entries_are_allowed_by_a_friendly_mandate(mandate: str) -> None:
    assert len(Desk(mandate=mandate).candle(1)) == 1


@pytest.mark.parametrize("mandate", ["risk_off", ""])
def test_without_a_friendly_mandate_nothing_is_bought(mandate: str) -> None:
    assert Desk(mandate=mandate).candle(1) == []


def test_an_expired_mandate_is_none() -> None:
    desk = Desk()
    assert desk.candle(1000) == []
    assert "no mandate is valid" in desk.strategy.status().message


@pytest.mark.parametrize("state", ["REDUCING", "HALTED"])
def test_entries_need_an_active_trading_state(state: str) -> None:
    desk = Desk()
    desk.tell(1, TradingStateChanged(state, (), "test"))  # type: ignore[arg-type]
    assert desk.candle(1) == []
    desk.tell(2, TradingStateChanged("ACTIVE", (), "test"))
    assert len(desk.candle(2)) == 1


def test_nothing_is_bought_while_the_account_is_not_known() -> None:
    desk = Desk(known=False)
    assert desk.candle(1) == []
    assert "portfolio is not known" in desk.strategy.status().message


def test_an_account_too_small_for_the_minimum_buys_nothing() -> None:
    desk = Desk()
    desk.tell(1, portfolio(equity="100"))
    assert desk.candle(1) == []
    assert "Too small to send" in desk.strategy.status().message


def test_a_second_proposal_waits_for_the_answer_to_the_first() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0))
    assert len(desk.candle(1)) == 1
    assert desk.candle(2) == []
    desk.tell(3, ProposalExpired(ProposalId("s7-p1"), BTC_NAME, "silence is no"))
    assert [wish.proposal_id for wish in desk.candle(4)] == ["s7-p2"]


def test_an_answer_that_was_lost_blocks_only_until_the_proposal_is_dead() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0))
    desk.candle(1)
    assert desk.candle(6) == []
    assert len(desk.candle(7)) == 1


def test_the_cooldown_is_per_symbol() -> None:
    desk = Desk()
    desk.candle(1)
    desk.tell(1, ProposalVetoed(ProposalId("s7-p1"), BTC_NAME, "MAX_POSITIONS", (), "no"))
    assert desk.candle(10) == []
    assert [wish.symbol for wish in desk.candle(10, "ETH/USDT", buys("ETH/USDT"))] == ["ETH/USDT"]
    assert len(desk.candle(11)) == 1


ENDS = [
    OrderCancelled(ENTRY, BTC_NAME, "us", "r"), OrderExpired(ENTRY, BTC_NAME, "us", "r"),
    OrderRejected(ENTRY, BTC_NAME, "r"), OrderDenied(ENTRY, BTC_NAME, "C", "E006", "r", "1", "1", "m"),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda body: type(body).__name__)
def test_a_working_entry_blocks_the_next_until_it_ends(end: Any) -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0))
    desk.candle(1)
    desk.tell(2, entry_order())
    assert desk.candle(30) == []
    desk.tell(31, end)
    assert len(desk.candle(32)) == 1


def test_a_denied_command_frees_the_symbol_at_once() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0))
    desk.candle(1)
    desk.tell(2, ENDS[-1])
    assert len(desk.candle(3)) == 1


def test_a_complete_fill_ends_the_working_entry() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0))
    desk.tell(1, entry_order())
    desk.tell(2, filled("0.002", complete=False))
    desk.tell(2, PositionClosed(BTC_NAME, D("0.002"), D(100), D(101), D(1), D("0.1"), at(2), at(2), ENTRY))
    assert desk.candle(3) == []
    desk.tell(4, filled("0.005"))
    desk.tell(5, PositionClosed(BTC_NAME, D("0.005"), D(100), D(101), D(1), D("0.1"), at(4), at(5), ENTRY))
    assert len(desk.candle(6)) == 1


def test_the_end_of_an_entry_is_believed_before_the_next_snapshot() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0))
    desk.tell(1, entry_order())
    desk.tell(2, portfolio(working=((BTC_NAME, D(300)),)))
    desk.tell(3, OrderCancelled(ENTRY, BTC_NAME, "us", "r"))
    assert len(desk.candle(4)) == 1


def test_what_other_symbols_hold_leaves_less_to_buy() -> None:
    desk = Desk(limits=RiskLimits(exposure_total=D("0.06")))
    desk.tell(1, portfolio(position("SOL/USDT", "2")))
    (wish,) = desk.candle(2)
    assert D(290) < wish.quantity * 60_000 < D(300)


def test_dust_of_the_same_asset_counts_against_its_limit() -> None:
    desk = Desk(limits=RiskLimits(exposure_per_asset=D("0.01")))
    (alone,) = desk.candle(1)
    desk = Desk(limits=RiskLimits(exposure_per_asset=D("0.01")))
    desk.tell(1, portfolio(position(BTC_NAME, "0.00008")))
    (beside,) = desk.candle(2)
    assert alone.quantity - beside.quantity == D("0.00008")


def test_a_reassessed_entry_is_not_sized_against_itself() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0))
    (first,) = desk.candle(1)
    value = first.quantity * 60_000
    desk.tell(2, entry_order())
    working = ((BTC_NAME, D(50)), (BTC_NAME, value))
    desk.tell(3, portfolio(working=working, replaceable=working[1:]))
    desk.tell(30, ReassessmentDue(ENTRY, BTC_NAME, 29 * SECOND_NS, at(60), "open for 29 s"))
    (again,) = desk.candle(31)
    assert first.quantity - again.quantity == D("0.00003")  # less a share of what a person's entry of 50 USDT holds


def test_an_order_that_a_person_placed_blocks_as_well() -> None:
    desk = Desk()
    desk.tell(1, entry_order("td-m-1", "", origin="manual"))
    assert desk.candle(2) == []


def test_a_snapshot_heals_a_lost_end_of_an_order() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0))
    desk.tell(1, entry_order())
    desk.tell(0.5, portfolio())  # older than the order: proves nothing
    assert desk.candle(2) == []
    desk.tell(3, portfolio(working=((BTC_NAME, D(300)),)))
    assert desk.candle(4) == []
    desk.tell(5, portfolio())
    assert len(desk.candle(6)) == 1


def test_a_snapshot_tells_a_restarted_strategy_what_is_open() -> None:
    desk = Desk()
    desk.tell(1, portfolio(working=((BTC_NAME, D(300)),)))
    assert desk.candle(2) == []
    desk = Desk()
    desk.tell(1, portfolio(position(BTC_NAME, "0.005")))
    assert desk.candle(2) == []
    assert len(desk.candle(3, signals=sells())) == 1


def filled(quantity: str, *, complete: bool = True, side: Any = "buy") -> OrderFilled:
    amount = D(quantity)
    return OrderFilled(
        ENTRY, BTC_NAME, side, TradeId("1"), amount, D(60_000), D(0), "USDT", amount, complete, False, True,
    )


def test_a_fill_that_overtakes_its_position_does_not_invite_a_second_entry() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0))
    desk.tell(1, entry_order())
    desk.tell(5, filled("0.005"))  # fills have priority on the bus
    desk.tell(4, portfolio())      # waiting in the queue since before the fill
    assert desk.candle(5) == []
    desk.tell(6, PositionOpened(BTC_NAME, D("0.005"), D(60_000), ENTRY))
    assert desk.candle(7) == []


def test_dust_that_cannot_be_sold_is_no_position() -> None:
    desk = Desk()
    desk.tell(1, portfolio(position(BTC_NAME, "0.00001")))
    assert len(desk.candle(2)) == 1
    assert desk.candle(20, signals=sells()) == []


def test_a_long_record_of_losses_ends_the_buying() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0))
    for _ in range(20):
        desk.tell(1, PositionClosed(BTC_NAME, D("0.005"), D(100), D(99), D(-1), D("0.1"), at(0), at(1), ENTRY))
    assert desk.candle(2) == []
    assert "Kelly share of 0 %" in desk.strategy.status().message


def test_a_strategy_begun_anew_counts_the_round_trips_it_is_told_of_once() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0))
    past = Voice(HISTORY)
    lost = PositionClosed(BTC_NAME, D("0.005"), D(100), D(99), D(-1), D("0.1"), at(0), at(1), ENTRY)
    for second in range(10):
        desk.strategy.handle(past.say(20, replace(lost, closed_ns=at(second))))
    for second in range(10):  # what still waited on the bus when it was begun anew
        desk.tell(20, replace(lost, closed_ns=at(second)))
    assert len(desk.candle(21)) == 1
    desk.tell(22, ProposalVetoed(ProposalId("s7-p1"), BTC_NAME, "C", (), "no"))
    for second in range(10, 20):
        desk.tell(30, replace(lost, closed_ns=at(second)))
    assert desk.candle(31) == []
    assert "Kelly share of 0 %" in desk.strategy.status().message


def test_round_trips_of_the_past_say_nothing_of_what_is_held_now() -> None:
    desk = Desk(max_hold_ns=30 * SECOND_NS).hold(1)
    past = PositionClosed(BTC_NAME, D("0.005"), D(100), D(99), D(-1), D("0.1"), at(0), at(0.5), ENTRY)
    desk.strategy.handle(Voice(HISTORY).say(20, past))
    assert len(desk.timer(31)) == 1


# ---- exits -----------------------------------------------------------------------------------------


def test_a_sell_consensus_on_a_held_symbol_proposes_to_leave_behind_a_tight_trail() -> None:
    (wish,) = Desk().hold(1, "0.005004").candle(2, signals=sells())
    assert (wish.side, wish.reduce_only, wish.quantity) == ("sell", True, D("0.00500"))
    assert wish.trail == TrailSpec("percent", D("0.002"))
    assert wish.protection == Protection()
    assert wish.reason == "momentum 0.80 says sell; technical holds"
    assert wish.order_expires == at(62)


def test_a_sell_consensus_without_a_position_is_nothing() -> None:
    assert Desk().candle(2, signals=sells()) == []


def test_an_exit_is_proposed_once_per_cooldown() -> None:
    desk = Desk().hold(1)
    desk.candle(2, signals=sells())
    desk.tell(3, ProposalVetoed(ProposalId("s7-p1"), BTC_NAME, "C", (), "no"))
    assert desk.candle(4, signals=sells()) == []
    assert len(desk.candle(12, signals=sells())) == 1


def test_the_cooldown_of_an_entry_does_not_delay_its_exit() -> None:
    desk = Desk()
    assert len(desk.candle(1)) == 1
    desk.tell(2, entry_order())
    desk.tell(3, filled("0.005"))
    desk.hold(3)
    assert len(desk.candle(4, signals=sells())) == 1


def test_a_working_exit_is_not_doubled_until_it_is_over() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0)).hold(1)
    desk.candle(2, signals=sells())
    desk.tell(3, entry_order(side="sell", reduce_only=True, expire_at=at(62)))
    assert desk.candle(30, signals=sells()) == []
    desk.tell(31, OrderExpired(ENTRY, BTC_NAME, "us", "r"))
    assert len(desk.candle(32, signals=sells())) == 1


def test_a_lost_end_of_an_exit_does_not_block_for_ever() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0)).hold(1)
    desk.tell(3, entry_order(side="sell", reduce_only=True, expire_at=at(62)))
    assert desk.candle(66, signals=sells()) == []
    assert len(desk.candle(67, signals=sells())) == 1


def test_a_closed_position_takes_its_exits_with_it() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0)).hold(1)
    desk.tell(3, entry_order(side="sell", reduce_only=True, expire_at=at(62)))
    desk.tell(4, PositionClosed(BTC_NAME, D("0.005"), D(100), D(101), D(1), D("0.1"), at(1), at(4), ENTRY))
    assert len(desk.hold(5).candle(6, signals=sells())) == 1


def test_exits_go_on_while_reducing_and_without_a_mandate() -> None:
    desk = Desk(mandate="risk_off").hold(1)
    desk.tell(1, TradingStateChanged("REDUCING", (), "test"))
    assert len(desk.candle(2, signals=sells())) == 1


def test_nothing_at_all_is_proposed_while_halted() -> None:
    desk = Desk(max_hold_ns=SECOND_NS).hold(1)
    desk.tell(1, TradingStateChanged("HALTED", (), "test"))
    assert desk.candle(2, signals=sells()) == []
    assert desk.timer(100) == []


def test_an_exit_without_a_known_range_leaves_at_once() -> None:
    (wish,) = Desk().hold(1).candle(2, signals=sells(), atr_ratio=0)
    assert wish.trail is None


def test_a_position_held_too_long_is_sold_at_market_once_per_cooldown() -> None:
    desk = Desk(max_hold_ns=30 * SECOND_NS).hold(1)
    assert desk.timer(30) == []
    (wish,) = desk.timer(31)
    assert (wish.side, wish.trail, wish.quantity, wish.confidence) == ("sell", None, D("0.005"), 1.0)
    assert wish.reason == "held for 30 s, and 30 s are the longest allowed"
    assert desk.timer(32) == []
    desk.tell(33, ProposalVetoed(wish.proposal_id, BTC_NAME, "C", (), "no"))
    assert desk.timer(40) == []
    assert len(desk.timer(41)) == 1


def test_dust_does_not_make_a_later_position_old() -> None:
    desk = Desk(max_hold_ns=30 * SECOND_NS).hold(1, "0.005")
    desk.tell(2, PositionClosed(BTC_NAME, D("0.005"), D(100), D(101), D(1), D("0.1"), at(1), at(2), ENTRY))
    desk.tell(3, portfolio(replace(position(BTC_NAME, "0.000004"), is_dust=True)))
    desk.tell(100, portfolio(replace(position(BTC_NAME, "0.000004"), is_dust=True)))
    desk.hold(101, "0.005004")
    assert desk.timer(130) == []
    assert len(desk.timer(131)) == 1


def test_a_remainder_worth_too_little_to_sell_does_not_make_a_later_position_old() -> None:
    """The ledger's round trip goes on from it; what is held too long is what was bought now."""
    desk = Desk(max_hold_ns=30 * SECOND_NS).hold(1, "0.005")
    desk.tell(2, portfolio(replace(position(BTC_NAME, "0.00008"), opened_ns=at(1))))
    desk.tell(100, portfolio(replace(position(BTC_NAME, "0.00508"), opened_ns=at(1))))
    assert desk.timer(129) == []
    assert len(desk.timer(130)) == 1


def test_a_strategy_begun_anew_knows_since_when_a_position_is_held() -> None:
    desk = Desk(max_hold_ns=30 * SECOND_NS, known=False)
    desk.tell(25, portfolio(replace(position(BTC_NAME, "0.005"), opened_ns=at(1))))
    assert desk.timer(30) == []
    (wish,) = desk.timer(31)
    assert wish.reason == "held for 30 s, and 30 s are the longest allowed"


def test_a_price_at_which_it_is_worth_too_little_does_not_make_a_position_young_again() -> None:
    desk = Desk(max_hold_ns=30 * SECOND_NS).hold(1, "0.0001")
    cheap = replace(position(BTC_NAME, "0.0001"), mark=D(40_000))
    desk.tell(10, portfolio(cheap))
    desk.tell(20, portfolio(position(BTC_NAME, "0.0001")))
    assert len(desk.timer(31)) == 1


def test_a_position_first_heard_of_while_it_was_worth_too_little_grows_old_all_the_same() -> None:
    desk = Desk(max_hold_ns=30 * SECOND_NS, known=False)
    line = replace(position(BTC_NAME, "0.0001"), opened_ns=at(1))
    desk.tell(10, portfolio(replace(line, mark=D(40_000))))
    desk.tell(20, portfolio(line))
    assert desk.timer(30) == []
    assert len(desk.timer(31)) == 1


def test_without_a_longest_time_positions_are_held_for_ever() -> None:
    assert Desk().hold(1).timer(1_000_000) == []


def test_after_a_closed_position_the_symbol_is_free_again() -> None:
    desk = Desk(council=CouncilConfig(cooldown_ns=0)).hold(1)
    desk.tell(9, PositionClosed(BTC_NAME, D("0.005"), D(100), D(101), D(1), D("0.1"), at(1), at(9), ENTRY))
    assert len(desk.candle(10)) == 1


# ---- ids and determinism ---------------------------------------------------------------------------


def test_proposal_ids_never_repeat_after_a_restart() -> None:
    assert Desk(restarts=2).candle(1)[0].proposal_id == "s7-r2p1"


@pytest.mark.parametrize("session", ["", "x" * 19])
def test_a_session_id_that_makes_order_ids_too_long_is_refused(session: str) -> None:
    with pytest.raises(ValueError, match="1 to 18 characters"):
        Strategy(session, CouncilConfig(), TrailingConsensus(TrailingConsensusConfig(), RiskLimits()), (BTC,))


def test_the_longest_ids_still_fit_the_venue() -> None:
    longest = f"td-{'x' * 18}-r999p9999999-s"
    assert len(longest) <= 36


def test_the_same_messages_give_the_same_proposals() -> None:
    def run() -> list[AnalysisCompleted]:
        desk, said = Desk(council=CouncilConfig(cooldown_ns=2 * SECOND_NS)), []
        for second in range(1, 60):
            said += desk.candle(second, "ETH/USDT", buys("ETH/USDT"))
            said += desk.candle(second)
            said += desk.timer(second)
        return said

    assert run() == run()
    assert len(run()) > 10
