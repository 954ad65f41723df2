from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from agents.alphas.alpha import TRAIL_MOST, Alpha, MarketView, Opinion, trail_ratio, urgency_of
from agents.alphas.mean_reversion import MeanReversion
from agents.alphas.momentum import Momentum
from agents.alphas.regime import MarketRegime
from agents.alphas.registry import BUILT_IN, UnknownAlphaError, make_alphas
from agents.alphas.structure import Structure
from agents.alphas.technical import Technical
from agents.alphas.volatility import Volatility
from agents.alphas.volume_profile import VolumeProfile
from agents.analyst import regime_of
from bus.messages.council import Regime
from market.indicators_features import IndicatorSet
from tests.candle_paths import START_NS, Row, candles, flat_rows, random_rows

CALM_MIDDLE = {
    "open": 100.0, "high": 100.2, "low": 99.8, "close": 100.0, "volume": 1.0,
    "rsi_14": 50.0, "macd": 0.0, "macd_signal": 0.0, "macd_histogram": 0.0,
    "atr_14": 0.4, "atr_ratio": 0.004, "atr_average": 0.4, "true_range": 0.4, "range_expansion": 1.0,
    "bollinger_z": 0.0, "sma_20": 100.0, "sma_50": 100.0, "volume_ratio": 1.0,
    "highest_20": 101.0, "lowest_20": 99.0, "swing_trend": 0.0, "resistance": 101.0, "support": 99.0,
    "divergence": 0.0, "macd_divergence": 0.0, "slope_10": 0.0, "efficiency_20": 0.1,
    "volume_surprise": 0.0, "order_flow_20": 0.0,
    "point_of_control": 100.0, "value_area_low": 99.5, "value_area_high": 100.5,
}
"""A market in the middle of nowhere: nobody has a reason to act."""


def view(
    changes: Mapping[str, float] | None = None, *, without: Sequence[str] = (), regime: Regime = "ranging",
    higher: Mapping[str, Mapping[str, float]] | None = None,
) -> MarketView:
    features = {name: value for name, value in {**CALM_MIDDLE, **(changes or {})}.items() if name not in without}
    series = [features.get("close", 100.0)] * 60
    return MarketView(
        "BTC/USDT", "1s", START_NS, series, series, series, series, series, features, regime, higher or {}
    )


def views_of(rows: Sequence[Row]) -> list[MarketView]:
    indicators, seen = IndicatorSet(), []
    for one in candles(rows):
        indicators.update(one)
        features = indicators.features()
        seen.append(
            MarketView(
                one.symbol, one.interval, one.ts_open, tuple(indicators.opens), tuple(indicators.highs),
                tuple(indicators.lows), tuple(indicators.closes), tuple(indicators.volumes),
                features, regime_of(features), {"5s": features},
            )
        )
    return seen


@pytest.fixture(params=BUILT_IN, ids=lambda model: model.__name__)
def alpha(request: pytest.FixtureRequest) -> Alpha:
    made: Alpha = request.param()
    return made


def is_sane(opinion: Opinion) -> bool:
    return (
        opinion.action in ("trail_buy", "trail_sell", "hold")
        and 0.0 <= opinion.confidence <= 0.9
        and 0.0 <= opinion.trail_ratio <= TRAIL_MOST
        and opinion.urgency in ("low", "medium", "high")
        and 0 < len(opinion.reasoning) < 160
        and "\n" not in opinion.reasoning
        and "nan" not in opinion.reasoning
    )


# ---- all of them ---------------------------------------------------------------------------------------


def test_without_history_there_is_no_opinion_and_no_confidence(alpha: Alpha) -> None:
    for few in (1, 2, 5):
        opinion = alpha.opinion(views_of(random_rows(1, few))[-1])
        assert (opinion.action, opinion.confidence) == ("hold", 0.0)
        assert "needs" in opinion.reasoning


def test_in_the_middle_of_nowhere_everybody_holds_but_answers(alpha: Alpha) -> None:
    opinion = alpha.opinion(view())
    assert (opinion.action, opinion.confidence, opinion.urgency) == ("hold", 0.5, "low")


