"""Everything that reached a session from outside, in order: with it the session can be run again to the same orders.

A tape (`store.tape`) in the folder `inputs` of the data directory. The first line of a session's first file is its
head; each further line is one call into the runtime, with the session's time at that call. What the parts do among
themselves (the council, the paper venue, the timers' consequences) is not noted: it follows.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from bus import codec
from bus.codec_plans import Doubt, packer, unpacker
from bus.ids import SessionId
from bus.messages.header import Message, MessageMaker
from market.instrument import Instrument
from market.ticks import Candle, QuoteTick, TradeTick
from store.tape import Tape
from tradingd.settings import Settings
from tradingd.version import VERSION

FOLDER: Final = "inputs"
FORMAT: Final = 1
HEAD: Final = "session"
_LEFT_OUT: Final = {
    "alerts", "api", "data_dir", "history", "log", "metrics", "secrets", "source", "store", "tape", "venues",
}
"""Sections that change nothing of what is traded, or hold secrets."""


class InputsError(ValueError):
    """The inputs cannot be used: the text names the file and says what is wrong."""


class Input(NamedTuple):
    """One call: `ns` is the session's time at it, `kind` the call, `data` its line."""

    ns: int
    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """How the session began. `journal`: the file's name; `instruments`: those that it traded."""

    session: SessionId
    version: str
    journal: str
    settings: Settings
    instruments: tuple[Instrument, ...]
    files: tuple[Path, ...]


# ---- written ---------------------------------------------------------------------------------------


class InputTape:
    """The open tape of one session. `note` takes plain values, the others what they are named after.

    With a hole it would be of no use: it ends at the first line that the disk did not take.
    """

    def __init__(self, folder: Path, max_mb: int, session: SessionId) -> None:
        self._tape = Tape(folder, max_mb)
        self._maker = MessageMaker("input", session)
        self._session = session

    def begin(self, ns: int, journal: str, settings: Settings, instruments: Sequence[Instrument]) -> None:
        """The head; nothing may come before it."""
        self._write(ns, HEAD, {
            "format": FORMAT, "session": self._session, "version": VERSION, "journal": journal,
            "settings": settings.model_dump(mode="json", exclude=_LEFT_OUT),
            "instruments": [packer(Instrument)(each) for each in instruments],
        })

    def note(self, ns: int, kind: str, data: object = None) -> None:
        """A call with plain values, or none."""
        self._write(ns, kind, data)

    def quote(self, ns: int, tick: QuoteTick) -> None:
        """The most frequent one."""
        if not self._tape.lost:
            self._tape.write(ns, tick, b"q", _quote_text)

    def trade(self, ns: int, tick: TradeTick) -> None:
        """As `quote`."""
        if not self._tape.lost:
            self._tape.write(ns, tick, b"t", _trade_text)

    def item(self, ns: int, item: object) -> None:
        """Any other market item, or a candle."""
        kind = type(item)
        self._write(ns, f"item {kind.__name__}", packer(kind)(item))

    def message(self, ns: int, message: Message) -> None:
        """A message that was made outside, with its header."""
        if not self._tape.lost:
            self._tape.write(ns, codec.encode(message), b"message")

    def said(self, ns: int, kind: str, source: str, body: object) -> None:
        """A body that becomes a message inside: a command, a fact, a report."""
        text = codec.encode(self._maker.make(body, ns)).decode()
        self._write(ns, kind, {"source": source, "message": text})

    def candles(self, ns: int, candles: Sequence[Candle]) -> None:
        """Past ones, before the first live item."""
        self._write(ns, "warm up", [packer(Candle)(each) for each in candles])

    def _write(self, ns: int, kind: str, data: object) -> None:
        if not self._tape.lost:
            self._tape.write(ns, orjson.dumps(data), kind.encode())

    def close(self) -> None:
        """Write out what is buffered."""
        self._tape.close()


def _quote_text(tick: QuoteTick) -> bytes:
    """Written by hand: half a microsecond."""
    symbol, bid, bid_quantity, ask, ask_quantity, ts_event, ts_init = tick
    return orjson.dumps((symbol, str(bid), str(bid_quantity), str(ask), str(ask_quantity), ts_event, ts_init))


def _trade_text(tick: TradeTick) -> bytes:
    symbol, price, quantity, aggressor, trade_id, ts_event, ts_init = tick
    return orjson.dumps((symbol, str(price), str(quantity), aggressor, trade_id, ts_event, ts_init))


# ---- read ------------------------------------------------------------------------------------------


def sessions(folder: Path) -> list[Head]:
    """Every session whose beginning is still there, oldest first; raises `InputsError` for one of another format."""
    found: list[tuple[Path, list[Path]]] = []
    for path in sorted(folder.glob("*.tsv")):
        if _first_line(path).split("\t", 2)[1:2] == [HEAD]:
            found.append((path, [path]))
        elif found:
            found[-1][1].append(path)
    return [_head(first, tuple(files)) for first, files in found]


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        return lines.readline()


def _head(path: Path, files: tuple[Path, ...]) -> Head:
    try:
        data: dict[str, Any] = json.loads(_first_line(path).split("\t", 2)[2])
        if data["format"] != FORMAT:
            raise InputsError(f"{path}: inputs of format {data['format']}: use the version that wrote them.")
        return Head(
            SessionId(data["session"]), str(data["version"]), str(data["journal"]),
            Settings.model_validate(data["settings"]),
            tuple(unpacker(Instrument)(each) for each in data["instruments"]), files,
        )
    except InputsError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, Doubt) as error:
        raise InputsError(f"{path}: its head cannot be read ({type(error).__name__}: {error}).") from error


def inputs_of(head: Head) -> Iterator[Input]:
    """All calls behind the head, in order; half a line at the end (a process that was killed) is left out."""
    for path in head.files:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    return
                parts = line[:-1].split(b"\t", 2)
                if len(parts) != 3 or not parts[0].isdigit():
                    raise InputsError(f"{path}: line {number} is no input.")
                if parts[1] != HEAD.encode():
                    yield Input(int(parts[0]), parts[1].decode(), parts[2])


def quote_of(data: bytes) -> QuoteTick:
    """Of a line `q`."""
    symbol, bid, bid_size, ask, ask_size, ts_event, ts_init = orjson.loads(data)
    return QuoteTick(symbol, Decimal(bid), Decimal(bid_size), Decimal(ask), Decimal(ask_size), ts_event, ts_init)


def trade_of(data: bytes) -> TradeTick:
    """Of a line `t`."""
    symbol, price, quantity, aggressor, trade_id, ts_event, ts_init = orjson.loads(data)
    return TradeTick(symbol, Decimal(price), Decimal(quantity), aggressor, trade_id, ts_event, ts_init)


def item_of(kind: str, data: bytes) -> Any:
    """The market item of an `item KIND` line; raises `InputsError`."""
    made = codec.BODY_TYPES.get(kind.removeprefix("item "))
    if made is None:
        raise InputsError(f"{kind!r} is no market item")
    return unpacker(made)(orjson.loads(data))


def said_of(data: bytes) -> tuple[str, Any]:
    """(source, body) of a line of `InputTape.said`."""
    row = orjson.loads(data)
    return str(row["source"]), codec.decode(row["message"]).body


def candles_of(data: bytes) -> list[Candle]:
    """Of a line `warm up`."""
    read = unpacker(Candle)
    return [read(each) for each in orjson.loads(data)]

