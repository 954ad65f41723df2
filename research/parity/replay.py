"""A recorded session run again in the backtest's loop, from what reached it (`tradingd.session_inputs`)."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from bus.clock import FeedClock
from bus.codec import CodecError, decode
from bus.codec_plans import Doubt
from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.header import Message
from exchanges.simulated import SimulatedVenue
from exchanges.venue import OpenOrder
from research.backtest.product import Product, make_product
from risk.approved import Approved
from tradingd.paper_account import resting_orders
from tradingd.read_model import ReadModel
from tradingd.recorded_panel import ASKED, ROSTER, NotedPanel
from tradingd.runtime import Runtime
from tradingd.session_inputs import (
    Head,
    Input,
    InputsError,
    candles_of,
    inputs_of,
    item_of,
    quote_of,
    said_of,
    trade_of,
)

_PROGRESS_EVERY: Final = 4096
_LEARNT: Final = (ROSTER, ASKED)


class NotedVenue:
    """In place of a real venue: what it said was noted, and is told when its time comes."""

    name = "noted"
    is_simulated = False

    def submit(self, approved: Approved) -> None: ...

    def cancel(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None: ...

    def query(self, client_order_id: ClientOrderId, symbol: str) -> None: ...

    async def balances(self) -> dict[str, Any]:
        return {}

    async def open_orders(self) -> Sequence[OpenOrder]:
        return ()

    async def start(self) -> None: ...

    async def close(self) -> None: ...


def run_again(
    head: Head, earlier: Iterable[Message], journal: Path, progress: Callable[[int], None] | None = None,
) -> int:
    """Write the session's journal anew; returns the time of the last input (UTC ns). Raises `InputsError`.

    `earlier`: what the journal held when the session began; `journal`: a file that does not exist yet.
    """
    product = _begin(head, earlier, journal)
    play = _Player(product.runtime, product.clock)
    try:
        for number, each in enumerate(inputs_of(head), 1):
            play.one(each)
            if progress is not None and number % _PROGRESS_EVERY == 0:
                progress(number)
    finally:
        product.runtime.journal.close()
    return play.last_ns


def _begin(head: Head, earlier: Iterable[Message], journal: Path) -> Product:
    settings = head.settings
    model = ReadModel(settings.account.quote)
    venue = None if settings.mode == "paper" else NotedVenue()
    product = make_product(settings, head.instruments, head.session, FeedClock(), journal, model, venue, _panel(head))
    for message in earlier:
        model.apply(message)
        product.engine.restore(message)
    if isinstance(product.venue, SimulatedVenue):
        product.venue.restore(resting_orders(product.engine))
    return product


def _panel(head: Head) -> NotedPanel:
    """Foreign alphas are not asked again: what they said then is said again."""
    return NotedPanel((each.kind, orjson.loads(each.data)) for each in inputs_of(head) if each.kind in _LEARNT)


class _Player:
    """Each input is given to the runtime as it was given then."""

    def __init__(self, runtime: Runtime, clock: FeedClock) -> None:
        self._runtime = runtime
        self._clock = clock
        self.last_ns = 0
        self._calls: dict[str, Callable[[bytes], object]] = {
            "q": lambda data: runtime.take(quote_of(data)),
            "t": lambda data: runtime.take(trade_of(data)),
            "message": lambda data: runtime.take(decode(data)),
            "second": lambda data: runtime.tick(),
            "beat": lambda data: runtime.beat(),
            "line lost": lambda _: runtime.on_line_lost(),
            "whole from": lambda data: runtime.hear_whole_from(*orjson.loads(data)),
            "hold candles": lambda data: runtime.hold_candles(),
            "release candles": lambda data: runtime.release_candles(),
            "venue": lambda data: runtime.advance_venue(clock.now()),
            "settle": lambda data: runtime.settle(),
            "vote": lambda data: runtime.vote_health(),
            "restored": lambda data: runtime.finish_restore(),
            "council": lambda data: runtime.start_council(),
            "warm up": lambda data: runtime.warm_up(candles_of(data)),
            "wrong": self._wrong,
            "well": self._well,
            "command": self._command,
            "weight": self._weight,
            "parameters": self._parameters,
            "record": self._record,
            "report": self._report,
            "opinions": self._opinions,
            **{kind: lambda data: None for kind in _LEARNT},
        }

    def one(self, each: Input) -> None:
        """Raises `InputsError` for one that cannot be read."""
        self._clock.advance(each.ns)
        self.last_ns = each.ns
        call = self._calls.get(each.kind)
        try:
            if call is not None:
                call(each.data)
            else:
                self._runtime.take(item_of(each.kind, each.data))
        except (CodecError, Doubt, ValueError, KeyError, TypeError) as error:
            raise InputsError(f"the input {each.kind!r} at {each.ns} cannot be given again: {error}") from error

    def _wrong(self, data: bytes) -> None:
        name, text, reduces = orjson.loads(data)
        self._runtime.health.raise_condition(name, text, reduces=reduces)

    def _well(self, data: bytes) -> None:
        self._runtime.health.clear(orjson.loads(data))

    def _command(self, data: bytes) -> None:
        by, body = said_of(data)
        self._runtime.command(body, by=by)

    def _weight(self, data: bytes) -> None:
        by, body = said_of(data)
        self._runtime.set_weight(body, by=by)

    def _parameters(self, data: bytes) -> None:
        by, body = said_of(data)
        self._runtime.set_parameters(body, by=by)

    def _record(self, data: bytes) -> None:
        source, body = said_of(data)
        self._runtime.record(source, body)

    def _opinions(self, data: bytes) -> None:
        self._runtime.hear_opinions(said_of(data)[1])

    def _report(self, data: bytes) -> None:
        self._runtime.on_report(said_of(data)[1])
