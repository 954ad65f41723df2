"""What can be run: a rule over candles, the council over candles, the council over ticks. One face for all three.

The council's parts are imported where they are used: a rule does without them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from research.backtest import guard, rule_cage
from research.backtest.bars import Bars
from research.backtest.cut_process import CutProcess
from research.backtest.data import Dataset, quality
from research.backtest.rules import Rule, make_rule
from research.backtest.runner import Backtest, Costs, Result

if TYPE_CHECKING:
    from research.backtest.council_fold import CouncilResult
    from research.backtest.ticks import TickRecording
    from tradingd.settings import Settings

Told = Callable[[int], None] | None


class Job(ABC):
    """`run` once; then `bars` and `quality`; `check` looks for look-ahead. `total` steps of `unit` for people."""

    symbol: str
    interval: str
    total: int
    unit = "candles"
    fingerprint: str

    @abstractmethod
    def run(self, progress: Told) -> "Result | CouncilResult":
        """Everything; raises what the parts raise."""

    @abstractmethod
    def check(self) -> int:
        """How many cuts agreed; raises `LookAheadError`."""

    @property
    @abstractmethod
    def bars(self) -> Bars:
        """The candles that are shown; raises `DataError` when there are too few."""

    @property
    def quality(self) -> dict[str, Any]:
        """What is odd about them."""
        return quality(self.symbol, self.interval, self.bars.columns)


class _OfCandles(Job):
    def __init__(self, data: Dataset) -> None:
        self._data = data
        self.symbol, self.interval, self.total = data.bars.symbol, data.bars.interval, len(data.bars)
        self.fingerprint = data.fingerprint

    @property
    def bars(self) -> Bars:
        return self._data.bars

    @property
    def quality(self) -> dict[str, Any]:
        return self._data.quality


class RuleJob(_OfCandles):
    """A rule of the library by name, or of a file (`FILE.py:CLASS`), which is watched over (`rule_cage`)."""

    def __init__(
        self, strategy: str, parameters: Mapping[str, str | int | float], data: Dataset, cash: Decimal, stake: Decimal,
        costs: Costs,
    ) -> None:
        super().__init__(data)
        self._strategy, self._parameters = strategy, parameters
        self._money = (cash, stake, costs)
        self._decisions: list[guard.Decision] = []

    def run(self, progress: Told) -> Result:
        if ".py" not in self._strategy:
            return self._run(progress)
        with rule_cage.caged() as tries:
            try:
                result = self._run(progress)
            except Exception as error:  # however the rule took it, what it tried is the reason
                if tries:
                    raise _reached(tries) from error
                raise
        if tries:
            raise _reached(tries)
        return result

    def _run(self, progress: Told) -> Result:
        rule = guard.prepared(self._make(), self.bars)
        result = Backtest(self.bars, *self._money).run(rule, progress)
        self._decisions = result.decisions
        return result

    def _make(self) -> Rule:
        return make_rule(self._strategy, self._parameters)

    def check(self) -> int:
        if ".py" not in self._strategy:
            return guard.check(self._make, self.bars, self._decisions, *self._money)
        with CutProcess(self._strategy, self._parameters, *self._money) as apart:
            return guard.compare(self.bars, self._decisions, apart.decisions)


def _reached(tries: list[str]) -> guard.LookAheadError:
    return guard.LookAheadError(
        f"the rule looks ahead, or could: it {tries[0]}. A rule sees nothing but the candles it is shown; give it what "
        "it needs as parameters (--param), or write it into its file."
    )


class CouncilJob(_OfCandles):
    """The six agents over candles."""

    def __init__(self, data: Dataset, cash: Decimal, costs: Costs, settings: "Settings") -> None:
        super().__init__(data)
        self._with = (cash, costs, settings)
        self._decisions: list[guard.Decision] = []

    def run(self, progress: Told) -> "CouncilResult":
        from research.backtest import council

        result = council.CouncilBacktest(self.bars, *self._with).run(progress)
        self._decisions = result.decisions
        return result

    def check(self) -> int:
        from research.backtest import council

        return council.check(self.bars, *self._with, self._decisions)


class TickJob(Job):
    """The six agents over recorded ticks. `interval` "": that of the settings."""

    unit = "frames"

    def __init__(
        self, recording: "TickRecording", symbol: str, interval: str, cash: Decimal, costs: Costs, settings: "Settings",
    ) -> None:
        self._recording = recording
        self._with = (cash, costs, settings, interval)
        from research.backtest import council_ticks

        self._run = council_ticks.CouncilTicks(recording, symbol, *self._with)
        self._decisions: list[guard.Decision] = []
        self.symbol, self.interval = self._run.symbol, self._run.settings.candles.decision
        self.total = len(recording)
        self.fingerprint = recording.fingerprint()

    @property
    def bars(self) -> Bars:
        return self._run.bars

    def run(self, progress: Told) -> "CouncilResult":
        result = self._run.run(progress)
        self._decisions = result.decisions
        return result

    def check(self) -> int:
        from research.backtest import council_ticks

        return council_ticks.check(self._recording, self.symbol, *self._with, self._decisions)