def test_prices_that_do_not_move_are_held_without_a_division_by_zero(alpha: Alpha) -> None:
    for one in views_of(flat_rows(120)):
        assert alpha.opinion(one).action == "hold"


def test_the_first_move_after_a_flat_stretch_is_judged_sanely(alpha: Alpha) -> None:
    rows = [*flat_rows(80), (100.0, 101.0, 100.0, 101.0, 5.0), *flat_rows(40, 101.0)]
    assert all(is_sane(alpha.opinion(one)) for one in views_of(rows))


def test_candles_without_volume_are_judged_sanely(alpha: Alpha) -> None:
    rows = [(*row[:4], 0.0) for row in random_rows(3, 200)]
    assert all(is_sane(alpha.opinion(one)) for one in views_of(rows))


def test_the_same_view_gives_the_same_opinion_in_any_order(alpha: Alpha) -> None:
    seen = views_of(random_rows(4, 300))
    forwards = [alpha.opinion(one) for one in seen]
    backwards = [type(alpha)().opinion(one) for one in reversed(seen)]
    assert forwards == backwards[::-1]


def test_a_walk_brings_clear_and_weak_opinions_on_both_sides(alpha: Alpha) -> None:
    opinions = [alpha.opinion(one) for one in views_of(random_rows(5, 1500))]
    assert all(is_sane(one) for one in opinions)
    assert {one.action for one in opinions} == {"trail_buy", "trail_sell", "hold"}
    spoken = [one.confidence for one in opinions if one.action != "hold"]
    assert min(spoken) < 0.5
    if alpha.name != "technical":  # whose points end at 75 and rarely meet
        assert max(spoken) > 0.75
        assert 0.005 < len([one for one in spoken if one >= 0.6]) / len(opinions) < 0.5


@settings(max_examples=60, deadline=None)
@given(
    some.sampled_from(BUILT_IN),
    some.lists(some.tuples(some.integers(1, 40), some.integers(0, 5), some.integers(0, 3)), min_size=60, max_size=90),
    some.sampled_from([1e-6, 1.0, 1e6]),
)
def test_rough_prices_never_bring_an_alpha_down(
    model: type[Any], path: list[tuple[int, int, int]], unit: float
) -> None:
    last, rows = 20.0, []
    for close, wick, volume in path:
        high, low = max(last, close) + wick, max(min(last, close) - wick, 0.5)
        rows.append((last * unit, high * unit, low * unit, close * unit, float(volume)))
        last = float(close)
    one: Alpha = model()
    assert all(is_sane(one.opinion(seen)) for seen in views_of(rows))


def test_every_alpha_mirrors_itself_when_prices_are_mirrored() -> None:
    rows = random_rows(6, 400, price=100.0)
    mirrored = [
        (200.0 - open_, 200.0 - low, 200.0 - high, 200.0 - close, volume) for open_, high, low, close, volume in rows
    ]
    opposite = {"trail_buy": "trail_sell", "trail_sell": "trail_buy", "hold": "hold"}
    for alpha in make_alphas({}):
        for one, mirror in zip(views_of(rows), views_of(mirrored), strict=True):
            ours, theirs = alpha.opinion(one), alpha.opinion(mirror)
            assert theirs.action == opposite[ours.action], (alpha.name, ours, theirs)
            assert theirs.confidence == pytest.approx(ours.confidence, abs=1e-6)


# ---- momentum ------------------------------------------------------------------------------------------

RISING = {"rsi_14": 66.0, "macd_histogram": 0.08, "slope_10": 0.12, "efficiency_20": 0.6}
UP = {"slope_10": 1.0, "ema_12": 99.0, "close": 100.0}
DOWN = {"slope_10": -1.0, "ema_12": 101.0, "close": 100.0}


def test_momentum_buys_when_rsi_macd_and_slope_agree() -> None:
    opinion = Momentum().opinion(view(RISING, higher={"5s": UP, "1m": UP}))
    assert opinion.action == "trail_buy"
    assert 0.65 <= opinion.confidence <= 0.9
    assert opinion.trail_ratio == pytest.approx(0.008)
    assert opinion.reasoning == (
        "RSI 66, MACD above its signal, 10 candles drifted +2.7 ATR; 2 of 2 longer intervals agree"
    )


