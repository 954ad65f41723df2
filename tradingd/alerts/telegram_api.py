"""The Telegram Bot API over HTTP (core.telegram.org/bots/api): what alerts and commands need of it."""

from typing import Any, Final

from tradingd.alerts.alert import Letter, send_to_each
from tradingd.alerts.http_delivery import HttpDelivery, pause_in
from tradingd.redaction import redact

API_URL: Final = "https://api.telegram.org"
MAX_TEXT: Final = 4096
MOST_PARTS: Final = 5
_CUT: Final = "\n(and more: `tradingd` on the machine tells all of it)"


def in_parts(text: str) -> list[str]:
    """The text in messages that Telegram takes, parted between lines where that can be; at most `MOST_PARTS`."""
    parts: list[str] = []
    rest = text
    while rest and len(parts) < MOST_PARTS:
        part = _fitting(rest)
        end = part.rfind("\n")
        if len(part) < len(rest) and end > 0:
            part = part[:end]
        parts.append(part)
        rest = rest[len(part) :].lstrip("\n")
    if rest:
        parts[-1] = _fitting(parts[-1], len(_CUT)) + _CUT
    return parts


def _fitting(text: str, less: int = 0) -> str:
    """Its beginning, as long as a message may be: Telegram counts UTF-16 units, an emoji is two."""
    part = text[: MAX_TEXT - less]
    while len(part.encode("utf-16-le")) // 2 > MAX_TEXT - less:
        part = part[: len(part) - max(1, (len(part.encode("utf-16-le")) // 2 - (MAX_TEXT - less)) // 2)]
    return part


class TelegramApi:
    """Calls methods of one bot. `api_url` "" is Telegram's own."""

    def __init__(self, api_url: str, token: str, timeout_s: float) -> None:
        self._url = f"{(api_url or API_URL).rstrip('/')}/bot{token}"
        self._http = HttpDelivery("telegram", timeout_s)

    async def call(self, method: str, payload: dict[str, Any], *, timeout_s: float | None = None) -> Any:
        """The result; raises `DeliveryError` with Telegram's description."""
        answer = await self._http.post(f"{self._url}/{method}", json=payload, timeout_s=timeout_s)
        data = answer.json
        if data is not None and data.get("ok") is True:
            return data.get("result")
        failure = answer.failure("telegram", redact(str((data or {}).get("description", ""))[:200]))
        wait = (data or {}).get("parameters")
        if isinstance(wait, dict):
            failure.retry_after_s = pause_in(wait.get("retry_after")) or failure.retry_after_s
        raise failure

    async def send_text(self, chat: str, text: str) -> None:
        """Plain text, so that nothing in it is markup; a long one in several messages."""
        for part in in_parts(text):
            await self.call("sendMessage", {
                "chat_id": int(chat) if chat.lstrip("-").isdigit() else chat, "text": part,
                "link_preview_options": {"is_disabled": True},
            })

    async def close(self) -> None:
        await self._http.close()


class TelegramService:
    """Alerts to each of the chats; one that refuses does not keep the others from hearing."""

    max_text = MAX_TEXT

    def __init__(self, api: TelegramApi, chats: tuple[str, ...]) -> None:
        self._api = api
        self._chats = chats

    async def send(self, letter: Letter) -> None:
        await send_to_each(letter, self._chats, lambda chat: self._api.send_text(chat, letter.text))

    async def close(self) -> None:
        await self._api.close()
