"""The way back of an account that the venue refused."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from exchanges.answers import VenueError
from tradingd import account_return
from tradingd.account_return import AccountReturn


class Account:
    """Refused so many times more; what was done is listed."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.done: list[str] = []
        self.is_refused_while_comparing = False
        self._awaited = ("", 0)
        self._is_there = asyncio.Event()
        self.back = AccountReturn(
            self._prove, self._compare, self._on_back, jitter=lambda: 0.5, first_pause_s=0.001,
        )

    def _on_back(self) -> None:
        self.done.append("back")
        word, times = self._awaited
        if self.done.count(word) >= times:
            self._is_there.set()

    async def _prove(self) -> None:
        if self.refusals:
            self.refusals -= 1
            self.done.append("refused")
            raise VenueError("no")
        self.done.append("taken")

    async def _compare(self) -> None:
        self.done.append("compared")
        if self.is_refused_while_comparing:
            self.is_refused_while_comparing = False
            self.back.refused()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.back.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def until(self, word: str, times: int = 1) -> None:
        if self.done.count(word) < times:
            self._awaited = (word, times)
            self._is_there.clear()
            async with asyncio.timeout(5):
                await self._is_there.wait()


async def test_a_refused_account_is_asked_until_it_is_taken_and_its_books_are_compared_first() -> None:
    account = Account(refusals=2)
    async with account.running():
        account.back.refused()
        await account.until("back")
    assert account.done == ["refused", "refused", "taken", "compared", "back"]


async def test_nothing_is_asked_while_nobody_refused() -> None:
    account = Account()
    async with account.running():
        for _ in range(20):
            await asyncio.sleep(0)
    assert account.done == []


async def test_a_refusal_while_the_books_are_compared_begins_anew() -> None:
    account = Account()
    account.is_refused_while_comparing = True
    async with account.running():
        account.back.refused()
        await account.until("back")
    assert account.done == ["taken", "compared", "taken", "compared", "back"]


async def test_an_account_that_is_refused_again_and_again_is_asked_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account, slept = Account(), []
    real = asyncio.sleep

    async def noting(seconds: float) -> None:
        slept.append(seconds)
        await real(0)

    monkeypatch.setattr(account_return, "asyncio", _With(noting))
    async with account.running():
        for times in range(1, 4):
            account.back.refused()
            await account.until("back", times)
    assert slept == [0.001, 0.002, 0.004]


class _With:
    """asyncio with another sleep."""

    def __init__(self, sleep: object) -> None:
        self.sleep, self.Event, self.get_running_loop = sleep, asyncio.Event, asyncio.get_running_loop
