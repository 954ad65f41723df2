"""Recordings: what was received when. One line format, several sources, one order.

A line is `<UTC ns>\t<direction>\t<text>`: `<` a received websocket frame, `=` a REST answer (URL or the word
depth_snapshot, a space, the body), `>` and `*` (sent frames, connections) are skipped. A recording is read
twice: `scan` checks it and learns what is in it, `frames` streams it.
"""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qs, urlsplit

import orjson

from exchanges.practice.config import PracticeError

_DIRECTIONS: Final = "<>*="
_RAW_KINDS: Final = {"trade": "trade", "aggTrade": "aggTrade", "depthUpdate": "depth@100ms", "24hrTicker": "ticker",
                     "24hrMiniTicker": "miniTicker", "bookTicker": "bookTicker"}


class Frame(NamedTuple):
    """One market frame: receive time, stream name, and the stream's data as recorded."""

    ns: int
    stream: str
    data: str


@dataclass(slots=True)
class SymbolFacts:
    """What a recording tells of one symbol; `snapshot` is its first REST depth answer."""

    price_digits: int = 0
    quantity_digits: int = 0
    first_update_id: int = 0
    last_update_id: int = 0
    snapshot: dict[str, Any] | None = None

    def see_price(self, text: object) -> None:
        self.price_digits = max(self.price_digits, _digits(text))

    def see_quantity(self, text: object) -> None:
        self.quantity_digits = max(self.quantity_digits, _digits(text))


@dataclass(slots=True)
class Facts:
    """What is in a recording, by wire symbol; `listed` are recorded exchangeInfo entries.

    `has_candles`: some of its ticks were made from bars, so silence between them says nothing.
    """

    symbols: dict[str, SymbolFacts] = field(default_factory=dict)
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0
    frames: int = 0
    has_candles: bool = False

    def see_time(self, ns: int) -> None:
        if self.frames == 0:
            self.first_ns = self.last_ns = ns
        self.first_ns = min(self.first_ns, ns)
        self.last_ns = max(self.last_ns, ns)
        self.frames += 1

    def of(self, name: str) -> SymbolFacts:
        return self.symbols.setdefault(name, SymbolFacts())


class Recording(Protocol):
    """One file."""

    path: Path

    def scan(self, facts: Facts) -> None:
        """Add what is in it to `facts`; raises `PracticeError` naming file and line."""
        ...

    def frames(self) -> Iterator[Frame]:
        """All market frames in recorded order."""
        ...


