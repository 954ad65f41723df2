"""One channel: what waits, what is dropped, what is quiet, what is tried again; and that `put` never waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orders.time_rules import parse_blackout
from tests.tradingd.alerts.loopback import until
from tradingd.alerts.alert import Alert, DeliveryError, Letter, send_to_each
from tradingd.alerts.channel import Channel, ChannelRules
from tradingd.redaction import redact
from tradingd.settings_alerts import Level

NIGHT = 1_760_000_000_000_000_000 // 86_400_000_000_000 * 86_400_000_000_000 + 23 * 3_600_000_000_000
HOUR = 3_600_000_000_000


class Service:
    """Takes texts; raises what `failures` says first; waits while `is_stuck`."""

    max_text = 400

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.failures: list[Exception] = []
        self.is_stuck = False
        self.tries = 0

    async def send(self, letter: Letter) -> None:
        self.tries += 1
        if self.is_stuck:
            await asyncio.sleep(3600)
        if self.failures:
            raise self.failures.pop(0)
        self.texts.append(letter.text)

    async def close(self) -> None:
        """Nothing."""

    async def heard(self, count: int) -> list[str]:
        await until(lambda: len(self.texts) >= count)
        return self.texts


class Scene:
    def __init__(self, **rules: Any) -> None:
        self.service = Service()
        self.now = NIGHT
        self.problems: list[str] = []
        wanted: dict[str, Any] = {
            "level": "info", "quiet": (), "wants_digest": True, "queue_size": 10, "per_minute": 600,
            "timeout_s": 5.0, "first_pause_s": 0.001,
        }
        self.channel = Channel(
            "phone", self.service, ChannelRules(**{**wanted, **rules}), "[me]", lambda: self.now,
            lambda channel: self.problems.append(channel.problem),
        )

    def put(self, title: str, level: Level = "info", **more: Any) -> None:
        self.channel.put(Alert(level, title, "", self.now, **more))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.channel.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))


async def test_what_waits_goes_together_the_most_important_first() -> None:
    scene = Scene()
    for title, level in (("a", "info"), ("b", "info"), ("c", "critical"), ("d", "warning")):
        scene.put(title, level)  # type: ignore[arg-type]
    async with scene.running():
        texts = await scene.service.heard(3)
    assert texts == ["[me]\nCRITICAL: c", "[me]\nWARNING: d", "[me]\na\nb"]
    assert scene.channel.counters.sent == 4


async def test_a_long_batch_is_parted_at_what_the_service_takes() -> None:
    scene = Scene()
    for _ in range(4):
        scene.put("x" * 150)
    async with scene.running():
        texts = await scene.service.heard(2)
    assert [len(text.splitlines()) for text in texts] == [3, 3]
    assert all(len(text) <= Service.max_text for text in texts)


async def test_one_that_is_too_long_is_cut() -> None:
    scene = Scene()
    scene.put("x" * 1000)
    async with scene.running():
        texts = await scene.service.heard(1)
    assert len(texts[0]) == Service.max_text


def test_a_full_queue_drops_the_oldest_of_the_least_important() -> None:
    scene = Scene(queue_size=10)
    for number in range(9):
        scene.put(f"info {number}")
    scene.put("warned", "warning")
    scene.put("killed", "critical")
    assert scene.channel.counters.dropped == 1
    assert scene.channel.backlog == 10
    for _ in range(8):
        scene.put("more", "critical")
    assert scene.channel.counters.dropped == 9
    scene.put("newest", "critical")
    scene.put("too late", "info")
    assert scene.channel.backlog == 10
    assert scene.channel.counters.dropped == 11


def test_what_is_below_its_level_is_not_for_it_but_a_digest_is() -> None:
    scene = Scene(level="warning")
    scene.put("quiet")
    scene.put("loud", "warning")
    scene.put("alive", is_digest=True)
    assert scene.channel.backlog == 2
    unwanted = Scene(wants_digest=False)
    unwanted.put("alive", is_digest=True)
    assert unwanted.channel.backlog == 0


async def test_a_failure_is_tried_again_and_shown_until_it_is_well() -> None:
    scene = Scene()
    scene.service.failures += [DeliveryError("busy"), DeliveryError("busy")]
    scene.put("a")
    async with scene.running():
        await scene.service.heard(1)
    assert scene.service.tries == 3
    assert scene.problems == ["busy", ""]
    assert (scene.channel.counters.sent, scene.channel.counters.failed) == (1, 2)


async def test_a_final_failure_is_not_tried_again() -> None:
    scene = Scene()
    scene.service.failures.append(DeliveryError("unauthorised", is_final=True))
    scene.put("a")
    async with scene.running():
        await until(lambda: scene.channel.counters.dropped == 1)
        scene.put("b")
        await scene.service.heard(1)
    assert scene.service.texts == ["[me]\nb"]


async def test_it_is_given_up_after_some_tries() -> None:
    scene = Scene()
    scene.service.failures += [DeliveryError("away") for _ in range(6)]
    scene.put("a")
    async with scene.running():
        await until(lambda: scene.channel.counters.dropped == 1)
    assert scene.service.tries == 6


@pytest.mark.parametrize("failures", [
    [DeliveryError("away") for _ in range(6)], [DeliveryError("the bot was blocked", is_final=True)],
])
async def test_a_critical_alert_that_could_not_be_told_is_told_late_with_its_time(
    failures: list[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    scene.service.failures += failures
    scene.put("KILL", "critical")
    async with scene.running():
        await until(lambda: "KILL" in caplog.text)
        assert scene.channel.waiting == 1
        scene.put("well again")
        texts = await scene.service.heard(2)
        await until(lambda: scene.channel.is_idle)
    assert texts == ["[me]\nwell again", "[me]\nTOLD LATE, of 2025-10-09T23:00:00 UTC:\nCRITICAL: KILL"]
    assert (scene.channel.counters.sent, scene.channel.counters.dropped) == (2, 0)
    assert scene.channel.waiting == 0


async def test_what_is_owed_is_bounded_and_keeps_nothing_else_from_being_told() -> None:
    scene = Scene()
    async with scene.running():
        for number in range(25):
            scene.service.failures.append(DeliveryError("blocked", is_final=True))
            scene.put(f"K{number}", "critical")
            await until(lambda: not scene.service.failures)
        await until(lambda: scene.channel.counters.dropped == 5)
        assert scene.channel.waiting == 20
        scene.put("hello")
        texts = await scene.service.heard(21)
    assert texts[0] == "[me]\nhello"
    assert texts[1].endswith("CRITICAL: K5")


async def test_what_is_never_told_stands_in_the_log_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.service.failures.append(DeliveryError("blocked", is_final=True))
    scene.put("KILL", "critical")
    async with scene.running():
        await until(lambda: scene.channel.waiting == 1 and "KILL" in caplog.text)
    scene.channel.give_up()
    assert "alert channel phone, not told:" in caplog.text
    assert "CRITICAL: KILL" in caplog.text
    assert (scene.channel.counters.dropped, scene.channel.waiting) == (1, 0)


async def test_what_is_on_its_way_waits_or_sleeps_at_the_end_stands_in_the_log_and_is_counted(
    caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(quiet=(parse_blackout("22:00-06:30"),), first_pause_s=3600.0)
    scene.service.failures += [DeliveryError("busy") for _ in range(9)]
    scene.put("slept through", "warning")
    scene.put("KILL", "critical")
    async with scene.running():
        await until(lambda: scene.service.tries == 1)
        scene.put("second KILL", "critical")
        await until(lambda: scene.service.tries == 2)
    caplog.clear()
    for _ in range(2):  # the end may be told of twice, what was not told only once
        scene.channel.give_up()
    told = [(record.levelname, record.getMessage().partition("not told: ")[2]) for record in caplog.records]
    assert told == [
        ("ERROR", "2025-10-09T23:00:00 CRITICAL: KILL\n2025-10-09T23:00:00 CRITICAL: second KILL"),
        ("WARNING", "2025-10-09T23:00:00 WARNING: slept through"),
    ]
    assert (scene.channel.counters.sent, scene.channel.counters.dropped) == (0, 3)
    assert scene.channel.is_idle


async def test_what_was_told_is_not_in_the_log_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.put("KILL", "critical")
    async with scene.running():
        await until(lambda: scene.channel.counters.sent == 1)
    scene.channel.give_up()
    assert "not told" not in caplog.text
    assert scene.channel.counters.dropped == 0


async def test_a_secret_in_what_was_not_told_is_hidden_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.put("Bearer abcdefghijklmnop0123456789", "critical")
    scene.channel.give_up()
    assert "not told" in caplog.text
    assert "abcdefghijklmnop0123456789" not in caplog.text


async def test_what_people_and_venues_say_begins_no_line_of_its_own() -> None:
    scene = Scene()
    scene.channel.put(Alert("info", "rejected", "bad\r\nCRITICAL: KILL SWITCH\x1b[31m\u202e", NIGHT))
    async with scene.running():
        texts = await scene.service.heard(1)
    assert texts == ["[me]\nrejected: bad CRITICAL: KILL SWITCH?[31m?"]


async def test_a_bug_of_a_service_does_not_end_the_channel() -> None:
    scene = Scene()
    scene.service.failures.append(ZeroDivisionError("oops"))
    scene.put("a")
    async with scene.running():
        await scene.service.heard(1)


async def test_a_stuck_service_is_timed_out() -> None:
    scene = Scene(timeout_s=0.01)
    scene.service.is_stuck = True
    scene.put("a")
    async with scene.running():
        await until(lambda: bool(scene.problems))
    assert scene.problems == ["no answer within 0.01 s"]


async def test_something_critical_ends_the_pause_after_a_failure() -> None:
    scene = Scene(first_pause_s=3600.0)
    scene.service.failures.append(DeliveryError("busy"))
    scene.put("a")
    async with scene.running():
        await until(lambda: bool(scene.problems))
        scene.put("KILL", "critical")
        texts = await scene.service.heard(2)
    assert texts == ["[me]\na", "[me]\nCRITICAL: KILL"]


async def test_something_critical_does_not_wait_until_what_fails_is_given_up() -> None:
    scene = Scene(first_pause_s=3600.0)
    scene.service.failures += [DeliveryError("busy"), DeliveryError("busy")]
    scene.put("a")
    scene.put("b")
    async with scene.running():
        await until(lambda: bool(scene.problems))
        scene.put("KILL", "critical")
        texts = await scene.service.heard(2)
    assert texts == ["[me]\nCRITICAL: KILL", "[me]\na\nb"]


class TwoPeople(Service):
    """Ann hears everything, Bob nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.heard_by_ann: list[str] = []

    async def send(self, letter: Letter) -> None:
        await send_to_each(letter, ("ann", "bob"), lambda name: self._tell(name, letter.text))

    async def _tell(self, name: str, text: str) -> None:
        if name == "bob":
            raise DeliveryError("busy")
        self.heard_by_ann.append(text)


