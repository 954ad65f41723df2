"""Slack, Twilio and plain webhooks: each in its own words, all over HTTP."""

import base64
from typing import Any, Final

from tradingd.alerts.alert import DeliveryError
from tradingd.alerts.http_delivery import HttpDelivery
from tradingd.redaction import redact
from tradingd.settings_alerts import Level

SLACK_WEBHOOKS: Final = "https://hooks.slack.com/services"
SLACK_API: Final = "https://slack.com/api"
TWILIO_API: Final = "https://api.twilio.com"
_BOT_TOKENS: Final = ("xoxb-", "xoxp-")
_SLACK_TRY_AGAIN: Final = frozenset({"ratelimited", "internal_error", "fatal_error", "service_unavailable"})


class SlackService:
    """An incoming webhook (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks), or with a bot's token
    chat.postMessage to each channel."""

    max_text = 3_500

    def __init__(self, api_url: str, token: str, channels: tuple[str, ...], timeout_s: float) -> None:
        self._http = HttpDelivery("slack", timeout_s)
        self._is_bot = token.startswith(_BOT_TOKENS)
        self._token = token
        self._channels = channels
        self._told: tuple[str, frozenset[str]] = ("", frozenset())
        base = (api_url or (SLACK_API if self._is_bot else SLACK_WEBHOOKS)).rstrip("/")
        self._url = f"{base}/chat.postMessage" if self._is_bot else f"{base}/{token.strip('/')}".rstrip("/")

    async def send(self, subject: str, text: str, level: Level) -> None:
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")  # as Slack asks for
        if not self._is_bot:
            answer = await self._http.post(self._url, json={"text": escaped, "mrkdwn": False})
            if not answer.is_ok:
                raise answer.failure("slack")
            return
        failures: list[DeliveryError] = []
        # Tried again, the same text goes only to the channels that have not got it.
        done = set(self._told[1]) if self._told[0] == text else set()
        for channel in self._channels:
            if channel in done:
                continue
            try:
                await self._post(channel, escaped)
                done.add(channel)
            except DeliveryError as error:
                failures.append(error)
        self._told = (text, frozenset(done)) if failures else ("", frozenset())
        if failures:
            raise next((each for each in failures if not each.is_final), failures[0])

    async def _post(self, channel: str, text: str) -> None:
        payload: dict[str, Any] = {"channel": channel, "text": text, "mrkdwn": False, "unfurl_links": False}
        answer = await self._http.post(self._url, json=payload, headers={"Authorization": f"Bearer {self._token}"})
        if not answer.is_ok:
            raise answer.failure("slack")
        data = answer.json or {}
        if data.get("ok") is not True:
            reason = str(data.get("error", "no answer that could be read"))[:80]
            raise DeliveryError(redact(f"slack refused: {reason}"), is_final=reason not in _SLACK_TRY_AGAIN)

    async def close(self) -> None:
        await self._http.close()


class TwilioService:
    """Text messages: POST /2010-04-01/Accounts/SID/Messages.json (twilio.com/docs/messaging/api)."""

    max_text = 1_500

    def __init__(
        self, api_url: str, account: str, token: str, sender: str, numbers: tuple[str, ...], timeout_s: float
    ) -> None:
        self._http = HttpDelivery("twilio", timeout_s)
        self._url = f"{(api_url or TWILIO_API).rstrip('/')}/2010-04-01/Accounts/{account}/Messages.json"
        login = base64.b64encode(f"{account}:{token}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}"}
        self._sender = sender
        self._numbers = numbers

    async def send(self, subject: str, text: str, level: Level) -> None:
        origin = "MessagingServiceSid" if self._sender.startswith("MG") else "From"
        failures: list[DeliveryError] = []
        for number in self._numbers:
            try:
                answer = await self._http.post(
                    self._url, data={"To": number, origin: self._sender, "Body": text}, headers=self._headers
                )
                if not answer.is_ok:
                    raise answer.failure("twilio", str((answer.json or {}).get("message", ""))[:200])
            except DeliveryError as error:
                failures.append(error)
        # A second try would text those again who got it: only when nobody did.
        if len(failures) == len(self._numbers):
            raise failures[0]
        if failures:
            raise DeliveryError(str(failures[0]), is_final=True)

    async def close(self) -> None:
        await self._http.close()


class WebhookService:
    """POST {"source", "level", "title", "text"} as JSON to any address; the token, if any, as a bearer."""

    max_text = 8_000

    def __init__(self, url: str, token: str, timeout_s: float) -> None:
        self._http = HttpDelivery("webhook", timeout_s)
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def send(self, subject: str, text: str, level: Level) -> None:
        payload = {"source": "tradingd", "level": level, "title": subject, "text": text}
        answer = await self._http.post(self._url, json=payload, headers=self._headers)
        if not answer.is_ok:
            raise answer.failure("webhook")

    async def close(self) -> None:
        await self._http.close()
