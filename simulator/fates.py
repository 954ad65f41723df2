"""Promises about time: fates become known, books become right, a started process trades again."""

from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from simulator.faults import HINDER_FEED, HINDER_ORDERS, HINDER_PROCESS
from simulator.process import Process

if TYPE_CHECKING:
    from simulator.world import World

FATE_S: Final = 30.0
"""So long after the last hindrance every order's fate is known (F14-F16)."""
BOOKS_S: Final = 35.0
"""So long at most do our books differ from what the exchange holds (F24, F32, F72): two looks at the account."""
_OPEN: Final = ("unknown", "sent", "pending_cancel")
_HINDRANCES: Final = (*HINDER_ORDERS, *HINDER_PROCESS, "stream_down")


class Fates:
    """`observe` once a second."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._outcome = world.outcome
        self._process: Process | None = None
        self._started_s = 0.0
        self._is_reconciled = self._is_active = False
        self._open_since: dict[str, dict[str, float]] = {}
        self._wrong_since: dict[str, float] = {}
        self._told: set[str] = set()
        self._truths: dict[str, deque[tuple[float, Decimal]]] = {}

    def observe(self) -> None:
        process = self._world.process
        if process is not self._process:
            self._begin(process)
        if process is None:
            return
        self._measure_start(process)
        for symbol in self._world.markets:
            self._look_at_fates(process, symbol)
            self._look_at_books(process, symbol)

    def _begin(self, process: Process | None) -> None:
        self._process = process
        self._open_since.clear()
        self._wrong_since.clear()
        self._is_reconciled = self._is_active = False
        if process is not None:
            self._started_s = (process.begun_ns - self._world.schedule.begin_ns) / 1e9

    def _measure_start(self, process: Process) -> None:
        """From the start to books that were compared, and to entries: in virtual time, to the second."""
        lived_s = self._world.schedule.elapsed_s - self._started_s
        if not self._is_reconciled and process.is_reconciled:
            self._is_reconciled = True
            self._outcome.reconciled_s.append(lived_s)
        if not self._is_active and process.engine.trading_state == "ACTIVE":
            self._is_active = True
            self._outcome.active_s.append(lived_s)

    def _look_at_fates(self, process: Process, symbol: str) -> None:
        waiting = {
            order.client_order_id: order.detail for order in process.engine.orders.working(symbol)
            if order.detail in _OPEN and order.is_at_venue
        }
        known = self._open_since.setdefault(symbol, {})
        if not waiting or any(self._world.had(name, symbol, FATE_S) for name in _HINDRANCES):
            known.clear()
            return
        for client_id in known.keys() - waiting.keys():
            del known[client_id]
        for client_id, detail in waiting.items():
            self._note(known, client_id, FATE_S, f"nobody knows its fate ({detail})")

    def _look_at_books(self, process: Process, symbol: str) -> None:
        world = self._world
        ours, true = process.engine.ledger.quantity(symbol), world.held(symbol)
        truths, now = self._truths.setdefault(symbol, deque()), world.schedule.lived_s
        truths.append((now, true))
        while truths[0][0] < now - BOOKS_S:
            truths.popleft()
        is_followed = any(ours == each for _, each in truths)  # who sells each ten seconds is followed a little behind
        if is_followed or any(world.had(name, symbol, BOOKS_S + 10) for name in (*_HINDRANCES, *HINDER_FEED)):
            self._wrong_since.pop(symbol, None)
            self._told.discard(symbol)
        else:
            self._note(self._wrong_since, symbol, BOOKS_S, f"our books say {ours}, the exchange {true},")

    def _note(self, since: dict[str, float], key: str, most_s: float, text: str) -> None:
        now = self._world.schedule.lived_s
        lasts = now - since.setdefault(key, now)
        if lasts > most_s and key not in self._told:
            self._told.add(key)
            self._world.violate(f"{key}: {text} for {lasts:.0f} s")

    def settle(self) -> None:
        """Nothing hinders any more: entries are allowed again, unless a person or a rule must be asked first."""
        world, process = self._world, self._world.process
        if process is None or world.awaits_a_person or process.engine.kill is not None or world.limits.was_day_lost:
            return
        if process.engine.trading_state != "ACTIVE":
            reasons = [problem.text for problem in process.runtime.health.problems]
            world.violate(f"trading is {process.engine.trading_state} at the end: {process.engine.votes}, {reasons}")
        for order in process.engine.orders.working():
            if order.is_at_venue and order.detail in _OPEN:
                world.violate(f"{order.client_order_id}: nobody knows its fate ({order.detail}) at the end")
