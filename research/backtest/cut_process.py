"""Decisions made again in a process of its own that has never seen what comes after the cut.

In one process a rule could leave what it knows somewhere (a global, another module), or find the whole data in memory.
The process is told the rule's name and the candles of one cut after the other, shortest first, on its standard input:
a line of JSON, then the columns as numpy's .npz. It answers with a line of JSON each.
"""

import io
import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from research.backtest.bars import Bars
from research.backtest.guard import Decision, prepared
from research.backtest.rule_cage import caged
from research.backtest.rules import RuleError, make_rule
from research.backtest.runner import Backtest, Costs
from store.candle_columns import CandleColumns
from store.exact_column import ExactColumn

_PRICES: Final = ("open", "high", "low", "close", "volume")
_ROOT: Final = str(Path(__file__).resolve().parents[2])
_START: Final = (
    f"import sys; {_ROOT!r} in sys.path or sys.path.insert(0, {_ROOT!r}); "
    "from research.backtest.cut_process import main; main()"
)
_LENGTH: Final = struct.Struct("<Q")


class CutProcess:
    """A context manager. `decisions` of ascending cuts; raises `RuleError` for what the rule raised there."""

    def __init__(
        self, strategy: str, parameters: Mapping[str, str | int | float], cash: Decimal, stake: Decimal, costs: Costs,
    ) -> None:
        self._about = {
            "strategy": strategy, "param": dict(parameters), "cash": str(cash), "stake": str(stake),
            "costs": [str(costs.fee), str(costs.spread), str(costs.slippage)],
        }

    def __enter__(self) -> "CutProcess":
        # -P: a folder "research" of the user's, where the command was typed, is not ours.
        self._process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-P", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):
            self._stdin.close()
        self._process.wait(10)
        self._stdout.close()

    @property
    def _stdin(self) -> BinaryIO:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        return self._process.stdin  # type: ignore[return-value]

    @property
    def _stdout(self) -> BinaryIO:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        return self._process.stdout  # type: ignore[return-value]

    def decisions(self, part: Bars) -> list[Decision]:
        """Of a new rule over these candles and no others."""
        digits = {name: getattr(part.columns, name).digits for name in _PRICES}
        head = {**self._about, "symbol": part.symbol, "interval": part.interval, "digits": digits}
        block = io.BytesIO()
        np.savez(block, ts=part.ts, trades=part.columns.trades,
                 **{name: getattr(part.columns, name).values for name in _PRICES})
        try:
            self._stdin.write(json.dumps(head).encode() + b"\n" + _LENGTH.pack(block.getbuffer().nbytes))
            self._stdin.write(block.getbuffer())
            self._stdin.flush()
            answer = json.loads(self._stdout.readline())
        except (OSError, ValueError) as error:
            raise RuleError(f"the rule ended its process at the cut behind candle {len(part) - 1}") from error
        if "error" in answer:
            raise RuleError(str(answer["error"]))
        return [(int(index), str(side), str(what)) for index, side, what in answer["decisions"]]


def _serve(stdin: BinaryIO, stdout: BinaryIO) -> None:
    while line := stdin.readline():
        head: dict[str, Any] = json.loads(line)
        (length,) = _LENGTH.unpack(stdin.read(_LENGTH.size))
        answer = _answer(head, io.BytesIO(stdin.read(length)))
        stdout.write(json.dumps(answer).encode() + b"\n")
        stdout.flush()


def _answer(head: Mapping[str, Any], block: io.BytesIO) -> dict[str, Any]:
    data = np.load(block, allow_pickle=False)
    columns = CandleColumns.of(
        data["ts"], [ExactColumn(data[name], head["digits"][name]) for name in _PRICES], data["trades"],
    )
    bars = Bars(str(head["symbol"]), str(head["interval"]), columns)
    costs = Costs(*(Decimal(each) for each in head["costs"]))
    try:
        with caged() as tries:
            rule = prepared(make_rule(str(head["strategy"]), head["param"]), bars)
            decisions = Backtest(bars, Decimal(head["cash"]), Decimal(head["stake"]), costs).decisions(rule)
        return {"error": f"the rule {tries[0]}"} if tries else {"decisions": decisions}
    except RuleError as error:
        return {"error": str(error)}


def main() -> None:
    """The process. What the rule prints goes to stderr, so that answers stay whole."""
    answers: Sequence[int] = (os.dup(1),)
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, os.fdopen(answers[0], "wb"))

