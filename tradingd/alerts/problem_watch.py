"""Conditions become alerts: what is wrong for some seconds is told once, and once more when it is well again."""

import re
from collections.abc import Iterable
from typing import Final

from market.interval import SECOND_NS
from tradingd.alerts.alert import Alert
from tradingd.control import Problem

GRACE_NS: Final = 5 * SECOND_NS
"""A reconnect within this is nobody's business."""
_MAX_TOLD: Final = 200
_NUMBER: Final = re.compile(r"(?<![\w/-])\d+(?:\.\d+)?(?![\w/-])")
"""Of its own: that in a name, such as 1INCH/USDT, is part of it."""


class ProblemWatch:
    """`look` about once a second; problems that began before the first look are told as well.

    What stands before the colon says which problem it is: the rest, and numbers in it, may change without a new alert.
    """

    def __init__(self, grace_ns: int = GRACE_NS) -> None:
        self._grace_ns = grace_ns
        self._told: dict[str, tuple[str, int]] = {}

    def look(self, problems: Iterable[Problem], now: int) -> list[Alert]:
        """What is to be told now."""
        alerts: list[Alert] = []
        standing = {_which(problem): problem for problem in problems}
        for which, problem in standing.items():
            if which in self._told or now - problem.since_ns < self._grace_ns or len(self._told) >= _MAX_TOLD:
                continue
            self._told[which] = problem.text.partition(":")[0], problem.since_ns
            alerts.append(Alert("warning", "problem", problem.text, now, f"problem:{which}"))
        for which in [each for each in self._told if each not in standing]:
            name, since_ns = self._told.pop(which)
            lasted_s = (now - since_ns) // SECOND_NS
            alerts.append(Alert("info", "well again", f"{name} (it lasted {lasted_s} s)", now, f"well:{which}"))
        return alerts


def _which(problem: Problem) -> str:
    return _NUMBER.sub("#", problem.text.partition(":")[0])
