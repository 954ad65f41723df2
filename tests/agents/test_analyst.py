from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from math import nan

import pytest

from agents.agent import Emit
from agents.alphas.alpha import Alpha, MarketView, Opinion
from agents.alphas.registry import make_alphas
from agents.analyst import FEATURE_NAMES, Analyst, AnalystConfig, AnalystConfigError, regime_of
from agents.consensus import decide
from bus.codec import decode, encode
from bus.ids import SessionId
from bus.messages.council import AlphaSignal, AnalysisCompleted, Candidate, CandidatesRanked, WeightChanged
from bus.messages.header import MessageMaker
from bus.messages.system import BusGap
from market.interval import SECOND_NS
from market.ticks import Candle
from tests.agents.council_scene import portfolio, position
from tests.candle_paths import (
    candle,
    candles,
    flat_rows,
    folded,
    in_order,
    random_rows,
    recorded_second_candles,
)
from tests.shared_data import shared_file

WEIGHTS = {
    "momentum": 1.0, "mean_reversion": 1.0, "structure": 0.6, "volatility": 0.4, "volume_profile": 0.4, "regime": 0.3,
    "technical": 0.3,
}
CONFIG = AnalystConfig("1s", ("1s", "5s", "1m"), WEIGHTS)


class Steady:
    """Says what it was told to say, and remembers what it saw."""

    version = "7"

    def __init__(self, name: str, answer: Opinion | Exception) -> None:
        self.name = name
        self.answer = answer
        self.views: list[MarketView] = []

    def opinion(self, view: MarketView) -> Opinion:
        self.views.append(view)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


BUY = Opinion("trail_buy", 0.7, 0.01, "medium", "buy it")
HOLD = Opinion("hold", 0.5, 0.01, "low", "nothing to see")


class Room:
    """An analyst, and messages as the runtime would number and stamp them."""

    def __init__(self, *alphas: Alpha, symbols: Sequence[str] = ("BTC/USDT",), **changes: object) -> None:
        weights = {alpha.name: 1.0 for alpha in alphas}
        self.analyst = Analyst(replace(CONFIG, weights=weights, **changes), symbols, alphas)  # type: ignore[arg-type]
        self._maker = MessageMaker("engine", SessionId("s"))

    def hear(self, body: object, ts: int = 0) -> list[Emit]:
        when = body.ts_init if isinstance(body, Candle) else ts
        return list(self.analyst.handle(self._maker.make(body, when)))

    def hear_all(self, bodies: Sequence[object]) -> list[Emit]:
        return [emit for body in bodies for emit in self.hear(body)]


def analyses(emits: Sequence[Emit]) -> list[AnalysisCompleted]:
    return [emit.body for emit in emits if isinstance(emit.body, AnalysisCompleted)]


def warm(one: Candle) -> Candle:
    return replace(one, is_warmup=True)


def test_each_decision_candle_brings_one_analysis_with_every_opinion_and_a_signal_for_each_that_acts() -> None:
    room = Room(Steady("bold", BUY), Steady("shy", HOLD))
    (one,) = candles(random_rows(1, 1))
    emits = room.hear(one)
    assert [type(emit.body) for emit in emits] == [AlphaSignal, AnalysisCompleted]
    signal, analysis = emits[0].body, emits[1].body
    assert signal == AlphaSignal(
        "bold", "7", "BTC/USDT", "1s", one.ts_open, "trail_buy", 0.7, 1.0, 0.01, "medium", "buy it"
    )
    assert [each.action for each in analysis.signals] == ["trail_buy", "hold"]
    assert analysis.signals[0] == signal
    assert (analysis.symbol, analysis.ts_open, analysis.close) == (one.symbol, one.ts_open, one.close)


def test_what_may_lead_to_an_order_expires() -> None:
    room = Room(Steady("bold", BUY))
    (one,) = candles(random_rows(1, 1))
    assert {emit.expires for emit in room.hear(one)} == {one.ts_init + 5 * SECOND_NS}


def test_warm_up_candles_are_learnt_from_and_not_spoken_about() -> None:
    room = Room(Steady("bold", BUY))
    series = candles(random_rows(1, 121))
    assert room.hear_all([warm(one) for one in series[:120]]) == []
    (analysis,) = analyses(room.hear(series[120]))
    names = [feature.name for feature in analysis.features]
    assert names == [name for name in FEATURE_NAMES if name in names]
    assert {"rsi_14", "macd", "atr_14", "bollinger_upper", "sma_20", "sma_50", "vwap"} <= set(names)
    assert analysis.regime != "unknown"


def test_a_repeated_or_older_candle_is_not_spoken_about_again() -> None:
    room = Room(Steady("bold", BUY))
    series = candles(random_rows(1, 30))
    assert len(analyses(room.hear_all(series))) == 30
    assert room.hear_all([series[29], series[3], warm(series[29])]) == []


