"""The analyst and the alphas that think elsewhere: it waits for them, never for long, and says who did not answer."""

from collections.abc import Sequence
from dataclasses import replace

from agents.agent import Emit
from agents.alphas.alpha import MarketView, Opinion
from agents.alphas.panel import FAILED, TIMED_OUT, OutsideAlpha
from agents.analyst import Analyst, AnalystConfig
from bus.ids import SessionId
from bus.messages.council import (
    AlphaSignal,
    AlphaSkipped,
    AnalysisCompleted,
    OpinionsGathered,
    WeightChanged,
)
from bus.messages.header import Message, MessageMaker
from bus.messages.system import TimerFired
from market.interval import SECOND_NS
from market.ticks import Candle
from tests.candle_paths import candles, random_rows

CANDLES = candles(random_rows(7, 3))


class Inside:
    name = "inside"
    version = "1"

    def opinion(self, view: MarketView) -> Opinion:
        return Opinion("trail_buy", 0.7, 0.01, "medium", "inside says so")


class Raises(Inside):
    def opinion(self, view: MarketView) -> Opinion:
        raise ValueError("no idea")


class Panel:
    """Two who think elsewhere; `at_once` is what they say without waiting."""

    def __init__(self, at_once: bool = False) -> None:
        self.at_once = at_once
        self.asked: list[tuple[MarketView, tuple[str, ...]]] = []

    def roster(self) -> Sequence[OutsideAlpha]:
        return OutsideAlpha("far", "2", 0.5, ("calm",)), OutsideAlpha("near", "1", 0.25)

    def ask(self, view: MarketView, names: Sequence[str]) -> OpinionsGathered | None:
        self.asked.append((view, tuple(names)))
        return answer(CANDLES[0]) if self.at_once else None


def answer(candle: Candle, *skipped: AlphaSkipped) -> OpinionsGathered:
    signal = AlphaSignal(
        "far", "2", candle.symbol, candle.interval, candle.ts_open, "trail_sell", 0.6, 0.0, 0.02, "low", "far off",
        ("calm",),
    )
    return OpinionsGathered(candle.symbol, candle.interval, candle.ts_open, (signal,), skipped)


SKIPPED = AlphaSkipped("near", 0.0, "ALPHA_TIMEOUT", "no answer within 5 s")


class Room:
    def __init__(self, panel: Panel, inside: type[Inside] = Inside, **weights: float) -> None:
        config = AnalystConfig("1s", ("1s",), {"inside": 1.0, **weights})
        self.analyst = Analyst(config, [CANDLES[0].symbol], [inside()], panel)
        self._maker = MessageMaker("engine", SessionId("s"))

    def make(self, body: object, ts: int = 0) -> Message:
        return self._maker.make(body, body.ts_init if isinstance(body, Candle) else ts)

    def hear(self, body: object, ts: int = 0) -> list[Emit]:
        return list(self.analyst.handle(self.make(body, ts)))


def analysis(emits: Sequence[Emit]) -> AnalysisCompleted:
    (found,) = [emit.body for emit in emits if isinstance(emit.body, AnalysisCompleted)]
    return found


def test_the_analysis_waits_for_them_and_names_the_candle_as_its_cause() -> None:
    room = Room(Panel())
    candle = room.make(CANDLES[0])
    assert list(room.analyst.handle(candle)) == []
    emits = room.hear(answer(CANDLES[0], SKIPPED), CANDLES[0].ts_init + 7)
    said = analysis(emits)
    assert [(each.alpha, each.weight) for each in said.signals] == [("inside", 1.0), ("far", 0.5)]
    assert said.skipped == (replace(SKIPPED, weight=0.25),)
    assert {emit.cause for emit in emits} == {candle.id}
    assert {emit.expires for emit in emits} == {CANDLES[0].ts_init + 7 + 5 * SECOND_NS}
    assert "near 1x" in room.analyst.status().message


def test_one_that_answers_at_once_needs_no_waiting() -> None:
    said = analysis(Room(Panel(at_once=True)).hear(CANDLES[0]))
    assert [each.alpha for each in said.signals] == ["inside", "far"]


def test_only_those_with_a_weight_are_asked_and_a_changed_weight_counts_at_once() -> None:
    panel = Panel()
    room = Room(panel, far=0.0)
    room.hear(CANDLES[0])
    assert panel.asked[0][1] == ("near",)
    room.hear(WeightChanged("far", 0.9, "anna"))
    room.hear(WeightChanged("near", 0.0, "anna"))
    room.hear(CANDLES[1])
    assert panel.asked[1][1] == ("far",)
    said = analysis(room.hear(answer(CANDLES[1])))
    assert said.signals[-1].weight == 0.9


def test_with_all_of_them_off_nobody_waits() -> None:
    panel = Panel()
    assert analysis(Room(panel, far=0.0, near=0.0).hear(CANDLES[0])).skipped == ()
    assert panel.asked == []


def test_the_next_candle_ends_the_waiting_for_the_one_before() -> None:
    room = Room(Panel())
    room.hear(CANDLES[0])
    said = analysis(room.hear(CANDLES[1]))
    assert said.ts_open == CANDLES[0].ts_open
    assert [(each.alpha, each.code) for each in said.skipped] == [("far", TIMED_OUT), ("near", TIMED_OUT)]
    assert room.hear(answer(CANDLES[0])) == []  # too late
    assert analysis(room.hear(answer(CANDLES[1]))).ts_open == CANDLES[1].ts_open


def test_an_answer_that_never_comes_is_given_up() -> None:
    room = Room(Panel())
    room.hear(CANDLES[0])
    begun = CANDLES[0].ts_init
    assert room.hear(TimerFired("second"), begun + 9 * SECOND_NS) == []
    said = analysis(room.hear(TimerFired("second"), begun + 10 * SECOND_NS))
    assert [each.alpha for each in said.signals] == ["inside"]
    assert [(each.alpha, each.code) for each in said.skipped] == [("far", TIMED_OUT), ("near", TIMED_OUT)]


def test_an_answer_nobody_asked_for_changes_nothing() -> None:
    room = Room(Panel())
    assert room.hear(answer(CANDLES[0])) == []


def test_an_alpha_of_ours_that_raises_is_named_as_skipped_with_its_reason() -> None:
    said = analysis(Room(Panel(), Raises, far=0.0, near=0.0).hear(CANDLES[0]))
    assert said.skipped == (AlphaSkipped("inside", 1.0, FAILED, "ValueError: no idea"),)
    assert said.signals == ()