def test_momentum_is_less_sure_when_a_longer_interval_is_silent_and_holds_when_they_object() -> None:
    sure = Momentum().opinion(view(RISING, higher={"5s": UP, "1m": UP}))
    alone = Momentum().opinion(view(RISING))
    against = Momentum().opinion(view(RISING, higher={"5s": DOWN}))
    assert sure.confidence > alone.confidence > 0.0
    assert against.action == "hold"
    assert "1 of 1 longer intervals disagree" in against.reasoning


def test_momentum_does_not_follow_an_exhausted_move() -> None:
    assert Momentum().opinion(view({**RISING, "rsi_14": 80.0})).action == "hold"


def test_a_divergence_against_it_makes_momentum_less_sure() -> None:
    warned = Momentum().opinion(view({**RISING, "divergence": -1.0}))
    assert warned.confidence == pytest.approx(Momentum().opinion(view(RISING)).confidence - 0.15)


FADING = {"slope_10": 0.05, "rsi_14": 44.0, "divergence": 1.0, "macd_divergence": 1.0}


def test_momentum_buys_a_turn_that_rsi_and_macd_divergences_agree_on() -> None:
    opinion = Momentum().opinion(view(FADING))
    assert (opinion.action, opinion.confidence) == ("trail_buy", pytest.approx(0.53))
    assert opinion.reasoning == (
        "bullish divergence of RSI 1s, MACD 1s: the fall lost its strength and price turns, RSI 44"
    )


def test_divergences_of_longer_intervals_count_too_and_make_it_surer() -> None:
    longer = {"5s": {"divergence": 1.0}, "1m": {"macd_divergence": 1.0}}
    alone = {**FADING, "macd_divergence": 0.0}
    assert Momentum().opinion(view(alone, higher=longer)).action == "trail_buy"
    assert Momentum().opinion(view(FADING, higher=longer)).confidence > Momentum().opinion(view(FADING)).confidence


@pytest.mark.parametrize(
    ("changes", "higher"),
    [
        ({**FADING, "macd_divergence": 0.0}, {}),  # one alone
        ({**FADING, "slope_10": -0.05}, {}),  # price has not turned
        (FADING, {"5s": {"divergence": -1.0}}),  # 2 against 1
    ],
)
def test_a_lone_a_disputed_or_a_premature_divergence_is_no_turn(
    changes: dict[str, float], higher: dict[str, dict[str, float]]
) -> None:
    assert Momentum().opinion(view(changes, higher=higher)).action == "hold"


# ---- mean reversion ------------------------------------------------------------------------------------

OVERSOLD = {"rsi_14": 24.0, "bollinger_z": -2.4, "efficiency_20": 0.3, "close": 99.95, "high": 100.0, "low": 99.5}


def test_mean_reversion_buys_an_oversold_price_that_turns() -> None:
    opinion = MeanReversion().opinion(view(OVERSOLD))
    assert opinion.action == "trail_buy"
    assert 0.65 <= opinion.confidence <= 0.9
    assert opinion.reasoning == "RSI 24 is oversold and price is 2.4 sigma below its mean, turning back"


def test_mean_reversion_sells_an_overbought_price() -> None:
    opinion = MeanReversion().opinion(view({"rsi_14": 74.0, "bollinger_z": 2.2}))
    assert opinion.action == "trail_sell"
    assert "RSI 74 is overbought" in opinion.reasoning


def test_mean_reversion_stands_in_the_way_of_no_straight_line() -> None:
    assert MeanReversion().opinion(view({**OVERSOLD, "efficiency_20": 0.8})).action == "hold"


def test_a_bullish_divergence_and_a_range_make_mean_reversion_surer() -> None:
    plain = MeanReversion().opinion(view(OVERSOLD)).confidence
    assert MeanReversion().opinion(view({**OVERSOLD, "divergence": 1.0})).confidence > plain
    assert MeanReversion().opinion(view(OVERSOLD, regime="trending")).confidence < plain