async def test_who_has_it_does_not_get_it_again_because_something_critical_went_first() -> None:
    scene = Scene(first_pause_s=0.05)
    scene.service = scene.channel.service = people = TwoPeople()
    scene.put("a")
    async with scene.running():
        await until(lambda: bool(scene.problems))
        for number in range(3):
            scene.put(f"KILL {number}", "critical")
            scene.put(f"b{number}")
            await until(lambda: f"[me]\nCRITICAL: KILL {number}" in people.heard_by_ann)  # noqa: B023
        await until(lambda: any("b2" in text for text in people.heard_by_ann))
    told = [line for text in people.heard_by_ann for line in text.split("\n")[1:]]
    assert [told.count(each) for each in ("a", "b0", "b1", "b2")] == [1, 1, 1, 1]


async def test_more_than_allowed_in_a_minute_waits_but_not_the_critical() -> None:
    scene = Scene(per_minute=2)
    async with scene.running():
        for number in (1, 2):
            scene.put(f"n{number}")
            await scene.service.heard(number)
        scene.put("n3")
        await asyncio.sleep(0)
        scene.put("KILL", "critical")
        texts = await scene.service.heard(3)
    assert texts[2] == "[me]\nCRITICAL: KILL"
    assert scene.channel.backlog == 1


async def test_quiet_hours_hold_back_what_is_not_critical_and_tell_it_afterwards() -> None:
    scene = Scene(quiet=(parse_blackout("22:00-06:30"),))
    async with scene.running():
        scene.put("sleepless", "warning")
        scene.put("KILL", "critical")
        assert await scene.service.heard(1) == ["[me]\nCRITICAL: KILL"]
        await until(lambda: scene.channel.counters.held == 1)
        scene.now += 8 * HOUR
        scene.put("morning")
        texts = await scene.service.heard(3)
    assert texts[1:] == ["[me]\nWARNING: sleepless", "[me]\nmorning"]


async def test_a_long_night_keeps_the_newest_fifty_and_says_so() -> None:
    scene = Scene(quiet=(parse_blackout("22:00-06:30"),), queue_size=100)
    async with scene.running():
        for number in range(60):
            scene.put(f"n{number}")
        await until(lambda: scene.channel.counters.held == 60)
        scene.now += 8 * HOUR
        scene.put("morning")
        texts = "\n".join(await scene.service.heard(3))
        await until(lambda: scene.channel.is_idle)
    assert "10 older alerts were not kept" in texts
    assert "n9\n" not in texts
    assert "n10\n" in texts


async def test_a_secret_in_an_alert_is_hidden() -> None:
    redact.learn("canary-in-an-alert")
    scene = Scene()
    scene.put("the key canary-in-an-alert was refused")
    async with scene.running():
        texts = await scene.service.heard(1)
    assert texts == ["[me]\nthe key *** was refused"]


@pytest.mark.parametrize("is_held", [False, True])
def test_putting_needs_no_loop(is_held: bool) -> None:
    scene = Scene(quiet=(parse_blackout("22:00-06:30"),) if is_held else ())
    for _ in range(1000):
        scene.put("a", "critical")
    assert scene.channel.backlog == 10
