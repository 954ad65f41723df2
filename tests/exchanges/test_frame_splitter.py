"""Bytes into messages and the rest, however they are cut, and the same as the library's own parser says."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from exchanges.frame_splitter import FrameSplitter

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
SIZES = st.sampled_from((0, 1, 125, 126, 127, 300, 65_535, 65_536, 70_000))
OTHERS = st.sampled_from((Opcode.PING, Opcode.PONG, Opcode.BINARY, Opcode.CONT, Opcode.CLOSE))


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


def text(size: int) -> bytes:
    return bytes(48 + number % 75 for number in range(size))


def split(data: bytes, cuts: list[int], longest: int = 1 << 20) -> tuple[list[bytes], bytes]:
    """The messages, and all the rest in one, of `data` read in pieces."""
    splitter = FrameSplitter(longest)
    messages, rest = [], b""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for number, (begin, end) in enumerate(pairwise(edges)):
        if number % 2 == 0 and (whole := splitter.only(data[begin:end])) is not None:
            messages.append(whole)
            continue
        splitter.add(data[begin:end])
        while (piece := splitter.next()) is not None:
            if splitter.is_message:
                messages.append(piece)
            else:
                rest += piece
    return messages, rest


def library_says(data: bytes) -> list[tuple[Opcode, bytes, bool]]:
    protocol = Protocol(Side.CLIENT, state=OPEN, max_size=None)
    protocol.receive_data(data)
    return [(event.opcode, bytes(event.data), event.fin) for event in protocol.events_received()]  # type: ignore[union-attr]


@given(st.lists(st.tuples(st.booleans(), OTHERS, SIZES), max_size=6), st.lists(st.integers(0, 400_000), max_size=8))
def test_texts_become_messages_and_all_else_is_passed_on_as_it_came(kinds, cuts):
    texts, others, stream = [], HEAD, HEAD
    for is_text, opcode, size in kinds:
        data = text(size if is_text or opcode in (Opcode.BINARY, Opcode.CONT) else min(size, 125))
        made = frame(Opcode.TEXT if is_text else opcode, data)
        stream += made
        if is_text and size <= 65_535:
            texts.append(data)
        else:
            others += made
    assert split(stream, cuts) == (texts, others)


def test_byte_by_byte_it_is_the_same():
    stream = HEAD + frame(Opcode.TEXT, b"one") + frame(Opcode.PING, b"?") + frame(Opcode.TEXT, text(200))
    assert split(stream, list(range(len(stream)))) == ([b"one", text(200)], HEAD + frame(Opcode.PING, b"?"))


def test_the_parts_of_a_message_are_passed_on():
    parts = frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.CONT, b"b", fin=True)
    assert split(HEAD + parts + frame(Opcode.TEXT, b"c"), [])[1] == HEAD + parts


def test_a_text_above_the_limit_is_passed_on_even_before_it_is_whole():
    long = frame(Opcode.TEXT, text(200))
    assert split(HEAD + long[:50], [], longest=199) == ([], HEAD + long[:50])
    assert split(HEAD + long[:50], [], longest=200) == ([], HEAD)


@pytest.mark.parametrize("bad", [
    pytest.param(bytes((0xC1, 1)) + b"x", id="an extension's bit"),
    pytest.param(bytes((0x81, 0x81)) + b"kkkk" + b"x", id="masked"),
    pytest.param(bytes((0x83, 1)) + b"x", id="an unknown kind"),
])
def test_what_breaks_the_rules_is_left_to_the_library(bad):
    assert split(HEAD + bad + frame(Opcode.TEXT, b"next"), []) == ([b"next"], HEAD + bad)


def test_what_follows_the_rest_can_be_taken_over():
    splitter = FrameSplitter(1_000)
    splitter.add(HEAD + b"\x81\x01a\x81\x05b")
    assert splitter.next() == HEAD
    assert splitter.next() == b"a"
    assert splitter.next() is None
    assert splitter.take_rest() == b"\x81\x05b"
    assert splitter.next() is None


def test_random_streams_say_what_the_library_says():
    chance = random.Random(7)
    for _ in range(200):
        stream = b"".join(
            frame(chance.choice((Opcode.TEXT, Opcode.TEXT, Opcode.PING)), text(chance.choice((0, 5, 125))))
            for _ in range(chance.randint(1, 12))
        )
        said = library_says(stream)
        messages, rest = split(HEAD + stream, [chance.randrange(4_000) for _ in range(3)])
        assert messages == [data for opcode, data, _ in said if opcode is Opcode.TEXT]
        assert library_says(rest.removeprefix(HEAD)) == [each for each in said if each[0] is not Opcode.TEXT]


@given(SIZES, st.integers(1, 3))
def test_one_whole_message_is_known_at_once_and_nothing_else_is(size: int, copies: int) -> None:
    splitter = FrameSplitter(1 << 20)
    message = frame(Opcode.TEXT, text(size))
    assert splitter.only(message) is None  # the handshake is not over
    splitter.add(HEAD)
    while splitter.next() is not None:
        pass
    is_simple = copies == 1 and size <= 65_535 and len(message) >= 4
    assert splitter.only(message * copies) == (text(size) if is_simple else None)
    assert splitter.only(message[:-1]) is None
    assert splitter.only(frame(Opcode.BINARY, text(size))) is None
    splitter.add(message[:1])
    assert splitter.next() is None
    assert splitter.only(message) is None  # something is left that comes before it
