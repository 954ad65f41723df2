"""One broadcast for all websocket clients: a fact is shown and encoded once, and written in small slices.

The trading loop pays one dictionary look-up and one append per fact, and nothing while nobody listens. Every
`FLUSH_S` the collected facts become frames; clients that want the same channels share the same bytes. A client
that does not read is dropped: nothing waits for it. Everything is bounded, and what had to be left out shows as a
gap in the channel's `seq`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Protocol

import orjson

from bus.messages.header import Message
from tradingd.api.websocket_events import CHANNELS, Event, channels_of, events_of, price_data
from tradingd.api.websocket_frames import text_frame
from tradingd.control import Control
from tradingd.read_model_views import text_or_none, to_iso
from tradingd.status_view import agent_view, live_status

FLUSH_S: Final = 0.05
PRICE_S: Final = 0.25
SECOND_S: Final = 1.0
MOST_WAITING: Final = 2_000
"""Facts between two flushes; more are left out."""
_SHOWN_AT_ONCE: Final = 16
"""Facts shown and encoded before the loop has its turn: a burst of a thousand must not hold up a tick."""
_PRICES_AT_ONCE: Final = 100
_AT_ONCE: Final = 8
"""Clients written to before the loop has its turn: 8 writes take about 0.1 ms."""

_log = logging.getLogger(__name__)


class Client(Protocol):
    """One connection, as the hub needs it."""

    channels: frozenset[str]

    def send(self, frame: bytes) -> None:
        """Hand over a whole frame; never waits."""
        ...

    def second(self) -> None:
        """A second has passed: keep-alive, and whether its token still holds."""
        ...


class Hub:
    """Who listens to what. All calls come from the event loop."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._clients: dict[Client, None] = {}
        self._waiting: deque[Message | Event] = deque()
        self._seq = dict.fromkeys(CHANNELS, 0)
        self._subscribed: frozenset[str] = frozenset()
        self._flush_timer: asyncio.Handle | None = None
        self._shown: list[tuple[str, bytes]] = []
        self._beat: asyncio.Task[None] | None = None
        self._slices: deque[tuple[Client, bytes]] = deque()
        self._slice_handle: asyncio.Handle | None = None
        self._prices: dict[str, tuple[Any, Any, Any]] = {}
        self._progress: dict[str, object] = {}
        self.left_out = 0
        control.read_model.listeners.append(self.on_message)

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def seq(self) -> dict[str, int]:
        """The number of the last event, by channel."""
        return dict(self._seq)

    # ---- clients -----------------------------------------------------------------------------------

    def add(self, client: Client) -> None:
        """A connection that has shown its token."""
        self._clients[client] = None
        if self._beat is None:
            self._beat = asyncio.get_running_loop().create_task(self._run(), name="websocket beat")

    def remove(self, client: Client) -> None:
        """It is gone."""
        self._clients.pop(client, None)
        self.note_channels()
        if not self._clients and self._beat is not None:
            self._beat.cancel()
            self._beat = None

    def settle(self) -> None:
        """Before somebody's channels change: what is shown already goes to those who wanted it then, to no other."""
        frames, self._shown = self._shown, []
        if frames:
            self._spread(frames)

    def note_channels(self) -> None:
        """A client changed what it wants to hear."""
        self._subscribed = frozenset().union(*(client.channels for client in self._clients))
        if "price" not in self._subscribed:
            self._prices.clear()

    def snapshot(self, channels: Iterable[str]) -> list[bytes]:
        """What holds now, for a client that just subscribed: with the number of the last event of its channel."""
        now, model = self._control.now(), self._control.read_model
        data: dict[str, object] = {}
        for channel in channels:
            if channel == "status":
                data[channel] = {"event": "snapshot", "status": live_status(self._control)}
            elif channel == "position":
                data[channel] = {"event": "snapshot", "positions": model.positions()}
            elif channel == "performance":
                data[channel] = {"event": "snapshot", "performance": model.performance()}
            elif channel == "order":
                data[channel] = {"event": "snapshot", "orders": model.orders(limit=200, working_only=True)}
            elif channel == "agent":
                views = [agent_view(agent, now) for agent in self._control.status().agents]
                data[channel] = {"event": "snapshot", "agents": views}
            elif channel == "price":
                rows = [_price_row(symbol, row) for symbol, row in sorted(self._control.prices().items())]
                data[channel] = {"event": "snapshot", "prices": rows}
        return [self._frame(channel, self._seq[channel], now, shown) for channel, shown in data.items()]

    # ---- facts -------------------------------------------------------------------------------------

    def on_message(self, message: Message) -> None:
        """After each fact that the read model has folded. Called inside an engine step: must cost nothing."""
        if not self._subscribed:
            return
        for channel in channels_of(message):
            if channel in self._subscribed:
                self._collect(message)
                return

    def publish(self, channel: str, data: object) -> None:
        """Tell something that is no fact of the journal, such as the progress of a long work."""
        if channel in self._subscribed:
            self._collect(Event(channel, self._control.now(), data))

    def _collect(self, item: Message | Event) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self.left_out += 1
            for channel in _channels(item):
                self._seq[channel] += 1
            return
        self._waiting.append(item)
        if self._flush_timer is None:
            self._flush_timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        """Show and encode a few; spread all when nothing waits any more."""
        for _ in range(min(_SHOWN_AT_ONCE, len(self._waiting))):
            item = self._waiting.popleft()
            for channel in _channels(item):
                self._seq[channel] += 1
            try:
                self._show(item)
            except Exception:  # noqa: BLE001 - what one fact cannot say must not silence all that follow
                self.left_out += 1
                _log.exception("%s cannot be shown", type(item.body if isinstance(item, Message) else item).__name__)
        if self._waiting:
            self._flush_timer = asyncio.get_running_loop().call_soon(self._flush)
            return
        self._flush_timer = None
        self.settle()

    def _show(self, item: Message | Event) -> None:
        for event in events_of(item, self._control.read_model) if isinstance(item, Message) else (item,):
            if event.channel in self._subscribed:
                frame = self._frame(event.channel, self._seq[event.channel], event.ts, event.data)
                self._shown.append((event.channel, frame))

    def _spread(self, frames: list[tuple[str, bytes]]) -> None:
        joined: dict[frozenset[str], bytes] = {}
        for client in self._clients:
            wanted = client.channels
            if wanted not in joined:
                joined[wanted] = b"".join(frame for channel, frame in frames if channel in wanted)
            if joined[wanted]:
                self._slices.append((client, joined[wanted]))
        if self._slice_handle is None:
            self._write_slice()

    def _write_slice(self) -> None:
        """A few clients, then the loop's other work: ticks that came meanwhile are taken first."""
        self._slice_handle = None
        for _ in range(min(_AT_ONCE, len(self._slices))):
            client, data = self._slices.popleft()
            if client in self._clients:
                client.send(data)
        if self._slices:
            self._slice_handle = asyncio.get_running_loop().call_soon(self._write_slice)

    @staticmethod
    def _frame(channel: str, seq: int, ts: int, data: object) -> bytes:
        return text_frame(orjson.dumps({"channel": channel, "seq": seq, "ts": to_iso(ts), "data": data}))

    # ---- what is looked at -------------------------------------------------------------------------

    async def _run(self) -> None:
        """Prices four times a second; once a second the agents' progress, and each client's own second."""
        loop = asyncio.get_running_loop()
        next_second = loop.time() + SECOND_S
        while True:
            await asyncio.sleep(PRICE_S)
            try:
                if "price" in self._subscribed:
                    await self._tell_prices()
                if loop.time() < next_second:
                    continue
                if "progress" in self._subscribed:
                    self._tell_progress()
            except Exception:  # noqa: BLE001 - clients must still lose a line whose token is void
                if loop.time() < next_second:
                    continue
                _log.exception("prices and progress cannot be told")
            next_second = loop.time() + SECOND_S
            for index, client in enumerate(list(self._clients)):
                client.second()
                if index % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(0)

    async def _tell_prices(self) -> None:
        for index, (symbol, row) in enumerate(list(self._control.prices().items())):
            if index % _PRICES_AT_ONCE == _PRICES_AT_ONCE - 1:
                await asyncio.sleep(0)
            if self._prices.get(symbol) != row:
                self._prices[symbol] = row
                self.publish("price", _price_row(symbol, row))

    def _tell_progress(self) -> None:
        now = self._control.now()
        for agent in self._control.status().agents:
            view = agent_view(agent, now)
            shown = {"event": "agent", "name": view.name, "state": view.state, "status": view.status,
                     "progress": view.progress}
            if self._progress.get(view.name) != shown:
                self._progress[view.name] = shown
                self.publish("progress", shown)


def _channels(item: Message | Event) -> tuple[str, ...]:
    return channels_of(item) if isinstance(item, Message) else (item.channel,)


def _price_row(symbol: str, row: tuple[Any, Any, Any]) -> dict[str, str | None]:
    bid, ask, last = row
    return price_data(symbol, text_or_none(bid), text_or_none(ask), text_or_none(last))
