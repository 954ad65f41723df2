"""A slice of the fuzz run of the gate (`make fuzz-gate` runs a million), and that it would see a defect."""

from dataclasses import replace
from typing import Any

import pytest

from risk.limits import RiskLimits
from tests.risk.examples import D
from tests.risk.fuzz_gate import run


def test_no_approved_order_breaks_a_limit_after_its_fill() -> None:
    tally = run(6_000, seed=20)
    assert tally.failures == []
    assert tally.approved_entries > 400
    assert len(tally.codes) > 30


@pytest.mark.parametrize("looser", [
    {"exposure_per_asset": D(1)}, {"exposure_total": D(1)}, {"max_order_notional": D(1)}, {"collar": D(1)},
    {"max_positions": 100}, {"daily_drawdown": D(1)}, {"weekly_drawdown": D(1)}, {"max_drawdown": D(1)},
    {"daily_loss": D(1)}, {"runaway_loss": D(1)}, {"kill_loss": D(1)}, {"orders_per_second": 1000},
    {"orders_per_minute": 1000}, {"notional_per_minute": D(100)}, {"min_notional": D(0)},
    {"stale_after_ns": 10**18},
])
def test_a_gate_that_forgets_a_limit_is_caught(looser: dict[str, Any]) -> None:
    def forgetful(limits: RiskLimits) -> RiskLimits:
        return replace(limits, **looser)

    assert run(20_000, seed=3, most_failures=1, loosen=forgetful).failures


def test_a_gate_that_refuses_too_much_is_caught() -> None:
    assert run(3_000, seed=3, most_failures=1, loosen=lambda limits: replace(limits, collar=D("0.0001"))).failures
