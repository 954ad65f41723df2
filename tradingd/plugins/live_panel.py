"""Foreign alphas in the running daemon: their links and time limits belong to the event loop, and nothing waits."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from time import monotonic
from typing import Final

from agents.alphas.alpha import MarketView
from bus.messages.council import OpinionsGathered
from tradingd.plugins.host import AlphaHost, HostOptions, Question
from tradingd.plugins.panel import PanelOfHosts, gathered
from tradingd.plugins.sources import AlphaSource, BrokenSource
from tradingd.plugins.states import AlphaStates

SAVE_EVERY_S: Final = 60.0
_LAST_SAVE_S: Final = 1.0
_GRACE_S: Final = 0.02


class LivePanel(PanelOfHosts):
    """`on_gathered` takes each answer that did not come at once."""

    def __init__(
        self, sources: Sequence[AlphaSource], broken: Sequence[BrokenSource], options: HostOptions,
        taken: Collection[str], states: AlphaStates | None = None,
    ) -> None:
        super().__init__(sources, broken, options, taken, states)
        self.on_gathered: Callable[[OpinionsGathered], None] = lambda answer: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timers: dict[AlphaHost, tuple[float, asyncio.TimerHandle]] = {}
        self._rests: dict[AlphaHost, asyncio.TimerHandle] = {}
        self._open: dict[int, asyncio.TimerHandle] = {}
        self._writing: set[AlphaHost] = set()
        self._loaded = asyncio.Event()
        self._all_saved = asyncio.Event()
        self._is_asking = False

    # ---- life ------------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start every process without waiting for it."""
        self._loop = asyncio.get_running_loop()
        for host in self.hosts:
            self._begin(host)
        self._note_loading()

    async def loaded(self, limit_s: float) -> None:
        """Until each has loaded or failed, but not longer; who is late joins later."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._loaded.wait()

    async def keep_states(self) -> None:
        """Ask for what is to be kept, again and again."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            self._save()

    async def stop(self) -> None:
        """Let them hand over what is to be kept, then end them."""
        self._save()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SAVE_S):
                await self._all_saved.wait()
        for handle in (*self._rests.values(), *self._open.values()):
            handle.cancel()
        self._rests.clear()
        self._open.clear()
        self.end()

    def _save(self) -> None:
        for host in self.hosts:
            host.save()
            self._tend(host)
        self._note_saving()

    def _begin(self, host: AlphaHost) -> None:
        self._rests.pop(host, None)
        host.begin()
        self._tend(host)

    def _note_saving(self) -> None:
        if any(host.is_saving for host in self.hosts):
            self._all_saved.clear()
        else:
            self._all_saved.set()

    def _note_loading(self) -> None:
        if not any(host.state == "loading" for host in self.hosts):
            self._loaded.set()

    # ---- questions -------------------------------------------------------------------------------------

    def ask(self, view: MarketView, names: Sequence[str]) -> OpinionsGathered | None:
        """The answer at once only if nobody is there who could give one later."""
        loop = self._loop
        if loop is None:
            raise RuntimeError("launch the panel before it is asked")
        self._is_asking = True
        try:
            question = self.question(view, names)
        finally:
            self._is_asking = False
        for host in self.hosts:
            self._tend(host)
        if not question.waiting:
            return gathered(question)
        self._open[question.number] = loop.call_later(self.options.limit_s + _GRACE_S, self._expire, question)
        return None

    def _expire(self, question: Question) -> None:
        for host in [host for host in self.hosts if host.name in question.waiting]:
            host.give_up_on(question)
            self._tend(host)

    def on_answered(self, question: Question) -> None:
        timer = self._open.pop(question.number, None)
        if timer is not None:
            timer.cancel()
        if not self._is_asking and self._loop is not None:
            # Not from inside whatever made the last one answer: the council is to hear of it in a step of its own.
            self._loop.call_soon(self.on_gathered, gathered(question))

    # ---- links and timers ------------------------------------------------------------------------------

    def on_process_begun(self, host: AlphaHost) -> None:
        if self._loop is not None and host.process is not None:
            self._loop.add_reader(host.process.link, self._on_readable, host)

    def on_process_ending(self, host: AlphaHost) -> None:
        if self._loop is None or host.process is None:
            return
        self._loop.remove_reader(host.process.link)
        if host in self._writing:
            self._writing.discard(host)
            self._loop.remove_writer(host.process.link)

    def on_changed(self, host: AlphaHost) -> None:
        super().on_changed(host)
        if host.state == "resting" and host not in self._rests and self._loop is not None:
            self._rests[host] = self._loop.call_later(host.rest_s, self._begin, host)
        self._note_loading()

    def _on_readable(self, host: AlphaHost) -> None:
        host.on_readable()
        self._tend(host)
        self._note_saving()

    def _on_writable(self, host: AlphaHost) -> None:
        host.on_writable()
        self._tend(host)

    def _on_deadline(self, host: AlphaHost) -> None:
        self._timers.pop(host, None)
        host.on_deadline()
        self._tend(host)
        self._note_saving()

    def _tend(self, host: AlphaHost) -> None:
        """Let the loop's watches agree with what the host is waiting for."""
        loop, process = self._loop, host.process
        if loop is None:
            return
        wants = process is not None and process.wants_to_write
        if process is not None and wants and host not in self._writing:
            self._writing.add(host)
            loop.add_writer(process.link, self._on_writable, host)
        elif process is not None and not wants and host in self._writing:
            self._writing.discard(host)
            loop.remove_writer(process.link)
        known = self._timers.get(host)
        if known is not None and known[0] != host.deadline:
            known[1].cancel()
            del self._timers[host]
            known = None
        if host.deadline is not None and known is None:
            after_s = max(0.0, host.deadline - monotonic()) + 0.001
            self._timers[host] = (host.deadline, loop.call_later(after_s, self._on_deadline, host))
