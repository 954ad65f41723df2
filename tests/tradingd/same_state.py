"""Are two object graphs the same, by value and by what is shared with what?"""

from collections import OrderedDict, deque
from typing import Any

from orders.engine import Engine
from orders.keyed_heap import KeyedHeap
from orders.watch import LANES
from tradingd.read_model import ReadModel

_SKIPPED = {"handlers", "_handlers", "listeners", "_is_needed", "past_lock", "_history"}


def first_difference(left: Any, right: Any) -> str:
    """The path to it and both values; "" when there is none."""
    seen: set[tuple[int, int]] = set()
    todo: list[tuple[str, Any, Any]] = [("", left, right)]
    while todo:
        path, a, b = todo.pop()
        if type(a) is not type(b):
            return f"{path}: {a!r} / {b!r}"
        if isinstance(a, KeyedHeap):
            # Which entries live is told by identity; those that were replaced do not count.
            a, b = _living(a), _living(b)
        if isinstance(a, tuple | list | deque):
            if len(a) != len(b) or getattr(a, "maxlen", None) != getattr(b, "maxlen", None):
                return f"{path}: {len(a)} / {len(b)} items"
            todo += [(f"{path}[{n}]", *each) for n, each in enumerate(zip(a, b, strict=True))]
        elif isinstance(a, dict | OrderedDict):
            if list(a) != list(b):
                return f"{path}: keys {list(a)[:5]} / {list(b)[:5]}"
            todo += [(f"{path}[{key!r}]", a[key], b[key]) for key in a]
        elif type(a).__module__.split(".")[0] in ("orders", "risk", "bus", "tradingd", "market"):
            if (id(a), id(b)) in seen:
                continue
            seen.add((id(a), id(b)))
            todo += [(f"{path}.{name}", getattr(a, name), getattr(b, name)) for name in _fields(a)]
        elif callable(a):
            continue
        elif repr(a) != repr(b):
            return f"{path}: {a!r} / {b!r}"
    return ""


def _living(heap: KeyedHeap[Any]) -> list[Any]:
    entries = sorted(heap.entries, key=lambda entry: entry[:2])
    return [entry for entry in entries if heap._keys.get(entry[1]) is entry[0]]


def _fields(item: object) -> list[str]:
    slots = [name for base in type(item).__mro__ for name in base.__dict__.get("__slots__", ())]
    return [name for name in (*slots, *getattr(item, "__dict__", ())) if name not in _SKIPPED]


def engine_parts(engine: Engine) -> tuple[Any, ...]:
    """What an engine knows after a fold, the triggers as the markets hold them."""
    desk = engine.desk
    trails = [
        (symbol, lane, desk.state.watch.trails(symbol, lane)) for symbol in sorted(desk.markets) for lane in LANES
    ]
    held = [(each.lasts, each.mids, each.bids, each.asks) for _, each in sorted(desk.markets.items())]
    state = {name: value for name, value in vars(desk.state).items() if name != "watch"}
    return state, desk.state.watch._homes, trails, held, desk.tracker, desk.now, sorted(desk.markets)


def model_parts(model: ReadModel) -> dict[str, Any]:
    return {name: value for name, value in vars(model).items() if name not in _SKIPPED}
