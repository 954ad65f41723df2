"""A second word for acts that move money: a code, answered in time by the same person in the same chat, once."""

import secrets
from dataclasses import dataclass
from typing import Final

VALID_S: Final = 60.0
MAX_TRIES: Final = 3
_DIGITS: Final = 6
_MAX_PENDING: Final = 100


@dataclass(slots=True)
class _Pending:
    code: str
    command: str
    until: float
    tries: int = 0


class Confirmations:
    """One open question for each person and chat; a new one replaces it. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._pending: dict[tuple[str, str], _Pending] = {}

    def ask(self, chat: str, user: str, command: str, now: float) -> str:
        """The code that this person must answer in this chat within 60 s."""
        for key in [each for each, asked in self._pending.items() if asked.until <= now]:
            del self._pending[key]
        if len(self._pending) >= _MAX_PENDING:
            self._pending.pop(next(iter(self._pending)))
        code = "".join(str(secrets.randbelow(10)) for _ in range(_DIGITS))
        self._pending[chat, user] = _Pending(code, command, now + VALID_S)
        return code

    def answer(self, chat: str, user: str, code: str, now: float) -> str | None:
        """The command that is confirmed by this; None for a wrong, late, used or unasked code. Three tries."""
        asked = self._pending.get((chat, user))
        if asked is None:
            return None
        if asked.until <= now:
            del self._pending[chat, user]
            return None
        asked.tries += 1
        is_right = secrets.compare_digest(asked.code.encode(), code.encode())
        if is_right or asked.tries >= MAX_TRIES:
            del self._pending[chat, user]
        return asked.command if is_right else None

    def withdraw(self, chat: str, user: str) -> bool:
        """Forget the open question; False when there is none."""
        return self._pending.pop((chat, user), None) is not None
