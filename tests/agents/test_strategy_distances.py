"""The strategy with the distances of T9, its busy hours, and the first-entry rule of T8."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agents.strategies.trail_distance import EXIT_REACH, DistanceRule
from agents.strategy import CouncilConfig
from bus.messages.council import AnalysisCompleted, Feature, Regime, TradeProposed, Urgency
from bus.messages.ledger import PositionClosed, PositionOpened
from risk.limits import RiskLimits
from tests.agents.council_scene import START_NS, analysis, at, buys, portfolio, position, signal
from tests.agents.test_strategy import BTC_NAME, ENTRY, Desk

D = Decimal
HOUR_S = 3_600.0
START_HOUR = START_NS // 3_600_000_000_000 % 24
BUSY_S = (14 - START_HOUR) % 24 * HOUR_S + 60


def candle(
    second: float, *, regime: Regime = "trending", close: str = "60300", urgency: Urgency = "medium", **features: float,
) -> AnalysisCompleted:
    told = analysis(second=second, regime=regime)
    more = tuple(Feature(name, value) for name, value in features.items())
    signals = tuple(replace(each, urgency=urgency) for each in buys())
    return replace(told, close=D(close), features=(*told.features, *more), signals=signals)


def entry(rule: DistanceRule, told: AnalysisCompleted, **more: Any) -> TradeProposed:
    (wish,) = Desk(distances=rule, **more).tell((told.ts_open - START_NS) / 1e9, told)
    return wish


def test_entry_and_protection_keep_the_distance_of_regime_confidence_and_volatility() -> None:
    wish = entry(DistanceRule(busy_hours=False), candle(1))
    # 1.5 % x 1.5 x 0.7444 x (1 + 60/60,300 / 2 %), no volume known
    assert wish.trail is not None
    assert wish.trail == wish.protection.trail
    expected = 0.015 * 1.5 * wish.confidence * (1 + 60 / 60_300 / 0.02)
    assert float(wish.trail.distance) == pytest.approx(expected, abs=1e-6)
    assert wish.protection.stop_ratio == D("0.02")


def test_a_calm_market_trails_closer_than_a_volatile_one() -> None:
    calm = entry(DistanceRule(busy_hours=False), candle(1, regime="calm"))
    volatile = entry(DistanceRule(busy_hours=False), candle(1, regime="volatile"))
    assert calm.trail is not None
    assert volatile.trail is not None
    assert volatile.trail.distance > 3 * calm.trail.distance


@pytest.mark.parametrize("limit", ["0.005", "0.02", "0.05"])
@pytest.mark.parametrize("regime", ["calm", "ranging", "trending", "volatile", "unknown"])
def test_the_stop_stands_at_the_limit_however_wide_the_trail_is(regime: Regime, limit: str) -> None:
    for rule, told in (
        (DistanceRule(busy_hours=False), candle(1, regime=regime)), (FOLLOWS, usual(0.08, regime)),
        (FOLLOWS, usual(0.007, regime)), (FOLLOWS, usual(0.0008, regime)),
    ):
        wish = entry(rule, told, limits=RiskLimits(stop_loss=D(limit)))
        assert wish.protection.stop_ratio == D(limit)


FOLLOWS = DistanceRule(busy_hours=False, exit_scale=EXIT_REACH, follows_range=True)


def usual(ratio: float, regime: Regime = "ranging", **features: float) -> AnalysisCompleted:
    """A candle in a market whose candles usually range so much, and in which this one did."""
    told = replace(analysis(second=1, regime=regime, atr_ratio=ratio), close=D(60_300), signals=tuple(buys()))
    more = tuple(Feature(name, value) for name, value in features.items())
    return replace(told, features=(*told.features, Feature("atr_average", 60_300 * ratio), *more))


@pytest.mark.parametrize("ratio", [0.0008, 0.002, 0.007])
def test_distances_that_follow_the_range_are_as_many_ranges_on_any_candles(ratio: float) -> None:
    wish = entry(FOLLOWS, usual(ratio))
    assert wish.trail is not None
    assert wish.protection.trail is not None
    assert 0.5 <= float(wish.trail.distance) / ratio <= 1.2, "an entry is a usual candle away"
    assert 2.0 <= float(wish.protection.trail.distance) / ratio <= 4.5, "an exit stands several of them"


def test_distances_that_follow_the_range_never_leave_the_band_of_the_formula() -> None:
    wish = entry(FOLLOWS, usual(0.08))
    assert wish.trail is not None
    assert wish.protection.trail is not None
    assert wish.trail.distance == wish.protection.trail.distance == D("0.03")
    wild = entry(FOLLOWS, usual(0.08, "volatile"))
    assert wild.protection.trail is not None
    assert wild.protection.trail.distance == D("0.05")


def test_where_hardly_anything_moves_an_entry_still_keeps_the_least_distance() -> None:
    wish = entry(FOLLOWS, usual(0.00002))
    assert wish.trail is not None
    assert wish.trail.distance == D("0.0003")


def test_while_the_usual_range_is_unknown_the_formula_holds_as_it_is() -> None:
    plain, follows = entry(DistanceRule(busy_hours=False), candle(1)), entry(FOLLOWS, candle(1))
    assert plain.trail == follows.trail


def test_thin_volume_widens_and_thick_volume_does_not() -> None:
    thin = entry(DistanceRule(busy_hours=False), candle(1, volume_ratio=0.25))
    usual = entry(DistanceRule(busy_hours=False), candle(1, volume_ratio=1.0))
    assert thin.trail is not None
    assert usual.trail is not None
    assert thin.trail.distance == D("0.03")  # the band's most
    assert usual.protection.trail is not None
    assert float(usual.protection.trail.distance) == pytest.approx(1.5 * 0.01758, abs=1e-5)


def test_the_protective_trigger_keeps_clear_of_a_swing_low_and_the_entrys_of_a_swing_high() -> None:
    # trails of 1.758 %: the sell's trigger 59,436 lies 0.02 % under the swing low, the buy's 61,564 under the high
    wish = entry(DistanceRule(busy_hours=False), candle(1, close="60500", swing_low=59_450.0, swing_high=61_570.0))
    assert wish.protection.trail is not None
    assert wish.trail is not None
    assert abs(D(60_500) * (1 - wish.protection.trail.distance) - D(59_450) * D("0.995")) < D("0.1")
    assert abs(D(60_500) * (1 + wish.trail.distance) - D(61_570) * D("1.005")) < D("0.1")


def test_triggers_keep_clear_of_round_numbers() -> None:
    # 60,050: the sell's trigger 58,994 lies just under 59,000, the buy's 61,106 within 0.2 % of 61,000
    wish = entry(DistanceRule(busy_hours=False), candle(1, close="60050"))
    assert wish.protection.trail is not None
    assert wish.trail is not None
    assert abs(D(60_050) * (1 - wish.protection.trail.distance) - D(59_000) * D("0.995")) < D("0.1")
    assert abs(D(60_050) * (1 + wish.trail.distance) - D(61_000) * D("1.005")) < D("0.1")


def test_the_practice_scales_are_the_same_rule_made_small() -> None:
    small = DistanceRule(entry_scale=D("0.0167"), exit_scale=D("0.08"), busy_hours=False)
    wish = entry(small, candle(1), exit_trail_min=D("0.0015"))
    assert wish.trail is not None
    assert wish.protection.trail is not None
    assert D("0.000167") <= wish.trail.distance <= D("0.000501")
    assert D("0.0015") <= wish.protection.trail.distance <= D("0.0024")


def test_in_busy_hours_only_urgent_entries_are_made_and_their_trails_are_wider() -> None:
    assert 14 <= at(BUSY_S) // 3_600_000_000_000 % 24 < 16
    waits = Desk(distances=DistanceRule())
    waits.strategy._mandate = replace(waits.strategy._mandate, valid_until=at(BUSY_S + 1_000))  # type: ignore[type-var]
    assert waits.tell(BUSY_S, candle(BUSY_S)) == []
    assert "from 14:00 to 15:59 UTC only urgent entries are made" in str(waits.strategy.status())
    (wish,) = waits.tell(BUSY_S + 1, candle(BUSY_S + 1, urgency="high"))
    assert wish.trail is not None
    assert float(wish.trail.distance) == pytest.approx(1.25 * 0.01758, abs=1e-5)


# ---- the first entry -------------------------------------------------------------------------------

FIRST = CouncilConfig(first_entry=True)
WEAK = (signal("momentum", "trail_buy", 0.69), signal("structure", "trail_buy", 0.65, 0.8))


def first_desk() -> Desk:
    desk = Desk(council=FIRST)
    assert desk.tell(1, replace(candle(1), signals=(signal("momentum", "hold", 0.5),))) == []
    return desk


def test_the_first_entry_waits_though_the_consensus_would_buy() -> None:
    assert first_desk().tell(2, replace(candle(2), signals=WEAK)) == []
    assert Desk().tell(2, replace(candle(2), signals=WEAK)) != []


def test_the_first_entry_follows_one_confident_model() -> None:
    signals = (signal("momentum", "trail_buy", 0.71), signal("structure", "trail_sell", 0.75))
    (wish,) = first_desk().tell(2, replace(candle(2), signals=signals))
    assert wish.reason == "first entry: a model says buy with confidence 0.71"
    assert wish.confidence == pytest.approx(0.6)


def test_the_first_entry_is_made_two_percent_below_the_start_whatever_the_models_say() -> None:
    (wish,) = first_desk().tell(2, replace(candle(2, close="59094"), signals=(signal("momentum", "hold", 0.5),)))
    assert (wish.side, wish.reason) == (
        "buy", "first entry: the price is 2.00 % below the session start 60300",
    )


def test_after_something_was_bought_the_consensus_decides() -> None:
    desk = first_desk()
    desk.tell(3, PositionOpened(BTC_NAME, D("0.005"), D(60_000), ENTRY))
    desk.tell(3, portfolio(position(BTC_NAME, "0.005")))
    assert desk.tell(4, candle(4)) == []
    closed = PositionClosed(BTC_NAME, D("0.005"), D(60_000), D(60_100), D(1), D(0), at(3), at(5), ENTRY)
    desk.tell(5, closed)
    desk.tell(5, portfolio())
    assert len(desk.tell(30, replace(candle(30), signals=WEAK))) == 1
