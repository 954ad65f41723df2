"""The envelope around each message: who said it, when, because of what, how urgent, until when.

Named tuples, as the ticks are: two are born for every fact on the way from a trigger to its order.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from bus.ids import MessageId, SessionId

PRIORITY_KILL: Final = 0
PRIORITY_CONTROL: Final = 1
PRIORITY_FILL: Final = 2
PRIORITY_DEFAULT: Final = 5
PRIORITY_DATA: Final = 7


class Header(NamedTuple):
    """`seq` counts the source's messages without gaps; `ts` and `expires` are UTC ns (0 = never expires).

    `cause` is the id of the message that led to this one; `target` names one agent, "" is everybody who
    subscribed to the type. Lower `priority` goes first.
    """

    source: str
    session: SessionId
    seq: int
    ts: int
    cause: str = ""
    expires: int = 0
    priority: int = PRIORITY_DEFAULT
    target: str = ""


class Message(NamedTuple):
    """A header and a body; the body is one of the vocabulary's frozen dataclasses."""

    header: Header
    body: Any

    @property
    def id(self) -> MessageId:
        """Unique for ever: source.session.seq."""
        header = self.header
        return MessageId(f"{header.source}.{header.session}.{header.seq}")


_TUPLE: Final[Any] = tuple.__new__
"""What the class of a named tuple calls, without the function in between: two are made for every fact."""

_priorities: dict[type, int] = {}  # a type without a priority is looked through in vain, each time anew


class MessageMaker:
    """Numbers the messages of one source in one session, without gaps."""

    __slots__ = ("_seq", "session", "source")

    def __init__(self, source: str, session: SessionId) -> None:
        self.source = source
        self.session = session
        self._seq = 0

    def make(
        self, body: Any, ts: int, *, cause: str = "", expires: int = 0,
        priority: int | None = None, target: str = "",
    ) -> Message:
        """The next message of this source. Priority defaults to the body type's `PRIORITY`, else 5."""
        self._seq += 1
        if priority is None:
            kind = type(body)
            priority = _priorities.get(kind)
            if priority is None:
                priority = _priorities[kind] = getattr(kind, "PRIORITY", PRIORITY_DEFAULT)
        header = _TUPLE(Header, (self.source, self.session, self._seq, ts, cause, expires, priority, target))
        message: Message = _TUPLE(Message, (header, body))
        return message

    def foretell(self, bodies: Sequence[Any], ts: int) -> list[Message]:
        """What `make` would give for these, one after the other; nothing is numbered by it."""
        seq = self._seq
        made = [self.make(body, ts) for body in bodies]
        self._seq = seq
        return made
