import asyncio

import pytest

from exchanges.timed_answers import answers_within


async def test_answers_that_came_are_kept_when_others_do_not_come() -> None:
    ended: list[str] = []

    async def ask(name: str) -> str:
        try:
            if name == "mute":
                await asyncio.Event().wait()
            return name.upper()
        finally:
            ended.append(name)

    assert await answers_within(0.05, ask, ["a", "mute", "b"]) == {"a": "A", "b": "B"}
    assert ended == ["a", "b", "mute"]


async def test_when_all_have_answered_nobody_waits_for_the_time_to_pass() -> None:
    async def ask(name: str) -> str:
        return name

    async with asyncio.timeout(5):
        assert await answers_within(600.0, ask, ["a"]) == {"a": "a"}
        assert await answers_within(600.0, ask, []) == {}


async def test_a_question_that_fails_by_mistake_is_no_missing_answer() -> None:
    async def ask(name: str) -> str:
        if name == "broken":
            raise ZeroDivisionError
        return name

    with pytest.raises(ZeroDivisionError):
        await answers_within(1.0, ask, ["a", "broken"])


async def test_who_asks_and_is_cancelled_leaves_no_question_behind() -> None:
    ended: list[str] = []

    async def ask(name: str) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)
        return name

    asking = asyncio.create_task(answers_within(600.0, ask, ["a", "b"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert ended == ["a", "b"]


async def test_what_matters_most_is_waited_for_longer_than_the_rest() -> None:
    ended: list[str] = []

    async def ask(name: str) -> str:
        try:
            await (asyncio.sleep(0.05) if name == "held" else asyncio.Event().wait())
        finally:
            ended.append(name)
        return name

    async with asyncio.timeout(5):
        told = await answers_within(0.001, ask, ["held", "mute"], longer_for=["held", "unknown"], longer_s=600.0)
    assert told == {"held": "held"}
    assert ended == ["held", "mute"]


async def test_who_matters_most_is_not_waited_for_without_end() -> None:
    async def ask(name: str) -> str:
        if name == "mute":
            await asyncio.Event().wait()
        return name

    async with asyncio.timeout(5):
        told = await answers_within(0.001, ask, ["mute", "a"], longer_for=["mute"], longer_s=0.02)
    assert told == {"a": "a"}


async def test_a_question_that_fails_by_mistake_is_told_before_the_others_have_answered() -> None:
    async def ask(name: str) -> str:
        if name == "broken":
            raise ZeroDivisionError
        await asyncio.Event().wait()
        return name

    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(5):
            await answers_within(600.0, ask, ["mute", "broken"], longer_for=["mute"], longer_s=900.0)
