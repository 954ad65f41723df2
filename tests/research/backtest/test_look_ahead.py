"""A rule that knows what it could not know is refused; an honest one passes."""

import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agents.strategies.candle_rule import CandleContext
from research.backtest import guard
from research.backtest.bars import Bars, Candles
from research.backtest.guard import LookAheadError
from research.backtest.rules import BollingerReversion, RuleError, SmaCross
from research.backtest.runner import Backtest, Costs
from tests.research.backtest.candles import walk

MONEY = (Decimal(10_000), Decimal("0.9"), Costs())


def judged(make: Any, bars: Bars | None = None) -> int:
    bars = bars or walk(1500, 11)
    result = Backtest(bars, *MONEY).run(guard.prepared(make(), bars))
    assert result.decisions, "a rule that never decides says nothing"
    return guard.check(make, bars, result.decisions, *MONEY)


class Prepared:
    """Buys while its signal is above zero. What the signal is, the cases say."""

    def prepare(self, candles: Candles) -> None:
        close = pd.Series(candles.close, index=pd.to_datetime(candles.ts))
        self.signal = self.make(close).to_numpy()

    def make(self, close: pd.Series) -> pd.Series:
        raise NotImplementedError

    def on_candle(self, context: CandleContext) -> None:
        wants = self.signal[context.index] > 0
        if wants and not context.quantity:
            context.buy()
        elif not wants and context.quantity:
            context.sell()


class TheNextClose(Prepared):
    def make(self, close: pd.Series) -> pd.Series:
        return close.shift(-1) - close


class ACentredWindow(Prepared):
    def make(self, close: pd.Series) -> pd.Series:
        return close - close.rolling(21, center=True).mean()


class TheWholeMean(Prepared):
    def make(self, close: pd.Series) -> pd.Series:
        return (close - close.mean()) / close.std()


class ResampledDays(Prepared):
    def make(self, close: pd.Series) -> pd.Series:
        return close.resample("1D").last().reindex(close.index, method="ffill") - close


class BackFilled(Prepared):
    def make(self, close: pd.Series) -> pd.Series:
        return close - close.rolling(50).mean().shift(-10).bfill()


class Ranked(Prepared):
    def make(self, close: pd.Series) -> pd.Series:
        return close.rank(pct=True) - 0.5


class AnHonestMean(Prepared):
    def make(self, close: pd.Series) -> pd.Series:
        return close - close.rolling(20).mean()


class AnHonestExpandingScore(Prepared):
    def make(self, close: pd.Series) -> pd.Series:
        return (close - close.expanding().mean()) / close.expanding().std()


class HonestDays(Prepared):
    def make(self, close: pd.Series) -> pd.Series:
        return close - close.resample("1D").last().shift(1).reindex(close.index, method="ffill")


@pytest.mark.parametrize("rule", [TheNextClose, ACentredWindow, TheWholeMean, ResampledDays, BackFilled, Ranked])
def test_a_rule_that_looks_ahead_in_prepare_is_refused(rule: type) -> None:
    with pytest.raises(LookAheadError, match="looks ahead"):
        judged(rule)


@pytest.mark.parametrize("rule", [AnHonestMean, AnHonestExpandingScore, HonestDays, SmaCross, BollingerReversion])
def test_an_honest_rule_passes(rule: type) -> None:
    assert judged(rule) >= 5


@pytest.mark.parametrize("seed", range(6))
def test_one_candle_ahead_is_found_on_any_data(seed: int) -> None:
    with pytest.raises(LookAheadError):
        judged(TheNextClose, walk(300, seed))


def test_a_rule_that_begins_to_look_ahead_late_is_found_at_the_late_cuts() -> None:
    class Late(Prepared):
        def make(self, close: pd.Series) -> pd.Series:
            honest = close - close.rolling(20).mean()
            honest.iloc[900:] = (close - close.iloc[900:].mean()).iloc[900:]
            return honest

    with pytest.raises(LookAheadError):
        judged(Late)


class WaitsForLong(TheNextClose):
    """Once a day, and not before candle 20,500."""

    def on_candle(self, context: CandleContext) -> None:
        if context.index >= 20_500 and not context.index % 50:
            super().on_candle(context)


def test_a_rule_that_waits_for_long_is_cut_behind_its_first_decisions() -> None:
    with pytest.raises(LookAheadError, match=r"decided to (buy|sell) .* at candle 20[5-9]"):
        judged(WaitsForLong, walk(24_000, 5, "1m"))


def test_a_rule_that_keeps_the_arrays_and_reads_on_is_refused() -> None:
    class Keeper:
        def prepare(self, candles: Candles) -> None:
            self.close = candles.close

        def on_candle(self, context: CandleContext) -> None:
            if self.close[min(context.index + 1, len(self.close) - 1)] > context.close:
                context.buy()
            else:
                context.sell()

    with pytest.raises(LookAheadError):
        judged(Keeper)


def test_a_rule_that_falls_over_where_the_future_ends_is_refused() -> None:
    class Reader:
        def prepare(self, candles: Candles) -> None:
            self.close = [*candles.close.tolist(), *[0.0] * 5] if len(candles) == 1500 else candles.close.tolist()

        def on_candle(self, context: CandleContext) -> None:
            if self.close[context.index + 1] > context.close and not context.quantity:
                context.buy()

    with pytest.raises(LookAheadError, match="IndexError"):
        judged(Reader)


def test_a_rule_that_climbs_the_stack_for_candles_to_come_is_refused() -> None:
    class Climber:
        def on_candle(self, context: CandleContext) -> None:
            rows = sys._getframe(1).f_locals["rows"]
            later = rows[context.index + 1][4] if context.index + 1 < len(rows) else context.close
            if later > context.close and not context.quantity:
                context.buy()
            elif later < context.close and context.quantity:
                context.sell()

    with pytest.raises(LookAheadError):
        judged(Climber)


def test_a_rule_that_decides_by_chance_is_refused() -> None:
    chance = np.random.default_rng()

    class Gambler:
        def on_candle(self, context: CandleContext) -> None:
            if chance.random() < 0.5:
                context.buy(0.01)

    with pytest.raises(LookAheadError, match="without chance"):
        judged(Gambler)


def test_no_way_leads_from_the_context_to_the_candles() -> None:
    reached: set[int] = set()
    waiting: list[Any] = [CandleContext()]
    kinds = set()
    while waiting:
        each = waiting.pop()
        if id(each) in reached:
            continue
        reached.add(id(each))
        kinds.add(type(each))
        waiting += [getattr(each, name) for name in getattr(type(each), "__slots__", ()) if hasattr(each, name)]
        waiting += list(each) if isinstance(each, list | tuple) else []
        waiting += list(vars(each).values()) if hasattr(each, "__dict__") else []
    assert kinds == {CandleContext, int, float, bool, list}


def test_prepare_cannot_change_the_candles_of_the_run() -> None:
    class Painter:
        def prepare(self, candles: Candles) -> None:
            candles.close[:] = 1.0

        def on_candle(self, context: CandleContext) -> None: ...

    with pytest.raises(RuleError, match="read-only"):
        judged(Painter)


def test_the_cut_holds_no_candle_behind_it() -> None:
    part = walk(100, 1).cut(40)
    assert len(part) == 40
    for name in ("open", "high", "low", "close", "volume"):
        values = getattr(part.columns, name).values
        assert values.base is None
        assert len(values) == 40
    assert part.ts.base is None
