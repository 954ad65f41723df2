"""When and at which price orders fill: the next open, the pessimistic path inside a candle, gaps, the cash."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.strategies.candle_rule import CandleContext
from research.backtest.rules import BollingerReversion, RuleError, SmaCross
from tests.research.backtest.candles import BEGIN, Script, flat, of_rows, run, walk

DAY = 86_400 * 10**9


def test_a_wish_at_a_close_fills_at_the_next_open() -> None:
    bars = of_rows(
        [
            ("100", "110", "90", "105"),
            ("107", "120", "100", "118"),
            ("119", "125", "115", "120"),
            ("121", "121", "121", "121"),
        ]
    )
    result = run(bars, Script((0, "buy", {}), (1, "sell", {})), stake="0.9")
    (trade,) = result.trades
    assert (trade.entry_ts, trade.entry_price) == (BEGIN + DAY, Decimal(107))
    assert (trade.exit_ts, trade.exit_price) == (BEGIN + 2 * DAY, Decimal(119))
    assert trade.quantity == Decimal("85.71428571")  # 90 % of 10,000 at the close of 105, rounded down


def test_what_is_wished_at_the_last_candle_never_fills() -> None:
    result = run(flat(["100"] * 3), Script((2, "buy", {})))
    assert result.trades == []
    assert result.open_quantity == 0
    assert list(result.equity) == [10_000.0] * 3


def test_a_wish_at_the_first_candle_is_taken() -> None:
    result = run(flat(["100"] * 3), Script((0, "buy", {})))
    assert result.open_quantity == Decimal(99)


def test_what_is_held_at_the_end_is_marked_and_is_no_trade() -> None:
    result = run(flat(["100", "100", "110"]), Script((0, "buy", {})))
    assert result.trades == []
    assert result.open_quantity == Decimal(99)
    assert result.equity[-1] == pytest.approx(100 + 99 * 110)


def test_an_entry_that_the_cash_does_not_suffice_for_after_a_gap_is_refused_and_the_next_is_taken() -> None:
    bars = of_rows(
        [("100", "100", "100", "100"), ("150", "150", "150", "150"), ("150", "150", "150", "150"), ("150",) * 4]
    )
    result = run(bars, Script((0, "buy", {}), (1, "buy", {})))
    assert result.rejected == 1
    assert result.open_quantity == Decimal(66)


def test_many_refused_entries_do_not_stop_the_rule() -> None:
    rows = [("100", "100", "100", "100"), ("150", "150", "100", "100")] * 30
    result = run(
        of_rows(rows), Script(*[(index, "buy", {}) for index in range(0, 58, 2)], (58, "buy", {"fraction": 0.5}))
    )
    assert result.rejected == 29
    assert result.open_quantity == Decimal(50)


def test_spread_and_slippage_are_paid_on_both_sides_and_the_fee_on_what_is_paid() -> None:
    result = run(
        flat(["100"] * 4),
        Script((0, "buy", {"fraction": 0.5}), (1, "sell", {})),
        fee="0.001",
        spread="0.002",
        slippage="0.003",
    )
    (trade,) = result.trades
    assert (trade.entry_price, trade.exit_price) == (Decimal("100.4"), Decimal("99.6"))
    assert trade.fees == trade.quantity * (Decimal("100.4") + Decimal("99.6")) * Decimal("0.001")
    assert trade.pnl == trade.quantity * Decimal("-0.8") - trade.fees


class TestExitsInsideACandle:
    def test_a_stop_is_met_at_its_price_and_not_at_the_low(self) -> None:
        bars = of_rows([("100",) * 4, ("100", "101", "80", "99"), ("99",) * 4])
        (trade,) = run(bars, Script((0, "buy", {"stop": 0.1}))).trades
        assert (trade.exit_price, trade.exit_reason) == (Decimal(90), "stop")
        assert BEGIN + DAY < trade.exit_ts < BEGIN + 2 * DAY

    def test_a_gap_below_the_stop_is_met_where_the_gap_ended(self) -> None:
        bars = of_rows([("100",) * 4, ("100",) * 4, ("85", "120", "84", "110"), ("110",) * 4])
        (trade,) = run(bars, Script((0, "buy", {"stop": 0.1}))).trades
        assert (trade.exit_price, trade.exit_ts) == (Decimal(85), BEGIN + 2 * DAY)

    def test_of_stop_and_target_in_one_candle_the_stop_comes_first(self) -> None:
        bars = of_rows([("100",) * 4, ("100", "130", "85", "120"), ("120",) * 4])
        (trade,) = run(bars, Script((0, "buy", {"stop": 0.1, "target": 0.2}))).trades
        assert (trade.exit_price, trade.exit_reason) == (Decimal(90), "stop")

    def test_a_target_fills_at_its_price_without_spread_or_slippage(self) -> None:
        bars = of_rows([("100",) * 4, ("100", "130", "95", "120"), ("120",) * 4])
        (trade,) = run(bars, Script((0, "buy", {"stop": 0.1, "target": 0.2, "fraction": 0.5})), slippage="0.01").trades
        assert (trade.entry_price, trade.exit_price, trade.exit_reason) == (Decimal(101), Decimal("121.2"), "target")

    def test_a_gap_above_the_target_fills_at_the_open(self) -> None:
        bars = of_rows([("100",) * 4, ("100",) * 4, ("140", "150", "135", "145"), ("120",) * 4])
        (trade,) = run(bars, Script((0, "buy", {"target": 0.2}))).trades
        assert trade.exit_price == Decimal(140)

    def test_a_trail_follows_the_high_and_fires_on_the_way_to_the_close(self) -> None:
        bars = of_rows([("100",) * 4, ("100", "200", "95", "150"), ("150",) * 4])
        (trade,) = run(bars, Script((0, "buy", {"trail": 0.1}))).trades
        assert (trade.exit_price, trade.exit_reason) == (Decimal(180), "trail")

    def test_a_price_that_doubles_and_halves_within_a_candle_is_believed(self) -> None:
        """Live the engine waits for a second print before it believes such a price; a candle did happen."""
        bars = of_rows(
            [("100",) * 4, ("100", "1000", "10", "50"), ("500", "500", "500", "500"), ("500",) * 4, ("500",) * 4]
        )
        first = run(bars, Script((0, "buy", {"trail": 0.95}), (2, "buy", {"fraction": 0.5})))
        assert [each.exit_price for each in first.trades] == [Decimal(50)]
        assert first.open_quantity > 0

    def test_a_trail_does_not_know_the_high_before_the_low(self) -> None:
        bars = of_rows([("100",) * 4, ("100", "110", "92", "109"), ("109",) * 4])
        result = run(bars, Script((0, "buy", {"trail": 0.1})))
        assert result.trades == []  # 92 is less than 10 % below the open; 110 was seen after it

    def test_of_stop_and_trail_below_the_nearer_is_met(self) -> None:
        bars = of_rows([("100",) * 4, ("100", "100", "70", "75"), ("75",) * 4])
        (trade,) = run(bars, Script((0, "buy", {"stop": 0.2, "trail": 0.1}))).trades
        assert (trade.exit_price, trade.exit_reason) == (Decimal(90), "trail")

    def test_a_stop_that_was_quicker_in_a_gap_leaves_nothing_to_the_rules_sale(self) -> None:
        bars = of_rows([("100",) * 4, ("100",) * 4, ("85",) * 4, ("85",) * 4])
        result = run(bars, Script((0, "buy", {"stop": 0.1}), (1, "sell", {})))
        (trade,) = result.trades
        assert trade.exit_price == Decimal(85)
        assert result.open_quantity == 0

    def test_a_new_entry_after_a_stop_is_protected_anew(self) -> None:
        rows = [("100",) * 4, ("100", "100", "80", "100"), ("100", "100", "80", "100"), ("100",) * 4]
        result = run(of_rows(rows), Script((0, "buy", {"stop": 0.1}), (1, "buy", {"stop": 0.1})))
        assert [each.exit_price for each in result.trades] == [Decimal(90), Decimal(90)]

    @settings(max_examples=60, deadline=None)
    @given(
        moves=st.lists(st.tuples(*(st.integers(50, 150) for _ in range(4))), min_size=4, max_size=25),
        stop=st.sampled_from([None, 0.05, 0.2]), target=st.sampled_from([None, 0.05, 0.3]),
        trail=st.sampled_from([None, 0.03, 0.15]),
    )
    def test_every_exit_lies_within_its_candle_and_the_money_adds_up(
        self, moves: list[tuple[int, int, int, int]], stop: float | None, target: float | None, trail: float | None,
    ) -> None:
        rows = [(str(a), str(max(a, b, c, d)), str(min(a, b, c, d)), str(d)) for a, b, c, d in moves]
        exits = {"fraction": 0.5} | {
            name: value for name, value in (("stop", stop), ("target", target), ("trail", trail)) if value
        }
        result = run(of_rows(rows), Script(*[(index, "buy", exits) for index in range(0, len(rows), 3)]), fee="0.002")
        for trade in result.trades:
            row = rows[(trade.exit_ts - BEGIN) // DAY]
            assert Decimal(row[2]) <= trade.exit_price <= Decimal(row[1])
            assert trade.exit_ts >= trade.entry_ts
        last = float(rows[-1][3])
        assert result.equity[-1] == pytest.approx(float(result.cash) + float(result.open_quantity) * last, rel=1e-12)
        if not result.open_quantity:
            assert result.cash == Decimal(10_000) + sum((each.pnl for each in result.trades), Decimal(0))


class TestWhatTheRuleSees:
    def test_each_candle_once_with_what_is_held_at_its_close(self) -> None:
        rule = Script((0, "buy", {}), (2, "sell", {}))
        run(flat(["100", "100", "110", "120"]), rule)
        assert rule.seen == [(0, 100.0, 0.0), (1, 100.0, 99.0), (2, 110.0, 99.0), (3, 120.0, 0.0)]

    def test_gaps_in_the_data_fill_at_the_next_candle_that_is_there(self) -> None:
        bars = walk(200, 5, keep=0.5)
        result = run(bars, Script((10, "buy", {}), (20, "sell", {})))
        (trade,) = result.trades
        assert trade.entry_ts == bars.ts[11]
        assert trade.exit_ts == bars.ts[21]

    def test_what_a_rule_writes_into_its_context_changes_nothing_but_its_own_view(self) -> None:
        class Forger:
            def on_candle(self, context: CandleContext) -> None:
                context.quantity = context.cash = 1e9
                context.close = 1.0

        assert list(run(flat(["100", "110"]), Forger()).equity) == [10_000.0, 10_000.0]

    def test_a_rule_that_fails_is_told_with_candle_and_line(self) -> None:
        class Broken:
            def on_candle(self, context: CandleContext) -> None:
                if context.index == 3:
                    raise KeyError("nothing")

        with pytest.raises(
            RuleError, match=r"at candle 2: KeyError: 'nothing' \(.*test_fills\.py:\d+\)|at candle 3: KeyError"
        ):
            run(flat(["100"] * 5), Broken())

    @pytest.mark.parametrize(
        "wish", [{"fraction": 0.0}, {"fraction": 1.5}, {"stop": -0.1}, {"trail": float("nan")}, {"target": 0.0}]
    )
    def test_a_ratio_that_cannot_be_one_is_refused_by_name(self, wish: dict[str, float]) -> None:
        with pytest.raises(RuleError, match=next(iter(wish))):
            run(flat(["100"] * 3), Script((1, "buy", wish)))


class TestStandstill:
    """Prices that stand still make equal averages, and equal is no cross, however the sums were rounded."""

    def test_equal_averages_keep_the_last_sign(self) -> None:
        prices = ["5"] * 5 + ["4", "3", "4", "5"] + ["4"] * 9 + ["3"]
        result = run(flat(prices), SmaCross(1, 3), stake="0.5")
        assert [(index, side) for index, side, _ in result.decisions] == [(7, "buy"), (9, "sell")]

    @settings(max_examples=60, deadline=None)
    @given(price=st.integers(1, 10**9), before=st.lists(st.integers(1, 10**9), min_size=1, max_size=60))
    def test_a_price_that_stands_still_crosses_nothing(self, price: int, before: list[int]) -> None:
        """Nine decimals, as cheap coins have; after the averages met, nothing more may happen."""
        cents = [*before, *[price] * 80]
        result = run(flat([f"{each}e-9" for each in cents], "1h"), SmaCross(3, 20), cash="1000000")
        assert all(index < len(before) + 20 for index, _, _ in result.decisions)

    def test_bands_of_a_price_that_stands_still_are_not_left(self) -> None:
        result = run(flat(["0.1"] * 100), BollingerReversion(20, 2.0))
        assert result.decisions == []


def test_each_of_a_dozen_targets_is_met_at_its_own_price_in_one_candle() -> None:
    rows = [(f"{100 - number / 2:g}",) * 4 for number in range(13)] + [("94", "200", "94", "94"), ("94",) * 4]
    entries = [(number, "buy", {"target": 0.1, "fraction": 0.08}) for number in range(12)]
    result = run(of_rows(rows), Script(*entries))
    sold = [float(met) for side, _, met, *_ in result.decision_prices if side == "sell"]
    assert sold == pytest.approx([(100 - number / 2) * 1.1 for number in range(1, 13)][::-1])


@pytest.mark.parametrize("before", ["100", "110", "120"])
def test_a_trail_of_an_entry_at_a_gap_begins_at_the_open_it_was_bought_at(before: str) -> None:
    rows = [(before,) * 4, ("110", "121", "98", "120"), ("120",) * 4]
    (trade,) = run(of_rows(rows), Script((0, "buy", {"trail": 0.05, "fraction": 0.5}))).trades
    assert (trade.entry_price, trade.exit_price, trade.exit_reason) == (Decimal(110), Decimal("104.5"), "trail")


def test_a_trail_is_not_fired_by_a_fall_before_its_entry() -> None:
    rows = [("100",) * 4, ("90", "92", "89", "91"), ("91",) * 4]
    assert run(of_rows(rows), Script((0, "buy", {"trail": 0.05, "fraction": 0.5}))).trades == []