def test_longer_intervals_are_only_looked_at_and_reach_the_view_shortest_first() -> None:
    seer = Steady("seer", HOLD)
    room = Room(seer, intervals=("1m", "1s", "5s"))
    seconds = candles(random_rows(1, 120))
    emits = room.hear_all(in_order(seconds, folded(seconds, "5s"), folded(seconds, "1m")))
    assert len(analyses(emits)) == 120
    last = seer.views[-1]
    assert list(last.higher) == ["5s", "1m"]
    assert last.higher["1m"]["close"] == last.closes[-1]
    assert "rsi_14" in last.higher["5s"]
    assert "rsi_14" not in last.higher["1m"]


def test_symbols_off_the_watch_list_are_learnt_about_in_silence() -> None:
    seer = Steady("seer", HOLD)
    room = Room(seer, symbols=("BTC/USDT", "ETH/USDT"))
    btc, eth = candles(random_rows(1, 40)), candles(random_rows(2, 40), symbol="ETH/USDT")
    assert len(analyses(room.hear_all([btc[0], eth[0]]))) == 2  # no list yet: all
    room.hear(CandidatesRanked((Candidate("ETH/USDT", 70.0, ()),)))
    assert {one.symbol for one in analyses(room.hear_all([*btc[1:39], *eth[1:39]]))} == {"ETH/USDT"}
    room.hear(CandidatesRanked((Candidate("BTC/USDT", 70.0, ()),)))
    (analysis,) = analyses(room.hear_all([btc[39], eth[39]]))
    assert analysis.symbol == "BTC/USDT"
    assert len(seer.views[-1].closes) == 40  # nothing was missed meanwhile


def test_a_symbol_that_is_held_or_ordered_is_spoken_about_off_the_watch_list_too() -> None:
    symbols = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    room = Room(Steady("seer", HOLD), symbols=symbols)
    room.hear(CandidatesRanked((Candidate("SOL/USDT", 70.0, ()),)))
    series = {symbol: candles(random_rows(1, 3), symbol=symbol) for symbol in symbols}

    def spoken(index: int) -> set[str]:
        return {one.symbol for one in analyses(room.hear_all([series[symbol][index] for symbol in symbols]))}

    assert spoken(0) == {"SOL/USDT"}
    room.hear(portfolio(position("BTC/USDT", "0.1"), working=(("ETH/USDT", Decimal(100)),)))
    assert spoken(1) == set(symbols)
    assert room.analyst.status().percent == 100.0
    room.hear(portfolio())
    assert spoken(2) == {"SOL/USDT"}


def test_a_symbol_or_interval_that_is_not_configured_is_ignored() -> None:
    room = Room(Steady("bold", BUY))
    row = random_rows(1, 1)[0]
    assert room.hear(candle(row, 0, symbol="PEPE/USDT")) == []
    assert room.hear(candle(row, 0, interval="15m")) == []


def test_an_alpha_that_raises_is_skipped_counted_and_named_while_the_others_speak() -> None:
    room = Room(Steady("broken", ZeroDivisionError("no")), Steady("bold", BUY))
    emits = room.hear_all(candles(random_rows(1, 3)))
    assert all([signal.alpha for signal in one.signals] == ["bold"] for one in analyses(emits))
    assert "alphas that failed: broken 3x" in room.analyst.status().message


@pytest.mark.parametrize(
    "nonsense",
    [
        replace(BUY, confidence=nan), replace(BUY, confidence=1.01), replace(BUY, confidence=-0.1),
        replace(BUY, trail_ratio=nan), replace(BUY, trail_ratio=1.0),
        replace(BUY, action="buy"), replace(BUY, urgency="now"), replace(BUY, reasoning=None), None,
    ],
)
def test_an_opinion_that_is_no_opinion_counts_as_a_failure(nonsense: Opinion) -> None:
    room = Room(Steady("odd", nonsense))
    (analysis,) = analyses(room.hear_all(candles(random_rows(1, 1))))
    assert analysis.signals == ()
    assert "odd 1x" in room.analyst.status().message


def test_a_person_can_switch_an_alpha_off_and_on_and_weigh_it() -> None:
    bold = Steady("bold", BUY)
    room = Room(bold)
    series = candles(random_rows(1, 3))
    room.hear(WeightChanged("bold", 0.0, "operator"))
    assert analyses(room.hear(series[0]))[0].signals == ()
    assert bold.views == []
    room.hear(WeightChanged("bold", 0.4, "operator"))
    assert analyses(room.hear(series[1]))[0].signals[0].weight == 0.4
    room.hear(WeightChanged("bold", 1.5, "operator"))
    room.hear(WeightChanged("stranger", 1.0, "operator"))
    assert analyses(room.hear(series[2]))[0].signals[0].weight == 0.4