# ---- structure -----------------------------------------------------------------------------------------


def test_structure_buys_a_clear_break_of_resistance_on_volume() -> None:
    opinion = Structure().opinion(view({"close": 101.3, "volume_ratio": 2.0, "swing_trend": 1.0}))
    assert opinion.action == "trail_buy"
    assert 0.65 <= opinion.confidence <= 0.9
    assert opinion.reasoning == "price broke resistance 101 by 0.7 ATR on 2.0x volume, swings rise"


def test_a_break_by_a_hair_is_weak() -> None:
    assert Structure().opinion(view({"close": 101.01})).confidence < 0.5


def test_structure_sells_when_support_is_lost() -> None:
    opinion = Structure().opinion(view({"close": 98.7, "swing_trend": -1.0}))
    assert opinion.action == "trail_sell"
    assert "lost support 99 " in opinion.reasoning


def test_structure_buys_a_rejection_at_support_and_sells_one_at_resistance() -> None:
    bounce = Structure().opinion(view({"open": 99.1, "low": 99.02, "high": 99.4, "close": 99.35, "swing_trend": 1.0}))
    turned = Structure().opinion(view({"open": 100.9, "high": 100.98, "low": 100.6, "close": 100.65}))
    assert (bounce.action, turned.action) == ("trail_buy", "trail_sell")
    assert bounce.confidence > turned.confidence


def test_structure_without_a_level_on_either_side_holds() -> None:
    opinion = Structure().opinion(view(without=("resistance", "support")))
    assert (opinion.action, opinion.reasoning) == ("hold", "between support unknown and resistance unknown")


def test_a_level_that_turned_price_often_means_more_when_it_breaks_and_when_it_holds() -> None:
    broken, held = {"close": 101.3}, {"open": 99.1, "low": 99.02, "high": 99.4, "close": 99.35}
    for changes, name in ((broken, "resistance_touches"), (held, "support_touches")):
        once, often = (Structure().opinion(view({**changes, name: touches})) for touches in (1.0, 3.0))
        assert often.confidence == pytest.approx(once.confidence + 0.08)
        assert "(touched 3x)" in often.reasoning
        assert "touched" not in once.reasoning


def test_a_chart_pattern_alone_is_spoken_of_with_its_target() -> None:
    opinion = Structure().opinion(view({"chart_double": -1.0, "chart_target": 97.25, "swing_trend": -1.0}))
    assert (opinion.action, opinion.reasoning) == ("trail_sell", "double top points to 97.25, swings fall")
    assert 0.5 <= opinion.confidence <= 0.8


def test_chart_patterns_that_contradict_each_other_say_nothing() -> None:
    assert Structure().opinion(view({"chart_double": -1.0, "chart_flag": 1.0})).action == "hold"


def test_a_chart_pattern_the_same_way_makes_a_break_surer_and_one_against_it_less() -> None:
    plain, helped, opposed = (
        Structure().opinion(view({"close": 101.3, "chart_triangle": side})).confidence for side in (0.0, 1.0, -1.0)
    )
    assert opposed < plain < helped


# ---- volume profile ------------------------------------------------------------------------------------

SPIKE = {
    "open": 100.2, "high": 100.9, "low": 100.1, "close": 100.85, "volume_ratio": 3.5, "volume_surprise": 3.0,
    "order_flow_20": 0.2,
}


def test_a_volume_spike_out_of_the_value_area_is_followed() -> None:
    opinion = VolumeProfile().opinion(view(SPIKE))
    assert opinion.action == "trail_buy"
    assert 0.6 <= opinion.confidence <= 0.9
    assert opinion.reasoning == (
        "somebody bought: volume 3.5x average (3.0 sigma), out of the value area 99.5 to 100.5, order flow +0.20"
    )


@pytest.mark.parametrize("changes", [{"volume_surprise": 4.5}, {"trade_size_ratio": 3.2}])
def test_a_whale_is_known_by_its_volume_or_by_the_size_of_its_trades(changes: dict[str, float]) -> None:
    whale, many = VolumeProfile().opinion(view({**SPIKE, **changes})), VolumeProfile().opinion(view(SPIKE))
    assert whale.reasoning.startswith("a whale bought: ")
    assert whale.confidence > many.confidence


