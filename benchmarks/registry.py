"""Which measurements there are: a name, and the module whose `run()` returns its results."""

import importlib
from importlib.util import find_spec

from benchmarks.result import BenchSkipped, Result

NAMES = (
    "trailing_ticks",
    "trailing_worst_tick",
    "engine_ticks",
    "bus_hop",
    "start_to_ready",
    "idle_rss",
    "tick_to_order",
    "kill_latch",
    "recovery",
    "api_clients",
    "history",
    "backtest",
    "council_candle",
)


def measure(name: str) -> list[Result]:
    """Run one measurement in this process. Raises `BenchSkipped` with a sentence where it cannot be made."""
    module_name = f"benchmarks.{name}"
    if find_spec(module_name) is None:
        raise BenchSkipped(f"there is no {module_name.replace('.', '/')}.py yet")
    results: list[Result] = importlib.import_module(module_name).run()
    return results
