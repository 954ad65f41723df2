"""All channels together with a real webhook: what is heard is told, and a dead service costs the speaker nothing."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bus.messages import system
from bus.messages.header import Message
from tests.tradingd.alerts.loopback import http_server, until
from tests.tradingd.live_runtime import Scene
from tests.tradingd.small_daemon import SmallDaemon
from tradingd.alerts.alerts import Alerts
from tradingd.audience import Audience
from tradingd.health import Health
from tradingd.secrets import MasterKey, SecretEntry, seal
from tradingd.settings import Settings
from tradingd.settings_alerts import AlertsSettings


class Hook:
    """Keeps texts; hangs or refuses when told to."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.hangs = False
        self.status = 200

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if self.hangs:
            await asyncio.Event().wait()
        if self.status == 200:
            self.texts.append((await request.json())["text"])
        return web.Response(status=self.status)


def settings_with(folder: Path, url: str, **more: Any) -> Settings:
    channel = {"service": "webhook", "api_url": url, "level": "info", **more}
    return Settings(data_dir=folder, alerts=AlertsSettings.model_validate({"hook": channel, "digest": ""}))


def kill(daemon: SmallDaemon, reason: str = "fire") -> Message:
    return daemon.fact(system.KillSwitchEngaged("halt", reason, "ann"))


async def test_what_is_heard_is_told(tmp_path: Path) -> None:
    hook = Hook()
    async with http_server(hook) as url:
        daemon = SmallDaemon(settings_with(tmp_path, url))
        alerts = Alerts(daemon.settings, daemon, daemon.now)
        alerts.hear(kill(daemon))
        alerts.start(Health(daemon.now))
        await until(lambda: hook.texts)
        await alerts.close()
    assert hook.texts == ["[tradingd paper practice]\nCRITICAL: KILL SWITCH: engaged by ann (halt): fire"]


async def test_what_is_told_before_there_is_anything_to_watch_leaves_at_once(tmp_path: Path) -> None:
    """A start that waits for its exchange has no runtime yet."""
    hook = Hook()
    async with http_server(hook) as url:
        daemon = SmallDaemon(settings_with(tmp_path, url))
        audience = Audience(daemon.settings, daemon, daemon.now)
        audience.open()
        audience.tell("critical", "binance does not answer", "for 30 s")
        await until(lambda: hook.texts)
        audience.start(Health(daemon.now))
        audience.tell("critical", "binance answers again", "after 40 s")
        await audience.close()
        await audience.close()  # once from each place of the start that may be its last
    assert [text.partition("\n")[2] for text in hook.texts] == [
        "CRITICAL: binance does not answer: for 30 s", "CRITICAL: binance answers again: after 40 s",
    ]


async def test_a_channel_that_failed_before_anything_was_watched_is_a_problem_from_then_on(tmp_path: Path) -> None:
    hook = Hook()
    hook.status = 404
    async with http_server(hook) as url:
        daemon = SmallDaemon(settings_with(tmp_path, url))
        health = Health(daemon.now)
        alerts = Alerts(daemon.settings, daemon, daemon.now)
        alerts.open()
        alerts.hear(kill(daemon))
        await until(lambda: alerts.channels[0].problem)
        alerts.start(health)
        assert [each.text for each in health.problems] == ["alert channel hook does not work: webhook answered 404"]
        await alerts.close()


async def test_what_is_said_last_still_leaves_at_the_end(tmp_path: Path) -> None:
    hook = Hook()
    async with http_server(hook) as url:
        daemon = SmallDaemon(settings_with(tmp_path, url))
        alerts = Alerts(daemon.settings, daemon, daemon.now)
        alerts.start(Health(daemon.now))
        alerts.hear(daemon.fact(system.DaemonStopping("signal SIGTERM")))
        await alerts.close()
    assert "stopping: signal SIGTERM" in hook.texts[0]


async def test_something_critical_still_leaves_at_the_end_although_its_channel_failed_before(tmp_path: Path) -> None:
    hook = Hook()
    hook.status = 503
    async with http_server(hook) as url:
        daemon = SmallDaemon(settings_with(tmp_path, url))
        health = Health(daemon.now)
        alerts = Alerts(daemon.settings, daemon, daemon.now)
        alerts.start(health)
        alerts.hear(daemon.fact(system.AlertRaised("warning", "order", "rejected")))
        await until(lambda: health.problems)
        hook.status = 200
        alerts.hear(kill(daemon))
        await alerts.close()
    assert any("KILL SWITCH" in text for text in hook.texts)


