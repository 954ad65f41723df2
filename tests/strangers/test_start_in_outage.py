"""A restart while the exchange is away for long: people are told, for nobody looks at a log at night."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.e2e.process import Process, until
from tests.strangers.serving import Served, serving
from tests.strangers.sessions import Stranger, running_there, strange_binance, strange_coinbase
from tests.strangers.truth import agree, protected

TOKEN = "123456789:AAcanary_TelegramTokenOfThirtyFiveChr"
OUTAGE_S = 600.0
SHORT_OUTAGE_S = 36.0
TOLD_WITHIN_S = 60.0
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


class Phone:
    """Telegram's sendMessage and a Slack webhook; what arrived, oldest first."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def routes(self) -> list[web.RouteDef]:
        return [web.post(f"/bot{TOKEN}/sendMessage", self._telegram), web.post("/T/B/X", self._slack)]

    async def _telegram(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        assert body["chat_id"] == 42
        self.texts.append(body["text"])
        return web.json_response({"ok": True, "result": {"message_id": len(self.texts)}})

    async def _slack(self, request: web.Request) -> web.Response:
        self.texts.append((await request.json())["text"])
        return web.Response(text="ok")

    async def run(self) -> None:
        """Nothing beside the answers."""

    def heard(self, words: str) -> list[str]:
        return [text for text in self.texts if words in text]


@contextmanager
def phone_at(stranger: Stranger, service: str) -> Iterator[Phone]:
    """A person with Telegram or Slack, known to the daemons that trade on the stranger."""
    phone = Phone()
    with serving(phone.routes(), phone.run) as served:
        prefix = "TRADINGD__ALERTS__PHONE__"
        stranger.env.update({
            prefix + "SERVICE": service, prefix + "API_URL": f"http://{served.address}",
            prefix + "TOKEN": TOKEN if service == "telegram" else "T/B/X",
        })
        if service == "telegram":
            stranger.env[prefix + "TO"] = "42"
        yield phone


def is_down(stranger: Stranger, seconds: float = OUTAGE_S) -> None:
    served: Served = stranger.served
    served.do(lambda: stranger.door.faults.last("maintenance", seconds))


def is_back(stranger: Stranger) -> None:
    stranger.served.do(stranger.door.faults.until.clear)


def test_over_a_position_telegram_says_that_it_waits_what_is_open_and_when_it_goes_on(tmp_path: Path) -> None:
    with strange_binance() as stranger, phone_at(stranger, "telegram") as phone:
        symbol = stranger.env["TRADINGD__SYMBOLS"].split(",")[0]
        with running_there(stranger, tmp_path / "data") as daemon:
            daemon.buy(symbol, "0.5")
            until(lambda: protected(daemon, stranger.exchange, symbol), "a protected position", 5)
            daemon.kill()
        is_down(stranger)
        again = Process(tmp_path / "data", "--no-safe", env=stranger.env)
        try:
            (told,) = until(lambda: phone.heard("binance does not answer"), "the word on the phone", TOLD_WITHIN_S)
            assert told.startswith("[tradingd LIVE binance]\nCRITICAL: ")
            assert "has waited for 30 s" in told
            assert f"Open: {symbol}, " in told
            assert "only the stops that rest at the exchange protect that" in told
            assert not phone.heard("answers again")
            is_back(stranger)
            (over,) = until(lambda: phone.heard("binance answers again"), "the word that it is over", TOLD_WITHIN_S)
            assert "CRITICAL: " in over
            again.ready()
            until(lambda: protected(again, stranger.exchange, symbol), "a protected position", 10)
            agree(again, stranger.exchange)
            assert again.stop() == 0
        finally:
            again.kill()
        assert len(phone.heard("does not answer")) == len(phone.heard("answers again")) == 1


def test_with_nothing_open_slack_gets_a_warning_also_when_the_start_is_ended_meanwhile(tmp_path: Path) -> None:
    with strange_coinbase() as stranger, phone_at(stranger, "slack") as phone:
        with running_there(stranger, tmp_path / "data") as daemon:
            assert daemon.stop() == 0
        is_down(stranger)
        again = Process(tmp_path / "data", env=stranger.env)
        try:
            (told,) = until(lambda: phone.heard("coinbase does not answer"), "the word in the channel", TOLD_WITHIN_S)
            assert "WARNING: " in told
            assert "Nothing is open." in told
            assert again.stop() == 0
        finally:
            again.kill()
        assert len(phone.heard("the start was ended before coinbase answered")) == 1


def test_a_first_start_in_a_long_outage_tells_its_terminal_and_nobody_else(tmp_path: Path) -> None:
    with strange_binance() as stranger, phone_at(stranger, "telegram") as phone:
        is_down(stranger, SHORT_OUTAGE_S)
        with running_there(stranger, tmp_path / "data") as daemon:
            assert "the start waits for the venue" in daemon.err
            assert daemon.stop() == 0
        assert phone.heard("stopping: signal SIGTERM")
        assert not phone.heard("answer")