def test_after_lost_candles_alphas_are_silent_until_as_many_whole_ones_came() -> None:
    bold = Steady("bold", BUY)
    room = Room(bold)
    series = candles(random_rows(1, 80))
    room.hear_all(series[:60])
    bold.views.clear()
    room.hear(BusGap("engine", 61, 63))
    waiting = analyses(room.hear_all(series[63:66]))
    assert [one.signals[0].confidence for one in waiting] == [0.0, 0.0, 0.0]
    assert [one.regime for one in waiting] == ["unknown"] * 3
    assert bold.views == []
    assert analyses(room.hear(series[66]))[0].signals[0].action == "trail_buy"


def test_a_long_gap_costs_no_more_than_the_memory_of_the_indicators() -> None:
    room = Room(Steady("bold", BUY))
    series = candles(random_rows(1, 80))
    room.hear_all(series[:40])
    room.hear(BusGap("engine", 41, 9_000))
    actions = [one.signals[0].action for one in analyses(room.hear_all(series[40:60]))]
    assert actions == ["hold"] * 14 + ["trail_buy"] * 6


def test_a_gap_in_what_others_say_is_nothing_to_the_analyst() -> None:
    room = Room(Steady("bold", BUY))
    series = candles(random_rows(1, 3))
    room.hear(series[0])
    room.hear(BusGap("strategy", 5, 9))
    assert analyses(room.hear(series[1]))[0].signals[0].action == "trail_buy"


def test_a_decision_interval_that_is_not_built_is_refused() -> None:
    with pytest.raises(AnalystConfigError, match=r"candles\.decision: '2s' is not among"):
        Analyst(replace(CONFIG, decision_interval="2s"), ("BTC/USDT",), ())


def test_two_alphas_of_one_name_are_refused() -> None:
    with pytest.raises(AnalystConfigError, match="same name"):
        Analyst(CONFIG, ("BTC/USDT",), (Steady("twin", BUY), Steady("twin", HOLD)))


@pytest.mark.parametrize(
    ("atr", "usual", "efficiency", "regime"),
    [
        (1.0, 1.0, 0.1, "ranging"), (1.0, 1.0, 0.45, "trending"), (1.6, 1.0, 0.9, "volatile"),
        (0.6, 1.0, 0.9, "calm"), (0.0, 0.0, 0.0, "calm"),
    ],
)
def test_the_regime_follows_its_rules(atr: float, usual: float, efficiency: float, regime: str) -> None:
    assert regime_of({"atr_14": atr, "atr_average": usual, "efficiency_20": efficiency}) == regime


def test_without_history_the_regime_is_unknown() -> None:
    assert regime_of({}) == "unknown"


def test_flat_prices_are_analysed_without_a_signal() -> None:
    room = Room(*make_alphas(WEIGHTS))
    emits = room.hear_all(candles(flat_rows(150)))
    assert len(emits) == 150
    assert analyses(emits)[-1].regime == "calm"


def test_every_analysis_survives_the_wire() -> None:
    room = Room(*make_alphas(WEIGHTS))
    maker = MessageMaker("analyst", SessionId("s"))
    emits = room.hear_all(candles(flat_rows(30) + random_rows(1, 200)))
    for emit in emits:
        message = maker.make(emit.body, 1)
        assert decode(encode(message)) == message


def test_the_same_candles_bring_the_same_words() -> None:
    series = candles(random_rows(8, 300))
    feed = in_order(series, folded(series, "5s"), folded(series, "1m"))
    assert Room(*make_alphas({})).hear_all(feed) == Room(*make_alphas({})).hear_all(feed)


def _buys(series: Sequence[Candle]) -> list[int]:
    """Opening times of the candles on which the council would agree to buy."""
    room = Room(*make_alphas(WEIGHTS))
    for name, weight in WEIGHTS.items():
        room.hear(WeightChanged(name, weight, "operator"))
    feed = in_order(series, folded(series, "5s"), folded(series, "1m"))
    agreed = []
    for one in analyses(room.hear_all(feed)):
        consensus = decide(one.signals, threshold=0.6, quorum=0.25, regime=one.regime)
        if consensus.action == "trail_buy" and consensus.confidence >= 0.6:
            agreed.append(one.ts_open)
    return agreed


def test_a_wavy_market_brings_buys_now_and_then_but_not_always() -> None:
    buys = [_buys(candles(random_rows(100 + index, 600, step=0.0004))) for index in range(3)]
    for each in buys:
        assert 6 <= len(each) <= 180  # of 600 seconds


@pytest.mark.parametrize("day", ["20240808", "20240809"])
def test_on_six_recorded_minutes_of_bitcoin_the_council_agrees_to_buy_several_times(day: str) -> None:
    series = recorded_second_candles(shared_file(f"messages/binance/ws_spot_btcusdt_{day}.tsv.gz"), "BTC/USDT")
    after = series[0].ts_open + 60 * SECOND_NS
    candles_to_buy_on = [ts for ts in _buys(series) if ts > after]
    moments: list[int] = []  # as a strategy with a cooldown of 10 s would take them
    for ts in candles_to_buy_on:
        if not moments or ts - moments[-1] > 10 * SECOND_NS:
            moments.append(ts)
    assert len(candles_to_buy_on) >= 8
    assert len(moments) >= 3