async def test_what_a_failing_channel_never_told_stands_in_the_log_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Hook()
    hook.status = 503
    async with http_server(hook) as url:
        daemon = SmallDaemon(settings_with(tmp_path, url))
        health = Health(daemon.now)
        alerts = Alerts(daemon.settings, daemon, daemon.now)
        alerts.start(health)
        alerts.hear(kill(daemon))
        await until(lambda: health.problems)
        await alerts.close()
    (told,) = (record.getMessage() for record in caplog.records if "not told:" in record.getMessage())
    assert "(halt): fire" in told
    assert alerts.channels[0].counters.dropped == 1


async def test_a_channel_that_does_not_work_is_a_problem_with_a_time_that_reduces_nothing(tmp_path: Path) -> None:
    hook = Hook()
    hook.status = 404
    async with http_server(hook) as url:
        daemon = SmallDaemon(settings_with(tmp_path, url))
        health = Health(daemon.now)
        alerts = Alerts(daemon.settings, daemon, daemon.now)
        alerts.start(health)
        alerts.hear(kill(daemon))
        await until(lambda: health.problems)
        (problem,) = health.problems
        assert problem.text == "alert channel hook does not work: webhook answered 404"
        assert problem.since_ns == daemon.now()
        assert health.reasons_to_reduce == ()
        hook.status = 200
        alerts.hear(kill(daemon, "again"))
        await until(lambda: not health.problems)
        await alerts.close()


async def test_a_hanging_webhook_does_not_touch_a_step_of_the_engine(tmp_path: Path) -> None:
    hook = Hook()
    hook.hangs = True
    async with http_server(hook) as url:
        settings = settings_with(tmp_path, url)
        daemon = SmallDaemon(settings)
        scene = Scene(tmp_path / "engine")
        alerts = Alerts(settings, daemon, scene.clock.now)
        scene.runtime.listeners.append(alerts.hear)
        alerts.start(Health(scene.clock.now))
        scene.open()
        await asyncio.sleep(0)
        for number in range(500):
            scene.runtime.record("test", system.AlertRaised("warning", f"noise {number}", "x"))
        facts = scene.runtime.command(system.VoteTradingState("operator", "REDUCING", "test"), by="ann")
        assert any(isinstance(each.body, system.TradingStateChanged) for each in facts)
        (channel,) = alerts.channels
        assert channel.backlog == settings.alerts.queue_size
        assert channel.counters.dropped >= 350
        scene.journal.close()
        alerts._tasks[0].cancel()
        await asyncio.wait(alerts._tasks[:1])
        await alerts.channels[0].service.close()
        for task in alerts._tasks:
            task.cancel()
        await asyncio.wait(alerts._tasks)


async def test_a_fact_that_cannot_be_told_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    daemon = SmallDaemon(settings_with(tmp_path, "http://127.0.0.1:1"))
    alerts = Alerts(daemon.settings, daemon, daemon.now)
    broken = daemon.fact(system.AgentStopped("ceo"))
    alerts.hear(Message(broken.header, system.KillSwitchEngaged("halt", "x", "y")))
    alerts._rules._rules[system.AgentStopped] = lambda body, ts: 1 / 0  # type: ignore[assignment,return-value]
    alerts.hear(broken)
    assert alerts.channels[0].backlog == 1
    assert "no alert could be made of AgentStopped" in caplog.text


async def test_an_old_secret_is_a_problem_a_note_of_the_digest_and_a_metric(tmp_path: Path) -> None:
    key = MasterKey(bytearray(b"a long enough master key"), "test")
    seal(tmp_path / "secrets.json", key, {"bus.url": "x"}, (SecretEntry("bus.url", 1_600_000_000),))
    daemon = SmallDaemon(settings_with(tmp_path, "http://127.0.0.1:1"))
    health = Health(daemon.now)
    audience = Audience(daemon.settings, daemon, daemon.now)
    audience.start(health)
    assert [each.text for each in health.problems] == ["secrets older than 90 days: bus.url (set 2020-09-13)"]
    assert b"tradingd_secrets_due 1.0" in audience.metrics.render()
    assert audience.alerts is not None
    assert list(audience.alerts.notes()) == ["secret bus.url was set 2020-09-13: replace it"]
    await audience.close()


async def test_metrics_are_pushed_to_a_collector(tmp_path: Path) -> None:
    pushed: list[Any] = []

    async def collector(request: web.Request) -> web.StreamResponse:
        pushed.append((request.path, json.loads(await request.read())))
        return web.json_response({})

    async with http_server(collector) as url:
        settings = Settings(data_dir=tmp_path, metrics={"otlp_url": url})  # type: ignore[arg-type]
        daemon = SmallDaemon(settings)
        audience = Audience(settings, daemon, daemon.now)
        audience.start(Health(daemon.now))
        await until(lambda: pushed)
        await audience.close()
    path, body = pushed[0]
    assert path == "/v1/metrics"
    assert len(body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]) > 30