def test_order_flow_against_the_spike_makes_it_less_sure() -> None:
    with_it, against = (
        VolumeProfile().opinion(view({**SPIKE, "order_flow_20": flow})).confidence for flow in (0.3, -0.3)
    )
    assert with_it == pytest.approx(against + 0.15)


@pytest.mark.parametrize(
    "changes",
    [
        {"volume_ratio": 1.9}, {"volume_surprise": 1.9}, {"close": 100.4, "high": 100.9},  # no spike; closed low in it
        {"open": 100.8, "close": 100.85},  # much volume moved nothing
    ],
)
def test_ordinary_volume_or_a_candle_nobody_won_is_held(changes: dict[str, float]) -> None:
    opinion = VolumeProfile().opinion(view({**SPIKE, **changes}))
    assert (opinion.action, opinion.confidence) == ("hold", 0.5)


def test_without_any_trade_the_volume_model_holds() -> None:
    opinion = VolumeProfile().opinion(view(without=("point_of_control", "value_area_low", "value_area_high")))
    assert opinion.reasoning == "nothing was traded in the last 20 candles"


# ---- regime --------------------------------------------------------------------------------------------

TREND = {"slope_10": 0.12, "efficiency_20": 0.7, "sma_20": 99.6, "sma_50": 99.2}


def test_the_regime_model_goes_with_a_trend_and_gives_it_room() -> None:
    opinion = MarketRegime().opinion(view(TREND, regime="trending", higher={"5s": UP}))
    assert opinion.action == "trail_buy"
    assert opinion.confidence >= 0.6
    assert opinion.trail_ratio == pytest.approx(3.0 * CALM_MIDDLE["atr_ratio"])
    assert opinion.reasoning == (
        "trending up: +2.7 ATR in 10 candles, efficiency 0.70, 1 of 1 longer intervals agree"
    )


@pytest.mark.parametrize(
    ("changes", "regime", "higher", "words"),
    [
        ({**TREND, "sma_20": 99.0}, "trending", {}, "do not agree on where"),
        (TREND, "trending", {"5s": DOWN}, "1 of 1 longer intervals go elsewhere"),
        ({**TREND, "efficiency_20": 0.3}, "volatile", {}, "a wild market without direction"),
        (TREND, "calm", {}, "a calm market moves too little"),
        ({}, "ranging", {}, "no edge to act on"),
        ({"close": 99.1, "open": 99.3}, "ranging", {}, "not turning yet"),
    ],
)
def test_the_regime_model_waits_where_its_regime_has_nothing_to_do(
    changes: dict[str, float], regime: Regime, higher: dict[str, dict[str, float]], words: str
) -> None:
    opinion = MarketRegime().opinion(view(changes, regime=regime, higher=higher))
    assert (opinion.action, opinion.confidence) == ("hold", 0.5)
    assert words in opinion.reasoning


def test_the_regime_model_buys_the_turn_at_the_bottom_of_a_range_and_sells_it_at_the_top() -> None:
    bottom = MarketRegime().opinion(view({"open": 99.05, "close": 99.2}))
    top = MarketRegime().opinion(view({"open": 100.95, "close": 100.8}))
    assert (bottom.action, top.action) == ("trail_buy", "trail_sell")
    assert bottom.reasoning == "turned up at the bottom of a range 5.0 ATR wide"


def test_a_calm_market_is_trailed_closest_and_a_volatile_one_widest() -> None:
    regimes: tuple[Regime, ...] = ("calm", "ranging", "trending", "volatile")
    trails = [MarketRegime().opinion(view(regime=regime)).trail_ratio for regime in regimes]
    assert trails == sorted(trails)
    assert len(set(trails)) == 4


# ---- volatility ----------------------------------------------------------------------------------------

BREAKOUT = {"close": 101.32, "high": 101.4, "low": 100.4, "range_expansion": 2.2}


