"""Commands over Telegram: long polling, an allow-list of chats and people, an age limit, a code for what moves money.

Three rules shape it. A stranger's word, one older than 60 s, a forwarded one or one for another bot of the group is not
answered. Acts are carried out while the updates are read; answers wait in a bounded queue of their own, so no act waits
for a slow network. Kill commands of a batch come first.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tradingd.alerts.alert import DeliveryError
from tradingd.alerts.confirmation import Confirmations
from tradingd.alerts.telegram_api import TelegramApi
from tradingd.alerts.telegram_commands import Command, carry_out, parse_command
from tradingd.control import Control
from tradingd.redaction import redact

_log = logging.getLogger(__name__)
MAX_AGE_S: Final = 60
POLL_S: Final = 25
_POLL_MARGIN_S: Final = 10
_MAX_ANSWERS: Final = 50
_MAX_UPDATES: Final = 100
_LONGEST_PAUSE_S: Final = 30.0
_TRIES: Final = 3
_MOST_STRANGERS: Final = 50
"""Strangers that the log names; more are only counted, or anybody could fill it."""
_NAME_AGAIN_S: Final = 60.0
_SHORTEST_POLL_S: Final = 0.25
_QUIET_S: Final = 6 * 86_400
"""After a week without updates Telegram counts from a random number, perhaps a lower one."""
_ELSEWHERE: Final = (
    "forward_origin", "forward_date", "forward_from", "forward_from_chat", "forward_sender_name",
    "is_automatic_forward", "via_bot", "sender_chat", "sender_business_bot",
)
"""Marks of words that somebody else said, or that nobody can be held to."""


@dataclass(slots=True)
class BotCounters:
    """What came in over Telegram."""

    commands: int = 0
    strangers: int = 0
    stale: int = 0
    wrong_codes: int = 0
    answers_dropped: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class _Word:
    """One message that may count."""

    chat: str
    user: str
    command: Command


class TelegramBot:
    """`run` until cancelled. `on_problem` hears what is wrong with the connection, "" when it is well again."""

    def __init__(
        self, api: TelegramApi, control: Control, *, chats: tuple[str, ...], users: tuple[str, ...],
        on_problem: Callable[[str], None] = lambda text: None, wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic, poll_s: int = POLL_S,
    ) -> None:
        self.counters = BotCounters()
        self._api = api
        self._control = control
        self._chats = frozenset(chats)
        self._users = frozenset(users)
        self._on_problem = on_problem
        self._wall = wall
        self._monotonic = monotonic
        self._poll_s = poll_s
        self._confirmations = Confirmations()
        self._offset = 0
        self._heard_at = monotonic()
        self._answers: deque[tuple[str, str]] = deque()
        self._has_answer = asyncio.Event()
        self._own_name = ""
        self._strangers: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """One loop reads and acts, one answers; our own name is asked for beside them."""
        beside = (
            asyncio.create_task(self._answer(), name="telegram answers"),
            asyncio.create_task(self._learn_name(), name="telegram name"),
        )
        try:
            await self._read()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)

    async def close(self) -> None:
        await self._api.close()

    # ---- in ------------------------------------------------------------------------------------------

    async def _learn_name(self) -> None:
        """In a group /kill@other_bot is not for us. While the name is unknown every word is taken as ours."""
        while not self._own_name:
            try:
                found = await self._api.call("getMe", {})
            except DeliveryError as error:
                if error.is_final:
                    return
                await asyncio.sleep(max(_NAME_AGAIN_S, error.retry_after_s))
                continue
            name = found.get("username") if isinstance(found, dict) else None
            if not isinstance(name, str):
                return
            self._own_name = name.lower()

    async def _read(self) -> None:
        pause = 1.0
        while True:
            asked_at = asyncio.get_running_loop().time()
            try:
                updates = await self._api.call(
                    "getUpdates",
                    {"offset": self._offset, "timeout": self._poll_s, "limit": _MAX_UPDATES,
                     "allowed_updates": ["message"]},
                    timeout_s=self._poll_s + _POLL_MARGIN_S,
                )
                if not isinstance(updates, list):
                    raise DeliveryError("telegram answered without a list of updates")
            except DeliveryError as error:
                self.counters.failures += 1
                self._on_problem(str(error))
                await asyncio.sleep(min(max(pause, error.retry_after_s), _LONGEST_PAUSE_S))
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                continue
            pause = 1.0
            self._on_problem("")
            if updates:
                self._heard_at = self._monotonic()
            elif self._monotonic() - self._heard_at > _QUIET_S:
                self._offset = 0
            before = self._offset
            await self.take(updates)
            if self._offset == before:  # nothing new
                # A server that does not hold the question until there is news must not keep this process busy.
                await asyncio.sleep(max(0.0, asked_at + _SHORTEST_POLL_S - asyncio.get_running_loop().time()))

    async def take(self, updates: object) -> None:
        """One batch of updates; whatever Telegram sends, this does not raise."""
        words = []
        sound = [each for each in updates if _number_of(each) is not None] if isinstance(updates, list) else []
        # Only the newest number is remembered: one that came out of order must not be passed over.
        for update in sorted(sound, key=lambda each: each["update_id"]):
            word = self._admit(update)
            if word is not None:
                words.append(word)
        for word in sorted(words, key=lambda each: not each.command.is_kill):
            answer: str | None
            try:
                answer = await self._obey(word)
            except Exception as error:  # noqa: BLE001 - one failing command must not end the others
                _log.exception("a command over Telegram failed")
                answer = f"failed: {type(error).__name__}. The log has the details."
            if answer is not None:
                self._reply(word.chat, answer)

    def _admit(self, update: Any) -> _Word | None:
        """The message, if this person may speak to us here and said it just now, to us."""
        if update["update_id"] < self._offset:
            return None
        self._offset = update["update_id"] + 1
        message = update.get("message")
        if not isinstance(message, dict) or not isinstance(message.get("text"), str):
            return None
        chat, user = _id_of(message.get("chat")), _id_of(message.get("from"))
        is_foreign = any(mark in message for mark in _ELSEWHERE) or (user and message["from"].get("is_bot"))
        if is_foreign or chat not in self._chats or user not in self._users:
            self._count_stranger(chat, user)
            return None
        date = message.get("date")
        if not isinstance(date, int) or abs(self._wall() - date) > MAX_AGE_S:
            self.counters.stale += 1
            _log.warning("a Telegram message of user %s was ignored: older than %d s", user, MAX_AGE_S)
            return None
        command = parse_command(message["text"])
        if command.bot and self._own_name and command.bot != self._own_name:
            return None
        return _Word(chat, user, command)

    def _count_stranger(self, chat: str, user: str) -> None:
        self.counters.strangers += 1
        if (chat, user) not in self._strangers and len(self._strangers) < _MOST_STRANGERS:
            self._strangers.add((chat, user))
            _log.warning("Telegram messages of user %s in chat %s are ignored: not allowed, or forwarded", user, chat)

    # ---- acts ----------------------------------------------------------------------------------------

    async def _obey(self, word: _Word) -> str | None:
        command = word.command
        if command.name == "confirm" or (not command.name and command.rest[:1].isdigit()):
            return await self._confirm(word, command.rest)
        if not command.name:  # people talk in groups
            return None if word.chat.startswith("-") else "I understand commands only: /help names them"
        if command.name == "cancel":
            had = self._confirmations.withdraw(word.chat, word.user)
            return "forgotten" if had else "no question is open (/kill cancel ends waiting entries)"
        if not command.is_known:
            return "I do not know this command: /help names them"
        if command.needs_code:
            said = f"/{command.name} {command.rest}".rstrip()
            code = self._confirmations.ask(word.chat, word.user, said, self._monotonic())
            return f"{said}: answer {code} within 60 seconds to do this, or /cancel"
        return await self._carry_out(word, command)

    async def _confirm(self, word: _Word, code: str) -> str:
        said = self._confirmations.answer(word.chat, word.user, code.strip(), self._monotonic())
        if said is None:
            self.counters.wrong_codes += 1
            return "this is no open code (each is good for 60 seconds, once, for who asked): nothing was done"
        return await self._carry_out(word, parse_command(said))

    async def _carry_out(self, word: _Word, command: Command) -> str:
        self.counters.commands += 1
        return await carry_out(self._control, command, f"telegram-{word.user}")

    # ---- out -----------------------------------------------------------------------------------------

    def _reply(self, chat: str, text: str) -> None:
        if len(self._answers) >= _MAX_ANSWERS:
            self._answers.popleft()
            self.counters.answers_dropped += 1
        self._answers.append((chat, redact(text)))
        self._has_answer.set()

    async def _answer(self) -> None:
        while True:
            await self._has_answer.wait()
            while self._answers:
                await self._deliver(*self._answers.popleft())
            self._has_answer.clear()

    async def _deliver(self, chat: str, text: str) -> None:
        """Tried again when Telegram is busy or away; never raises."""
        for attempt in range(1, _TRIES + 1):
            try:
                await self._api.send_text(chat, text)
                return
            except DeliveryError as error:
                _log.warning("an answer over Telegram was not delivered: %s", error)
                if error.is_final or attempt == _TRIES:
                    break
                await asyncio.sleep(min(max(error.retry_after_s, 1.0), _LONGEST_PAUSE_S))
            except Exception:  # noqa: BLE001 - one answer that cannot be sent must not keep back the others
                _log.exception("an answer over Telegram was not delivered")
                break
        self.counters.answers_dropped += 1


def _number_of(update: object) -> int | None:
    """Its update_id; None for what is no update."""
    number = update.get("update_id") if isinstance(update, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _id_of(part: object) -> str:
    """The numeric id as text; "" when there is none."""
    number = part.get("id") if isinstance(part, dict) else None
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else ""