class LineRecording:
    """A .tsv or .tsv.gz file. A torn last line (the recorder was killed) ends it without complaint."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def frames(self) -> Iterator[Frame]:
        for number, ns, direction, text in self._lines():
            if direction == "<":
                named = split_frame(text, self.path, number)
                if named is not None:
                    yield Frame(ns, *named)

    def scan(self, facts: Facts) -> None:
        unnamed: list[dict[str, Any]] = []
        mine: dict[str, SymbolFacts] = {}
        for number, ns, direction, text in self._lines():
            if direction == "<":
                self._scan_frame(facts, mine, (number, ns, text))
            elif direction == "=":
                self._scan_answer(facts, (number, text), unnamed)
        for snapshot in unnamed:
            owner = _owner(snapshot, mine)
            if owner is not None and owner.snapshot is None:
                owner.snapshot = snapshot

    def _scan_frame(self, facts: Facts, mine: dict[str, SymbolFacts], line: tuple[int, int, str]) -> None:
        number, ns, text = line
        named = split_frame(text, self.path, number)
        if named is None:
            return
        try:
            data = orjson.loads(named[1])
            name = data["k"]["s"] if "k" in data else data["s"]
            known = mine[name] = facts.of(str(name))
            _learn(known, data)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise PracticeError(
                f"{self.path}:{number}: not a Binance market frame ({type(error).__name__}: {error}): "
                "mend or remove the line"
            ) from error
        facts.see_time(ns)

    def _scan_answer(self, facts: Facts, line: tuple[int, str], unnamed: list[dict[str, Any]]) -> None:
        number, text = line
        head, _, body_text = text.partition(" ")
        try:
            body = orjson.loads(body_text)
        except orjson.JSONDecodeError as error:
            raise PracticeError(
                f"{self.path}:{number}: the recorded REST answer is not JSON ({error.msg}): mend or remove the line"
            ) from error
        if not isinstance(body, dict):
            return
        if "lastUpdateId" in body and "bids" in body:
            name = parse_qs(urlsplit(head).query).get("symbol", [""])[0]
            if not name:
                unnamed.append(body)
            elif facts.of(name).snapshot is None:
                facts.of(name).snapshot = body
            for level in [*body["bids"], *body["asks"]] if name else ():
                facts.of(name).see_price(level[0])
                facts.of(name).see_quantity(level[1])
        elif isinstance(body.get("symbols"), list):
            for entry in body["symbols"]:
                if isinstance(entry, dict) and "filters" in entry and "symbol" in entry:
                    facts.listed.setdefault(str(entry["symbol"]), entry)

    def _lines(self) -> Iterator[tuple[int, int, str, str]]:
        number = 0
        try:
            with gzip.open(self.path, "rb") if self.path.suffix == ".gz" else self.path.open("rb") as stream:
                for raw in stream:
                    number += 1
                    if not raw.endswith(b"\n") and _is_torn(raw):
                        return
                    yield (number, *_fields(raw, self.path, number))
        except EOFError:
            return  # the recorder of a .gz was killed: what came out is whole lines
        except (OSError, zlib.error) as error:
            raise PracticeError(f"{self.path}: cannot be read after line {number}: {error}") from error


def _fields(raw: bytes, path: Path, number: int) -> tuple[int, str, str]:
    try:
        stamp, direction, text = raw.decode("utf-8").rstrip("\r\n").split("\t", 2)
        ns = int(stamp)
    except ValueError as error:
        raise PracticeError(
            f"{path}:{number}: expected three tab-separated fields: UTC nanoseconds, one of {_DIRECTIONS}, text"
        ) from error
    if direction not in _DIRECTIONS or len(direction) != 1:
        raise PracticeError(f"{path}:{number}: the second field is {direction[:10]!r}, expected one of {_DIRECTIONS}")
    return ns, direction, text


def _is_torn(raw: bytes) -> bool:
    """Whether the last line, which lacks its end, lacks more than that."""
    try:
        orjson.loads(raw.split(b"\t", 2)[2].rpartition(b" ")[2] if b"\t=\t" in raw else raw.split(b"\t", 2)[2])
    except (orjson.JSONDecodeError, IndexError):
        return True
    return False


def split_frame(text: str, path: Path, number: int) -> tuple[str, str] | None:
    """(stream, data) of a market frame, wrapped or raw; None for answers, user events and control frames."""
    if text.startswith('{"stream":"'):
        end = text.find('"', 11)
        if text[end : end + 9] == '","data":' and text.endswith("}"):
            stream = text[11:end]
            return None if stream.startswith("practice@") else (stream, text[end + 9 : -1])
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise PracticeError(f"{path}:{number}: the frame is not JSON ({error.msg}): mend or remove the line") from error
    if not isinstance(frame, dict):
        return None
    if "stream" in frame and "data" in frame:
        stream = str(frame["stream"])
        return None if stream.startswith("practice@") else (stream, orjson.dumps(frame["data"]).decode())
    name = frame.get("s")
    if not isinstance(name, str):
        return None
    if frame.get("e") == "kline":
        return f"{name.lower()}@kline_{frame['k']['i']}", text
    kind = _RAW_KINDS.get(str(frame.get("e", "bookTicker" if "u" in frame and "B" in frame else "")))
    return None if kind is None else (f"{name.lower()}@{kind}", text)


def _learn(known: SymbolFacts, data: dict[str, Any]) -> None:
    event = data.get("e")
    if event == "depthUpdate":
        known.first_update_id = known.first_update_id or int(data["U"])
        known.last_update_id = int(data["u"])
        for level in (*data["b"][:2], *data["a"][:2]):
            known.see_price(level[0])
            known.see_quantity(level[1])
    elif event == "trade" or event == "aggTrade":
        known.see_price(data["p"])
        known.see_quantity(data["q"])
    elif "b" in data and "B" in data:
        known.see_price(data["b"])
        known.see_price(data["a"])
        known.see_quantity(data["B"])
    elif event == "kline":
        known.see_price(data["k"]["c"])


def _owner(snapshot: dict[str, Any], symbols: dict[str, SymbolFacts]) -> SymbolFacts | None:
    """Whose snapshot an unnamed one is: update ids of different symbols lie far apart."""
    there = [known for known in symbols.values() if known.first_update_id]
    if not there:
        return None
    last = int(snapshot["lastUpdateId"])
    return min(there, key=lambda known: abs(known.first_update_id - last))


def _digits(text: object) -> int:
    """Decimals of a price or quantity as written, trailing zeros aside."""
    if not isinstance(text, str):
        return 0
    _, _, decimals = text.partition(".")
    return min(8, len(decimals.rstrip("0")))