def test_volatility_follows_a_breakout_on_widening_range() -> None:
    opinion = Volatility().opinion(view(BREAKOUT))
    assert opinion.action == "trail_buy"
    assert 0.65 <= opinion.confidence <= 0.9
    assert opinion.reasoning == "range 2.2x ATR carried price 0.8 ATR above its last 20 candles; trail 2.0 ATR = 0.80 %"


def test_a_breakout_on_an_ordinary_range_is_held() -> None:
    assert Volatility().opinion(view({**BREAKOUT, "range_expansion": 1.1})).action == "hold"


def test_the_volatility_model_tells_the_trail_even_where_it_holds() -> None:
    opinion = Volatility().opinion(view(regime="calm"))
    assert opinion.action == "hold"
    assert opinion.trail_ratio == pytest.approx(1.5 * CALM_MIDDLE["atr_ratio"])
    assert opinion.reasoning.endswith("; trail 1.5 ATR = 0.60 %")


def test_the_trail_is_closer_in_a_calm_market_and_wider_in_a_volatile_one() -> None:
    calm, ranging, wild = (
        Volatility().opinion(view(BREAKOUT, regime=regime)).trail_ratio for regime in ("calm", "ranging", "volatile")
    )
    assert calm < ranging < wild
    assert ranging == pytest.approx(2 * CALM_MIDDLE["atr_ratio"])


# ---- technical -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "action", "confidence"),
    [
        ({"rsi_14": 25.0}, "trail_buy", 0.30),
        ({"rsi_14": 75.0}, "trail_sell", 0.30),
        ({"rsi_14": 30.0}, "hold", 0.5),
        ({"rsi_14": 70.0}, "hold", 0.5),
        ({"sma_20": 101.0}, "trail_buy", 0.25),
        ({"sma_20": 99.0}, "trail_sell", 0.25),
        ({"macd_histogram": 0.1}, "trail_buy", 0.20),
        ({"sma_20": 101.0, "macd_histogram": 0.1}, "trail_buy", 0.45),
        ({"sma_20": 99.0, "macd_histogram": 0.1}, "trail_sell", 0.25),
        ({"rsi_14": 25.0, "sma_20": 101.0, "macd_histogram": 0.1}, "trail_buy", 0.75),
        ({"rsi_14": 75.0, "sma_20": 99.0, "macd_histogram": -0.1}, "trail_sell", 0.75),
        ({"rsi_14": 25.0, "sma_20": 99.0, "macd_histogram": -0.1}, "trail_sell", 0.45),
    ],
)
def test_technical_counts_points(changes: dict[str, float], action: str, confidence: float) -> None:
    opinion = Technical().opinion(view(changes))
    assert (opinion.action, opinion.confidence) == (action, confidence)


@pytest.mark.parametrize("missing", ["rsi_14", "sma_20", "sma_50", "macd_histogram"])
def test_technical_without_enough_data_holds_at_0(missing: str) -> None:
    opinion = Technical().opinion(view(without=(missing,)))
    assert (opinion.action, opinion.confidence) == ("hold", 0.0)


# ---- the rest ------------------------------------------------------------------------------------------


def test_every_built_in_alpha_is_made_in_the_same_order_under_its_own_name() -> None:
    names = [one.name for one in make_alphas({"technical": 0.3, "momentum": 1.0})]
    assert names == ["momentum", "mean_reversion", "structure", "volatility", "volume_profile", "regime", "technical"]


def test_a_weight_without_a_model_is_refused_by_name() -> None:
    with pytest.raises(UnknownAlphaError, match=r"there is no alpha 'momentun'.*mend the name"):
        make_alphas({"momentun": 1.0})


def test_a_trail_is_never_wider_than_half_the_price() -> None:
    assert trail_ratio(view({"atr_ratio": 3.0})) == TRAIL_MOST


def test_urgency_follows_confidence() -> None:
    assert [urgency_of(value) for value in (0.5, 0.65, 0.8)] == ["low", "medium", "high"]


def test_an_opinion_cannot_be_changed() -> None:
    opinion = Technical().opinion(view())
    with pytest.raises(FrozenInstanceError):
        opinion.confidence = 1.0  # type: ignore[misc]
