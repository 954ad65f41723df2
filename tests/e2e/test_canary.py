"""The real process with a secret in every setting that can hold one, and services that refuse or never answer: the
secrets are found nowhere, alerts and commands work meanwhile.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import Process, until
from tradingd.client import AnswerError

pytestmark = pytest.mark.e2e

CANARIES = {
    "TRADINGD__VENUES__PRACTICE__API_KEY": "canary-venue-key-5d1e", "TRADINGD__VENUES__PRACTICE__API_SECRET":
    "canary-venue-secret-77ab", "TRADINGD__ALERTS__PHONE__TOKEN": "987654321:canary_TelegramTokenOfThirtyFive",
    "TRADINGD__ALERTS__TEAM__TOKEN": "T0/B0/canarySlackPart", "TRADINGD__ALERTS__MAIL__TOKEN": "canary-mail-99",
    "TRADINGD__ALERTS__HOOK__TOKEN": "canary-hook-31c0", "TRADINGD__ALERTS__SMS__TOKEN": "canary-sms-4411",
}
PARTS = ("canary", "Y2FuYXJ5")  # as it is, and in base64
CONFIG = """
mode = "live"
[alerts.phone]
service = "telegram"
api_url = "{url}"
to = 42
level = "info"
commands = true
allow_users = 42
[alerts.team]
service = "slack"
api_url = "{url}/refuses"
level = "info"
[alerts.hook]
service = "webhook"
api_url = "{url}/hangs"
level = "info"
[alerts.mail]
service = "email"
api_url = "smtp://127.0.0.1:1"
user = "ann"
sender = "a@example.org"
to = "b@example.org"
[alerts.sms]
service = "twilio"
api_url = "{url}/echoes"
user = "AC1"
sender = "+1"
to = "+2"
level = "info"
"""


class Services:
    """Telegram's Bot API; a Slack that refuses; a webhook that hangs; a Twilio that repeats what it was sent."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self.bodies: list[bytes] = []
        self.ended = threading.Event()

    def says(self, text: str, *, user: int = 42) -> None:
        number = len(self.updates) + 1
        self.updates.append({"update_id": number, "message": {
            "message_id": number, "date": int(time.time()), "text": text, "from": {"id": user}, "chat": {"id": 42},
        }})

    def answer(self, path: str, headers: str, body: bytes) -> tuple[int, bytes]:
        if path.endswith("/getUpdates"):
            news = [each for each in self.updates if each["update_id"] >= json.loads(body)["offset"]]
            if not news:
                self.ended.wait(0.1)
            return 200, json.dumps({"ok": True, "result": news}).encode()
        self.bodies.append(body)
        if path.endswith("/sendMessage"):
            self.texts.append(json.loads(body)["text"])
            return 200, b'{"ok":true,"result":{}}'
        if path.startswith("/hangs"):
            self.ended.wait(60)
        return 401, json.dumps({"message": f"refused {path} {headers}"}).encode()


@contextmanager
def serving(services: Services) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = services.answer(self.path, str(self.headers), body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        services.ended.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def answers_of(daemon: Process) -> Iterator[str]:
    """What the API says to everybody who may ask anything that needs no id."""
    client = replace(daemon.client, timeout_s=60)  # the reference, and what the laboratory says, are made by processes
    paths = client.get("/openapi.json")["paths"]
    for path, methods in sorted(paths.items()):
        if "get" in methods and "{" not in path:
            try:
                yield json.dumps(client.get(path))
            except AnswerError as error:
                yield f"{error.message} {error.body}"


def metrics_of(daemon: Process) -> str:
    from urllib.request import urlopen

    with urlopen(f"{daemon.client.url}/metrics") as answer:
        text: str = answer.read().decode()
    return text


def hidden_in(folder: Path) -> list[str]:
    """Files that hold a canary."""
    return [
        str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))
        if path.is_file() and any(part.encode() in path.read_bytes() for part in PARTS)
    ]


def test_secrets_are_found_nowhere_while_alerts_fail_and_telegram_steers(tmp_path: Path) -> None:
    services, config, state = Services(), tmp_path / "mine.toml", tmp_path / "state"
    with serving(services) as url:
        config.write_text(CONFIG.format(url=url))
        daemon = Process(state / "data", "--config", str(config), env=CANARIES).ready()
        try:
            until(lambda: any("started" in text for text in services.texts), "an alert of the start", 10)
            daemon.buy("BTC/USDT", "0.001")
            until(lambda: any("position opened" in text for text in services.texts), "an alert of the position", 10)
            services.says("/kill halt", user=666)
            services.says("/status")
            until(lambda: any("equity" in text for text in services.texts), "an answer to /status", 10)
            assert daemon.status()["kill"] is None
            services.says("/kill halt fire")
            kill = until(lambda: daemon.status()["kill"], "a kill over Telegram", 10)
            assert (kill["action"], kill["by"], kill["reason"]) == ("halt", "telegram-42", "fire")
            until(lambda: any("does not work" in each["text"] for each in daemon.status()["problems"]), "a problem", 15)
            told = [*answers_of(daemon), metrics_of(daemon)]
            assert 'tradingd_telegram_commands_total{outcome="stranger"} 1.0' in told[-1]
        finally:
            assert daemon.stop() == 0
    assert [text for text in told if any(part in text for part in PARTS)] == []
    assert hidden_in(state) == []
    assert [body for body in services.bodies if any(part.encode() in body for part in PARTS)] == []
    assert "refused" in daemon.err  # the errors that could have told it were told
