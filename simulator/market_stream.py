"""The market stream between the exchange and the living process: what it brings, when it breaks, when it is back."""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from simulator.frames import Frames
from simulator.process import Process
from simulator.schedule import SECOND

if TYPE_CHECKING:
    from simulator.world import World


class MarketStream:
    """`is_down`: nobody is connected to it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.is_down = True
        self._heard_ns: int | None = None
        self._mute_since: float | None = None
        self._frames = Frames(world.has)

    def begin_anew(self) -> None:
        """A process has started: it has heard nothing, and connects within a second."""
        self.is_down = True
        self._mute_since = self._heard_ns = None
        self._world.schedule.after(1.0, self._up)

    @property
    def data_age_s(self) -> float:
        """For so long the living process has heard nothing of the market; infinite when it never has."""
        return math.inf if self._heard_ns is None else (self._world.schedule.now - self._heard_ns) / SECOND

    def _hear(self, saying: Callable[[], None]) -> None:
        """The market stream says something to the living process: now, or when its loop comes to it."""

        def heard() -> None:
            self._heard_ns = self._world.schedule.now
            saying()

        self._world.in_process(heard)

    def step(self, symbol: str) -> None:
        """The market moves, the exchange with it, and tells of it; then again in a second or so."""
        world = self._world
        market, now = world.markets[symbol], world.schedule.now
        world.schedule.after(world.random.uniform(0.6, 1.4), lambda: self.step(symbol))
        if world.has("quiet", symbol) or symbol in world.exchange.halted:
            return
        market.step()
        world.exchange.move(symbol, market.bid, market.ask, now)
        world.triggers.note_price(symbol, market.bid, market.ask)
        world.link.pump()
        step = self._frames.of(symbol, market, now)
        if self.give(symbol, step.frames) and step.has_print:
            world.triggers.note_print(symbol)

    def give(self, _symbol: str, frames: list[bytes]) -> bool:
        """Frames of the market stream, to whoever is connected to it; is anybody?"""
        world, process = self._world, self._world.process
        if process is None or self.is_down or world.has("mute") or world.has("network_down") or world.has("sleep"):
            return False
        for raw in frames:
            self._hear(partial(process.frame, raw))
        return True

    def _up(self) -> None:
        world, process = self._world, self._world.process
        if process is None or not self.is_down:
            return
        if world.is_hindered(("feed_down", "mute", "network_down", "sleep", "stall")):
            world.schedule.after(1.0, self._up)
            return
        self.is_down = False
        self._frames.forget()
        self._hear(process.feed_up)

    def watch(self, process: Process) -> None:
        """The stream's own watchdog: five silent seconds end the connection."""
        world = self._world
        if self.is_down:
            return
        if world.has("feed_down"):
            self.lose(process, "closed by the venue")
        elif world.has("mute") or world.has("network_down"):
            self._mute_since = self._mute_since or world.schedule.elapsed_s
            if world.schedule.elapsed_s - self._mute_since >= 5:
                self.lose(process, "mute: no frame for 5 s")
        else:
            self._mute_since = None
            if world.has("quiet") or world.exchange.halted:
                self._hear(process.heartbeat)

    def lose(self, process: Process, reason: str) -> None:
        """The connection is gone; a second later it is tried again."""
        self.is_down = True
        self._mute_since = None
        self._world.in_process(lambda: process.feed_down(reason))
        self._world.schedule.after(1.0, self._up)
