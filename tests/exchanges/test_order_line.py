import asyncio
from collections.abc import Callable

from exchanges.order_line import DOWN_AFTER, OrderLine
from tests.exchanges.binance.loopback import until


async def told(probe: Callable[[int], str], enough: int) -> list[str]:
    """What a line tells whose `number`th probe says `probe(number)`, until it was probed `enough` times."""
    heard: list[str] = []
    asked: list[str] = []

    async def ask() -> str:
        asked.append(probe(len(asked)))
        if asked[-1] == "hangs":
            await asyncio.Event().wait()
        return asked[-1]

    line = OrderLine("x", ask, heard.append, probe_every_s=0.0, probe_again_s=0.0, probe_timeout_s=0.01)
    watching = asyncio.create_task(line.watch())
    await until(lambda: len(asked) >= enough)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return heard


async def test_a_line_that_answers_says_nothing():
    assert await told(lambda _: "", 20) == []


async def test_a_single_failure_is_no_outage():
    assert await told(lambda number: "HTTP 503" if number % 2 else "", 20) == []


async def test_an_outage_is_told_once_and_so_is_its_end():
    assert await told(lambda number: "HTTP 503" if 3 <= number < 10 else "", 20) == [
        "x: orders cannot be sent: HTTP 503", "",
    ]


async def test_a_probe_that_hangs_is_a_failure():
    (words,) = await told(lambda _: "hangs", DOWN_AFTER + 2)
    assert "no answer within" in words
