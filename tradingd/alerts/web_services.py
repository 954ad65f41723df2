"""Slack, Twilio and plain webhooks: each in its own words, all over HTTP."""

import base64
from typing import Any, Final

from tradingd.alerts.alert import DeliveryError, Letter, send_to_each
from tradingd.alerts.http_delivery import HttpDelivery
from tradingd.plain_text import one_line
from tradingd.redaction import redact

SLACK_WEBHOOKS: Final = "https://hooks.slack.com/services"
SLACK_API: Final = "https://slack.com/api"
TWILIO_API: Final = "https://api.twilio.com"
_BOT_TOKENS: Final = ("xoxb-", "xoxp-")
_SLACK_TRY_AGAIN: Final = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"}
)


class SlackService:
    """An incoming webhook (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks), or with a bot's token
    chat.postMessage to each channel."""

    max_text = 3_500

    def __init__(self, api_url: str, token: str, channels: tuple[str, ...], timeout_s: float) -> None:
        self._http = HttpDelivery("slack", timeout_s)
        self._is_bot = token.startswith(_BOT_TOKENS)
        self._token = token
        self._channels = channels
        base = (api_url or (SLACK_API if self._is_bot else SLACK_WEBHOOKS)).rstrip("/")
        self._url = f"{base}/chat.postMessage" if self._is_bot else f"{base}/{token.strip('/')}".rstrip("/")

    async def send(self, letter: Letter) -> None:
        escaped = letter.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")  # as Slack asks for
        if self._is_bot:
            await send_to_each(letter, self._channels, lambda channel: self._post(channel, escaped))
            return
        answer = await self._http.post(self._url, json={"text": escaped, "mrkdwn": False})
        if not answer.is_ok:
            raise answer.failure("slack")

    async def _post(self, channel: str, text: str) -> None:
        payload: dict[str, Any] = {"channel": channel, "text": text, "mrkdwn": False, "unfurl_links": False}
        answer = await self._http.post(self._url, json=payload, headers={"Authorization": f"Bearer {self._token}"})
        if not answer.is_ok:
            raise answer.failure("slack")
        data = answer.json or {}
        if data.get("ok") is not True:
            reason = str(data.get("error", "no answer that could be read"))[:80]
            raise DeliveryError(redact(f"slack refused: {one_line(reason)}"), is_final=reason not in _SLACK_TRY_AGAIN)

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

    async def send(self, letter: Letter) -> None:
        await send_to_each(letter, self._numbers, lambda number: self._text(number, letter.text))

    async def _text(self, number: str, text: str) -> None:
        origin = "MessagingServiceSid" if self._sender.startswith("MG") else "From"
        answer = await self._http.post(
            self._url, data={"To": number, origin: self._sender, "Body": text}, headers=self._headers
        )
        if not answer.is_ok:
            raise answer.failure("twilio", str((answer.json or {}).get("message", ""))[:200])

    async def close(self) -> None:
        await self._http.close()


class WebhookService:
    """POST {"source", "level", "title", "text"} as JSON to any address; the token, if any, as a bearer."""

    max_text = 8_000

    def __init__(self, url: str, token: str, timeout_s: float) -> None:
        self._http = HttpDelivery("webhook", timeout_s)
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def send(self, letter: Letter) -> None:
        payload = {"source": "tradingd", "level": letter.level, "title": letter.subject, "text": letter.text}
        answer = await self._http.post(self._url, json=payload, headers=self._headers)
        if not answer.is_ok:
            raise answer.failure("webhook")

    async def close(self) -> None:
        await self._http.close()
