"""A start that waits for its exchange: what the log and the command line are told, and when people are."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from exchanges.answers import NoAnswerError, VenueError
from tests.tradingd.live_runtime import D, Scene
from tradingd.data_dir import DataDir, whereabouts
from tradingd.service_notify import ServiceNotify
from tradingd.settings import Settings
from tradingd.settings_alerts import Level
from tradingd.venue_wait import OutageAlert, VenueWait, open_matters

AWAY = "no answer after 5 attempts: GET /api/v3/exchangeInfo."


class Start:
    """The wait of one start over the account of `scene`; `told` are the alerts. Each is due at once when `is_long`."""

    def __init__(self, folder: Path, scene: Scene, *, is_live: bool = True, is_long: bool = True) -> None:
        self.told: list[tuple[Level, str, str]] = []
        self.data_dir = DataDir.open(folder)
        settings = Settings(venue="binance", mode="live" if is_live else "paper")
        self.alert = OutageAlert(
            settings, scene.runtime.read_model, lambda *alert: self.told.append(alert),
            after_s=0.0 if is_long else math.inf,
        )
        self.wait = VenueWait(None, self.data_dir, ServiceNotify({}), self.alert)

    def told_of_wait(self) -> Callable[[], Awaitable[str]]:
        """A venue that answers as soon as somebody was told that it does not."""
        async def ask() -> str:
            while not self.told:  # noqa: ASYNC110 - the product sets no event for tests
                await asyncio.sleep(0)
            return "the answer"

        return ask


def with_a_position_and_an_order(scene: Scene) -> Scene:
    scene.runtime.command(scene.order(), by="tester")
    scene.settle_venue()
    scene.runtime.command(scene.order(order_type="limit", price=D(99)), by="tester")
    return scene


async def test_a_long_wait_with_nothing_open_is_a_warning_and_its_end_is_told_as_loud(tmp_path: Path) -> None:
    start = Start(tmp_path / "data", Scene(tmp_path).open())
    assert await start.wait.until_answered(start.told_of_wait()) == "the answer"
    (first, last) = start.told
    assert first[:2] == ("warning", "binance does not answer")
    assert "asks on. Nothing is open." in first[2]
    assert last == ("warning", "binance answers again", "after 0 s")


async def test_over_a_position_it_is_critical_and_says_what_is_open_and_what_protects_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    assert open_matters(scene.runtime.read_model) == ""
    with_a_position_and_an_order(scene)
    assert open_matters(scene.runtime.read_model) == "BTC/USDT, 1 order"
    for is_live, guard in ((True, "only the stops that rest at the exchange protect that"), (False, "nobody watches")):
        start = Start(tmp_path / f"data-{is_live}", scene, is_live=is_live)
        await start.wait.until_answered(start.told_of_wait())
        assert [level for level, _, _ in start.told] == ["critical", "critical"]
        assert f"Open: BTC/USDT, 1 order; until it answers {guard}" in start.told[0][2]


async def test_a_short_wait_is_told_to_nobody(tmp_path: Path) -> None:
    start = Start(tmp_path / "data", Scene(tmp_path).open(), is_long=False)

    async def ask() -> int:
        await asyncio.sleep(0)
        return 7

    assert await start.wait.until_answered(ask) == 7
    assert start.told == []


async def test_a_venue_that_refuses_has_answered(tmp_path: Path) -> None:
    start = Start(tmp_path / "data", Scene(tmp_path).open())
    come = start.told_of_wait()

    async def ask() -> None:
        await come()
        raise VenueError("binance refuses our keys")

    with pytest.raises(VenueError):
        await start.wait.until_answered(ask)
    assert [title for _, title, _ in start.told] == ["binance does not answer", "binance answers again"]


async def test_a_start_that_is_ended_while_it_waits_says_so(tmp_path: Path) -> None:
    start = Start(tmp_path / "data", Scene(tmp_path).open())
    waiting = asyncio.create_task(start.wait.until_answered(asyncio.Event().wait))
    while not start.told:  # noqa: ASYNC110 - the product sets no event for tests
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert start.told[-1][1] == "the start was ended before binance answered"


async def test_the_alert_names_what_the_last_try_came_to(tmp_path: Path) -> None:
    start = Start(tmp_path / "data", Scene(tmp_path).open())
    tries: list[int] = []

    async def ask() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise NoAnswerError(AWAY)

    await start.wait.until_answered(ask)
    assert start.told[0][2].endswith(f"Nothing is open. {AWAY.rstrip('.')}")


async def test_the_log_and_the_command_line_are_told_of_each_try(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    start = Start(tmp_path / "data", Scene(tmp_path).open())
    waits: list[str] = []

    async def ask() -> None:
        waits.append(whereabouts(tmp_path / "data"))
        if len(waits) == 1:
            raise NoAnswerError(AWAY)

    with caplog.at_level(logging.WARNING):
        await start.wait.until_answered(ask)
    assert f"is starting: it waits for the venue and asks again: {AWAY.rstrip('.')}" in waits[-1]
    assert "the start waits for the venue and asks again" in caplog.text


async def test_a_first_start_has_the_patience_of_its_options(tmp_path: Path) -> None:
    wait = VenueWait(0.0, DataDir.open(tmp_path), ServiceNotify({}), None)

    async def ask() -> None:
        raise NoAnswerError(AWAY)

    with pytest.raises(NoAnswerError):
        await wait.until_answered(ask)
