"""Conditions become alerts: what is wrong for some seconds is told once, and once more when it is well again."""

from collections.abc import Iterable
from typing import Final

from market.interval import SECOND_NS
from tradingd.alerts.alert import Alert
from tradingd.control import Problem

GRACE_NS: Final = 5 * SECOND_NS
"""A reconnect within this is nobody's business."""
_MAX_TOLD: Final = 200


class ProblemWatch:
    """`look` about once a second; problems that began before the first look are told as well.

    What stands before the colon says which problem it is: numbers after it may change without a new alert.
    """

    def __init__(self, grace_ns: int = GRACE_NS) -> None:
        self._grace_ns = grace_ns
        self._told: dict[str, int] = {}

    def look(self, problems: Iterable[Problem], now: int) -> list[Alert]:
        """What is to be told now."""
        alerts: list[Alert] = []
        standing = {problem.text.partition(":")[0]: problem for problem in problems}
        for name, problem in standing.items():
            if name in self._told or now - problem.since_ns < self._grace_ns or len(self._told) >= _MAX_TOLD:
                continue
            self._told[name] = problem.since_ns
            alerts.append(Alert("warning", "problem", problem.text, now, f"problem:{name}"))
        for name in [each for each in self._told if each not in standing]:
            lasted_s = (now - self._told.pop(name)) // SECOND_NS
            alerts.append(Alert("info", "well again", f"{name} (it lasted {lasted_s} s)", now, f"well:{name}"))
        return alerts
