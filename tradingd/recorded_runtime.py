"""A runtime whose inputs are noted (`tradingd.session_inputs`): its session can be run again to the same orders.

For that, time stands still within a step: what an input causes happens at the moment of the input. What is called
while a step runs is a consequence and is not noted.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from bus.clock import Clock
from bus.messages import council, orders
from bus.messages.header import Message
from market.ticks import BookDelta, BookInvalid, BookSnapshot, Candle, MarketItem, QuoteTick, TradeTick
from tradingd.health import Health
from tradingd.runtime import Runtime
from tradingd.session_inputs import InputTape

_BOOKS = frozenset({BookSnapshot, BookDelta, BookInvalid})


class StepClock:
    """A clock that can be held; it never goes back."""

    __slots__ = ("_clock", "held", "last")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.held = 0
        self.last = 0

    def now(self) -> int:
        return self.held or max(self.last, self._clock.now())

    def hold(self, ts: int) -> int:
        """From here on it is `ts`, or the time of the last step if that was later; returns what it is."""
        if ts < self.last:
            ts = self.last
        self.last = self.held = ts
        return ts

    def go_on(self) -> None:
        self.held = 0


class RecordedRuntime(Runtime):
    """`tape`: where inputs go; `with_books`: does anything here look at books?"""

    def __init__(self, tape: InputTape, *, with_books: bool, clock: Clock, **parts: Any) -> None:
        self._steps = StepClock(clock)
        super().__init__(clock=self._steps, **parts)
        self._take = super().take
        self._tape = tape
        self._with_books = with_books
        self._is_inside = False
        self.health = _RecordedHealth(self._steps.now, self._note_outside)

    # ---- market data: the hot path -------------------------------------------------------------------

    def take(self, item: MarketItem | Candle | Message) -> None:
        if self._is_inside:
            super().take(item)
            return
        kind = type(item)
        if kind is Message:
            with self._step() as ns:
                super().take(item)
            self._tape.message(ns, item)  # type: ignore[arg-type]
            return
        self._is_inside = True
        steps, take = self._steps, self._take
        ns = item.ts_init  # type: ignore[union-attr]
        if ns < steps.last:
            ns = steps.last
        steps.last = steps.held = ns  # as `hold`, and below `go_on`: two calls less for each tick
        try:
            take(item)
        finally:
            self._is_inside = False
            steps.held = 0
        # Noted behind the step: an order does not wait for it.
        if kind is QuoteTick:
            self._tape.quote(ns, item)  # type: ignore[arg-type]
        elif kind is TradeTick:
            self._tape.trade(ns, item)  # type: ignore[arg-type]
        elif self._with_books or kind not in _BOOKS:
            self._tape.item(ns, item)

    # ---- everything else ----------------------------------------------------------------------------

    @contextmanager
    def _step(self) -> Iterator[int]:
        self._is_inside = True
        try:
            yield self._steps.hold(self._steps.now())
        finally:
            self._is_inside = False
            self._steps.go_on()

    def _noted(self, call: Callable[[], Any], kind: str, data: object = None) -> Any:
        if self._is_inside:
            return call()
        with self._step() as ns:
            self._tape.note(ns, kind, data)
            return call()

    def _noted_body(self, call: Callable[[], Any], kind: str, source: str, body: object) -> Any:
        if self._is_inside:
            return call()
        with self._step() as ns:
            self._tape.said(ns, kind, source, body)
            return call()

    def note(self, kind: str, data: object) -> None:
        """What was learnt inside a step from somebody who cannot be asked again."""
        self._tape.note(self._steps.now(), kind, data)

    def _note_outside(self, kind: str, data: object) -> None:
        if not self._is_inside:
            self._tape.note(self._steps.now(), kind, data)

    def settle(self) -> None:
        self._noted(super().settle, "settle")

    def tick(self) -> None:
        self._noted(super().tick, "second")

    def beat(self) -> None:
        self._noted(super().beat, "beat")

    def on_line_lost(self) -> None:
        self._noted(super().on_line_lost, "line lost")

    def hear_whole_from(self, ts: int, symbol: str = "", heard_ns: int = 0) -> None:
        call = super().hear_whole_from
        self._noted(lambda: call(ts, symbol, heard_ns), "whole from", [ts, symbol, heard_ns])

    def hold_candles(self) -> None:
        self._noted(super().hold_candles, "hold candles")

    def release_candles(self) -> None:
        self._noted(super().release_candles, "release candles")

    def vote_health(self) -> None:
        self._noted(super().vote_health, "vote")

    def finish_restore(self) -> None:
        self._noted(super().finish_restore, "restored")

    def start_council(self) -> None:
        self._noted(super().start_council, "council")

    def advance_venue(self, now: int) -> None:
        if self._is_inside:
            super().advance_venue(now)
        elif self.is_venue_due(now):
            self._noted(lambda: super(RecordedRuntime, self).advance_venue(self.clock.now()), "venue")

    def command(self, body: object, *, by: str) -> list[Message]:
        call = super().command
        answers: list[Message] = self._noted_body(lambda: call(body, by=by), "command", by, body)
        return answers

    def set_weight(self, change: council.WeightChanged, *, by: str) -> Message:
        call = super().set_weight
        message: Message = self._noted_body(lambda: call(change, by=by), "weight", by, change)
        return message

    def set_parameters(self, change: council.ParametersChanged, *, by: str) -> Message:
        call = super().set_parameters
        message: Message = self._noted_body(lambda: call(change, by=by), "parameters", by, change)
        return message

    def hear_opinions(self, answer: council.OpinionsGathered) -> None:
        call = super().hear_opinions
        self._noted_body(lambda: call(answer), "opinions", "alphas", answer)

    def record(self, source: str, body: object) -> Message:
        call = super().record
        message: Message = self._noted_body(lambda: call(source, body), "record", source, body)
        return message

    def on_report(self, report: orders.ExecutionReport) -> None:
        if self._simulated is not None:  # it follows from the market
            super().on_report(report)
            return
        call = super().on_report
        self._noted_body(lambda: call(report), "report", "venue", report)

    def warm_up(self, candles: Iterable[Candle]) -> None:
        known = list(candles)
        if self._is_inside:
            super().warm_up(known)
            return
        with self._step() as ns:
            self._tape.candles(ns, known)
            super().warm_up(known)


class _RecordedHealth(Health):
    """Conditions are inputs: what raised them (disk, network, silence) cannot be asked again."""

    def __init__(self, now: Callable[[], int], note: Callable[[str, object], None]) -> None:
        super().__init__(now)
        self._note = note

    def raise_condition(self, name: str, text: str, *, reduces: bool = True) -> None:
        known = self._conditions.get(name)
        if known is None or (known[0], known[2]) != (text, reduces):
            self._note("wrong", [name, text, reduces])
        super().raise_condition(name, text, reduces=reduces)

    def clear(self, name: str) -> None:
        if name in self._conditions:
            self._note("well", name)
        super().clear(name)
