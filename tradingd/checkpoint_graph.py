"""Live objects as bytes and back, explicitly: data alone travels, no code, and only types of a given list.

Objects that share a part share it again after reading (the trails' heaps tell their living entries by identity). An
object that exists before reading, with methods of its own bound elsewhere, is a *place*: it is filled, not replaced.
What is written are tables, one per type, in columns: reading is one pass over each. Whatever is not on the list of
types, no finite number or no plain text raises `GraphError` on the way out, so that nothing is kept halfway.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import repeat
from typing import Any, Final

import orjson

_PLAIN: Final = frozenset({type(None), bool, int, str})
_CONTAINERS: Final = (list, deque, dict, OrderedDict, set)


class GraphError(ValueError):
    """Something that cannot be kept, or bytes that are no graph of these types."""


class Types:
    """What may be kept, by name; `skipped` are fields that are never kept: they belong to the living object."""

    def __init__(self, kinds: Iterable[type], skipped: Iterable[tuple[type, str]] = ()) -> None:
        self.by_name = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in kinds}
        self._names = {kind: name for name, kind in self.by_name.items()}
        self._skipped = frozenset(skipped)

    def name_of(self, kind: type) -> str:
        name = self._names.get(kind)
        if name is None:
            raise GraphError(f"a {kind.__module__}.{kind.__qualname__} cannot be kept")
        return name

    def fields_of(self, kind: type, item: object) -> tuple[str, ...]:
        """In the order of declaration, base types first."""
        names = [name for base in reversed(kind.__mro__) for name in base.__dict__.get("__slots__", ())]
        names += list(getattr(item, "__dict__", ()))
        return tuple(name for name in names if not any((base, name) in self._skipped for base in kind.__mro__))


def write_graph(root: object, places: Mapping[str, object], types: Types) -> bytes:
    """The root and all that hangs on it. Raises `GraphError`."""
    return _Writer(places, types).write(root)


def read_graph(data: bytes, places: Mapping[str, object], types: Types) -> Any:
    """The root again; the places are filled. Raises `GraphError`: then no place was touched."""
    try:
        return _read(orjson.loads(data), places, types)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
        raise GraphError(f"no graph of this program: {error!r}") from error


# ---- out -----------------------------------------------------------------------------------------------

class _Writer:
    """Numbers every thing once; a thing that is met again has its number already."""

    def __init__(self, places: Mapping[str, object], types: Types) -> None:
        self._types = types
        self._numbers: dict[int, int] = {}
        self._kept: list[object] = []  # nothing may die while its id stands for it
        self._atoms: dict[tuple[type, object], int] = {}
        self._count = 0
        self._todo: list[object] = []
        self._place_numbers: dict[str, int] = {}
        self._decimals: tuple[list[int], list[str]] = ([], [])
        self._floats: tuple[list[int], list[str]] = ([], [])
        self._tuples: list[tuple[int, str, list[int]]] = []
        self._objects: dict[type, tuple[list[int], list[object]]] = {}
        self._containers: dict[type, tuple[list[int], list[Any]]] = {kind: ([], []) for kind in _CONTAINERS}
        for name, place in places.items():
            self._place_numbers[name] = self._number(place)

    def write(self, root: object) -> bytes:
        first = self._number(root)
        tables: list[Any] = []
        columns: dict[int, Any] = {}
        while self._todo:  # objects and containers: their parts may be new ones again
            self._visit(self._todo.pop(), columns)
        for kind, (numbers, items) in self._objects.items():
            fields = self._types.fields_of(kind, items[0])
            values = [[columns[number][field] for number in numbers] for field in range(len(fields))]
            tables.append([self._types.name_of(kind), numbers, [
                [name, *self._column(column)] for name, column in zip(fields, values, strict=True)
            ]])
        containers = {
            kind.__name__: [numbers, [columns[number] for number in numbers]]
            for kind, (numbers, _) in self._containers.items()
        }
        atoms = [[number, value] for (_, value), number in self._atoms.items()]
        try:
            return orjson.dumps({
                "root": first, "count": self._count, "places": self._place_numbers, "atoms": atoms,
                "decimals": self._decimals, "floats": self._floats, "tuples": self._tuples, "objects": tables,
                "containers": containers,
            })
        except TypeError as error:
            raise GraphError(f"cannot be kept: {error}") from error

    def _number(self, value: Any) -> int:
        kind = type(value)
        if kind in _PLAIN:
            key = (kind, value)
            number = self._atoms.get(key)
            if number is None:
                number = self._atoms[key] = self._next()
            return number
        number = self._numbers.get(id(value))
        return self._take(kind, value) if number is None else number

    def _next(self) -> int:
        self._count += 1
        return self._count - 1

    def _take(self, kind: type, value: Any) -> int:
        if isinstance(value, tuple):
            parts = [self._number(each) for each in value]  # its parts come before it
            number = self._next()
            self._tuples.append((number, "" if kind is tuple else self._types.name_of(kind), parts))
        else:
            number = self._next()
            if kind is Decimal:
                self._decimals[0].append(number)
                self._decimals[1].append(str(value))
            elif kind is float:
                self._floats[0].append(number)
                self._floats[1].append(value.hex())
            else:
                if kind in self._containers:
                    numbers, items = self._containers[kind]
                else:
                    self._types.name_of(kind)
                    numbers, items = self._objects.setdefault(kind, ([], []))
                numbers.append(number)
                items.append(value)
                self._todo.append(value)
        self._numbers[id(value)] = number
        self._kept.append(value)
        return number

    def _visit(self, value: Any, columns: dict[int, Any]) -> None:
        kind, number = type(value), self._numbers[id(value)]
        if kind is dict or kind is OrderedDict:
            columns[number] = [[self._number(key) for key in value], [self._number(each) for each in value.values()]]
        elif kind is deque:
            columns[number] = [value.maxlen, [self._number(each) for each in value]]
        elif kind is list or kind is set:
            columns[number] = [self._number(each) for each in (sorted(value) if kind is set else value)]
        else:
            row = []
            for name in self._types.fields_of(kind, value):
                part = getattr(value, name)
                if not _is_plain(part):
                    self._number(part)
                row.append(part)
            columns[number] = row

    def _column(self, values: list[Any]) -> tuple[bool, list[Any]]:
        """As they are when all are plain, else the numbers of all."""
        if all(map(_is_plain, values)):
            return True, values
        return False, [self._number(value) for value in values]


def _is_plain(value: Any) -> bool:
    return type(value) in _PLAIN or (type(value) is float and math.isfinite(value))


# ---- in ------------------------------------------------------------------------------------------------

def _read(tables: Any, places: Mapping[str, object], types: Types) -> Any:
    nodes: list[Any] = [None] * tables["count"]
    if tables["places"].keys() != places.keys():
        raise GraphError("made for other places")
    for number, value in tables["atoms"]:
        nodes[number] = value
    _scatter(nodes, tables["decimals"][0], map(Decimal, tables["decimals"][1]))
    _scatter(nodes, tables["floats"][0], map(float.fromhex, tables["floats"][1]))
    # Everything that can be part of itself is there, empty, before anything is filled.
    for name, numbers, _ in tables["objects"]:
        _scatter(nodes, numbers, map(object.__new__, repeat(types.by_name[name], len(numbers))))
    for kind in _CONTAINERS:
        numbers, rows = tables["containers"][kind.__name__]
        made: Iterable[Any] = (deque(maxlen=row[0]) for row in rows) if kind is deque else (kind() for _ in rows)
        _scatter(nodes, numbers, made)
    # Others refer to the living place; its fields go to a stand-in first, so that it is filled wholly or not at all.
    stand_ins = {}
    for name, number in tables["places"].items():
        if type(nodes[number]) is not type(places[name]):
            raise GraphError("a place of another type")
        stand_ins[number], nodes[number] = nodes[number], places[name]
    at = nodes.__getitem__
    for number, name, parts in tables["tuples"]:
        nodes[number] = tuple(map(at, parts)) if not name else tuple.__new__(types.by_name[name], map(at, parts))
    for name, numbers, columns in tables["objects"]:
        _fill_objects(
            types.by_name[name], [stand_ins.get(number, nodes[number]) for number in numbers], columns, nodes
        )
    _fill_containers(tables["containers"], nodes)
    for number, stand_in in stand_ins.items():
        for field in types.fields_of(type(stand_in), stand_in):
            setattr(nodes[number], field, getattr(stand_in, field))
    return nodes[tables["root"]]


def _scatter(nodes: list[Any], numbers: Sequence[int], values: Iterable[Any]) -> None:
    for number, value in zip(numbers, values, strict=True):
        nodes[number] = value


def _fill_objects(kind: type, items: list[Any], columns: Any, nodes: list[Any]) -> None:
    for name, is_plain, values in columns:
        filled = values if is_plain else map(nodes.__getitem__, values)
        slot = next((base.__dict__[name] for base in kind.__mro__ if name in base.__dict__), None)
        if slot is not None and hasattr(slot, "__set__"):
            put = slot.__set__  # past the frozen types' own __setattr__, as their constructors do
            for item, value in zip(items, filled, strict=True):
                put(item, value)
        else:
            for item, value in zip(items, filled, strict=True):
                object.__setattr__(item, name, value)


def _fill_containers(containers: Any, nodes: list[Any]) -> None:
    at = nodes.__getitem__
    for name in ("list", "deque", "dict", "OrderedDict", "set"):  # keys are whole by now: only objects are hashed
        numbers, rows = containers[name]
        for number, row in zip(numbers, rows, strict=True):
            node = nodes[number]
            if name in ("dict", "OrderedDict"):
                node.update(zip(map(at, row[0]), map(at, row[1]), strict=True))
            elif name == "deque":
                node.extend(map(at, row[1]))
            elif name == "list":
                node.extend(map(at, row))
            else:
                node.update(map(at, row))
