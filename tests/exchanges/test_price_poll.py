import asyncio

import pytest

from exchanges.price_poll import PricePoll


class Round:
    """Questions that are answered when `answer` is set."""

    def __init__(self) -> None:
        self.begun = 0
        self.told = 0
        self.answer = asyncio.Event()

    async def ask(self) -> None:
        self.begun += 1
        await self.answer.wait()
        self.told += 1


async def test_a_round_goes_on_through_several_pauses_and_no_second_one_is_begun_beside_it() -> None:
    poll, questions = PricePoll(0.0, "prices"), Round()
    for _ in range(3):
        poll.begin(questions.ask)
        await poll.pause(0.001)
    questions.answer.set()
    await poll.pause(0.001)
    assert (questions.begun, questions.told) == (1, 1)
    poll.begin(questions.ask)
    await poll.pause(0.001)
    assert (questions.begun, questions.told) == (2, 2)


async def test_rounds_are_begun_no_more_often_than_wanted() -> None:
    poll, questions = PricePoll(600.0, "prices"), Round()
    questions.answer.set()
    for _ in range(3):
        poll.begin(questions.ask)
        await poll.pause(0.001)
    assert questions.begun == 1


async def test_a_pause_is_no_shorter_because_the_round_is_over() -> None:
    poll, questions = PricePoll(0.0, "prices"), Round()
    questions.answer.set()
    loop = asyncio.get_running_loop()
    began = loop.time()
    poll.begin(questions.ask)
    await poll.pause(0.05)
    assert questions.told == 1
    assert loop.time() - began >= 0.049


async def test_a_round_that_is_broken_off_tells_nothing_more() -> None:
    poll, questions = PricePoll(0.0, "prices"), Round()
    poll.begin(questions.ask)
    await poll.pause(0.001)
    await poll.end()
    questions.answer.set()
    await poll.pause(0.001)
    assert (questions.begun, questions.told) == (1, 0)
    assert len(asyncio.all_tasks()) == 1  # this one


async def test_what_a_round_raises_by_mistake_ends_the_pause_at_once() -> None:
    async def ask() -> None:
        raise ZeroDivisionError

    poll = PricePoll(0.0, "prices")
    poll.begin(ask)
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(5):
            await poll.pause(600.0)
    await poll.end()  # told once


async def test_what_a_round_raised_between_the_pauses_is_not_lost() -> None:
    async def ask() -> None:
        raise ZeroDivisionError

    poll = PricePoll(0.0, "prices")
    poll.begin(ask)
    await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError):
        await poll.end()
    poll.begin(ask)
    await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError):
        poll.begin(ask)
