"""What a checkpoint holds of the engine and of the read model, and how it is put back into living ones.

The engine's part belongs to a `Scope`: the symbols the engine was made for decide how money of an asset is booked.
"""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Self

import orjson

import orders
import tradingd
from bus.ids import SessionId
from bus.messages import council, grid, header, ledger, system, votes
from bus.messages import orders as order_messages
from bus.messages.header import MessageMaker
from market import instrument as market_instrument
from market import ticks
from market.instrument import Instrument
from market.money import ONE, ZERO
from orders import commitments, grid_book, grid_state, keyed_heap, order_table, trailing, trailing_groups, trailing_wing
from orders import ledger as order_ledger
from orders import state as engine_state
from orders import watch as order_watch
from orders.desk import EngineConfig
from orders.engine import Engine
from orders.state import EngineState
from orders.watch import LANES, Watch
from risk import drawdown, locks, trading_state
from tradingd import (
    alpha_fold,
    execution_quality,
    market_views,
    packed_ring,
    read_model,
    read_model_council,
    read_model_orders,
    read_model_results,
    read_model_risk,
    read_model_views,
    recent_events,
    session,
    tuning_fold,
    weight_fold,
)
from tradingd.checkpoint_graph import GraphError, Types, read_graph, write_graph
from tradingd.read_model import ReadModel
from tradingd.session import PastSessions
from tradingd.version import VERSION

MODEL: Final = "model"
ENGINE: Final = "engine"

_MODULES: Final[tuple[ModuleType, ...]] = (
    order_messages, council, grid, ledger, system, votes, header, ticks, market_instrument,
    engine_state, order_table, commitments, order_ledger, order_watch, trailing, trailing_groups, trailing_wing,
    keyed_heap, grid_book, grid_state, drawdown, locks, trading_state,
    session, read_model, read_model_orders, read_model_results, read_model_council, read_model_risk, read_model_views,
    alpha_fold, execution_quality, recent_events, tuning_fold, weight_fold, market_views, packed_ring,
)
TYPES: Final = Types(
    (
        kind for module in _MODULES for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__
    ),
    skipped=(
        (ReadModel, "_handlers"), (ReadModel, "listeners"), (ReadModel, "paths"), (ReadModel, "journal"),
        (ReadModel, "past_lock"), (ReadModel, "_history"),  # read from the journal when asked for
        (ReadModel, "market"),  # what was seen last is seen again
        (read_model_orders.OrderFold, "handlers"), (read_model_results.ResultsFold, "handlers"),
        (read_model_council.CouncilFold, "handlers"), (alpha_fold.AlphaFold, "_handlers"),
        (tuning_fold.TuningFold, "_handlers"),
        (weight_fold.WeightFold, "_handlers"),
        (execution_quality.QualityFold, "_handlers"),
        (EngineState, "_instruments"), (EngineState, "_symbols_by_base"), (Watch, "_trails"),
        (order_table.OrderTable, "_is_needed"), (order_table.OrderTable, "_on_forgotten"),
    ),
)
_FOLDING: Final = ("bus", "market", "risk", "orders", "tradingd")
"""Packages whose sources decide what a journal folds to; of `tradingd` the modules at the top."""


@cache
def program() -> str:
    """Names the program exactly: another source may fold the same journal to something else."""
    digest = hashlib.sha256(f"{VERSION} {sys.version_info[:3]}".encode())
    top = Path(tradingd.__file__ or orders.__file__ or "").parent.parent
    for package in _FOLDING:
        paths = (top / package).glob("*.py") if package == "tradingd" else (top / package).rglob("*.py")
        for path in sorted(paths):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Scope:
    """What the engine was made for: its quote currency, and symbol, base and quote of each instrument, sorted."""

    quote: str
    instruments: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(cls, quote: str, instruments: Sequence[Instrument]) -> Self:
        """Of an engine that is about to be made."""
        return cls(quote, tuple(sorted((each.symbol, each.base, each.quote) for each in instruments)))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Raises `ValueError`, `KeyError` or `TypeError`."""
        told = orjson.loads(data)
        return cls(str(told["quote"]), tuple((str(a), str(b), str(c)) for a, b, c in told["instruments"]))

    def to_json(self) -> bytes:
        return orjson.dumps({"quote": self.quote, "instruments": self.instruments})

    def engine(self) -> Engine:
        """An engine that folds as one made for this scope does; it never trades."""
        step = ONE
        instruments = [
            Instrument(symbol, symbol, base, quote, step, step, step, ONE, ZERO, ZERO, ZERO)
            for symbol, base, quote in self.instruments
        ]
        return Engine(EngineConfig(self.quote), instruments, MessageMaker("checkpoint", SessionId("checkpoint")))


def write_model(past: PastSessions, model: ReadModel) -> bytes:
    """Raises `GraphError`."""
    return write_graph(None, _model_places(past, model), TYPES)


def read_model_into(data: bytes, past: PastSessions, model: ReadModel) -> None:
    """Into new ones. Raises `GraphError`: then they are as they were."""
    read_graph(data, _model_places(past, model), TYPES)


def _model_places(past: PastSessions, model: ReadModel) -> dict[str, object]:
    return {
        "past": past, "model": model, "orders": model.order_fold, "results": model.results, "council": model.council,
        "grids": model.grids, "alphas": model.alphas, "weights": model.alphas.weights, "events": model.events,
        "risk": model.risk, "quality": model.quality, "tuning": model.tuning, "market": model.market,
    }


def write_engine(engine: Engine, scope: Scope) -> bytes:
    """Raises `GraphError`. The engine is one that has folded a journal and has done nothing yet."""
    desk = engine.desk
    watched = [(symbol, lane) for symbol in desk.markets for lane in LANES]  # the idle ones count orders of arming, too
    head = {
        "scope": scope.to_json().decode(), "now": desk.now, "watched": watched,
        "unlisted": [symbol for symbol in desk.markets if symbol not in {each[0] for each in scope.instruments}],
    }
    graph = write_graph(None, _engine_places(engine, watched), TYPES)
    return orjson.dumps(head) + b"\n" + graph


def read_engine_into(data: bytes, engine: Engine, scope: Scope) -> None:
    """Into a new engine made for `scope`. Raises `GraphError`: then it is as it was."""
    head, _, graph = data.partition(b"\n")
    try:
        told: Any = orjson.loads(head)
        if told["scope"] != scope.to_json().decode():
            raise GraphError("the engine trades other symbols now")
        watched = [(symbol, LANES[LANES.index(lane)]) for symbol, lane in told["watched"]]
        now, unlisted = int(told["now"]), [str(symbol) for symbol in told["unlisted"]]
    except (KeyError, TypeError, ValueError) as error:
        raise error if isinstance(error, GraphError) else GraphError(f"no engine: {error!r}") from error
    desk = engine.desk
    read_graph(graph, _engine_places(engine, watched), TYPES)
    desk.now = now
    for symbol in unlisted:
        desk.know(symbol)
    for market in desk.markets.values():
        market.fence_prints()  # the fence is the living market's


def _engine_places(engine: Engine, watched: Sequence[tuple[str, Any]]) -> dict[str, object]:
    state = engine.desk.state
    places: dict[str, object] = {
        "state": state, "orders": state.orders, "commitments": state.orders.commitments, "ledger": state.ledger,
        "watch": state.watch, "votes": state.votes, "locks": state.locks, "grids": state.grids,
        "tracker": engine.desk.tracker,
    }
    return places | {f"trails {symbol} {lane}": state.watch.trails(symbol, lane) for symbol, lane in watched}
