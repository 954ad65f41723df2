"""No secret leaves the process in a text: what is known to be one, and what looks like one, becomes `***`.

The settings teach it every secret they hold (`learn`); log lines, the story, alerts and reasons that a venue gave pass
through it. Secrets shorter than six characters cannot be told from ordinary words and are not replaced.
"""

import base64
import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import BaseModel, SecretStr

HIDDEN: Final = "***"
MIN_LENGTH: Final = 6
_MIN_LINE: Final = 16
_MIN_IN_QUERY: Final = 8
_KEY_IN_PATH: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_~-]{16,}|[0-9]{16,}")
_SHAPES: Final = (
    (re.compile(r"(?<!\d)\d{6,12}:[A-Za-z0-9_-]{30,}"), HIDDEN),  # a Telegram bot's token
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"), HIDDEN),  # a JSON web token
    (re.compile(r"(?<=://)[^/\s@]*:[^/\s@]+@"), f"{HIDDEN}@"),  # user:password@ in a URL
    (
        re.compile(r"(?i)\b(signature|api[_-]?key|api[_-]?secret|access_token|token|password)=[^&\s\"']+"),
        rf"\1={HIDDEN}",
    ),
)


class Redactor:
    """Holds the secrets of one process. `learn` at the start; then call it with any text that goes out."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, secret: str) -> None:
        """From now on this value is hidden, also URL-quoted, in base64 and as JSON; a key's longer lines one by one."""
        before = len(self._known)
        parts = [secret, *(line for line in secret.splitlines() if len(line) >= _MIN_LINE)]
        for part in parts:
            if len(part) >= MIN_LENGTH:
                self._known |= {
                    part, quote(part, safe=""), base64.b64encode(part.encode()).decode(), json.dumps(part)[1:-1],
                }
        if len(self._known) != before:
            longest_first = sorted(self._known, key=lambda each: (-len(each), each))
            self._pattern = re.compile("|".join(re.escape(each) for each in longest_first))

    def learn_settings(self, settings: BaseModel) -> None:
        """Every secret of the settings, wherever it stands, and the passwords in their URLs."""
        for secret in secrets_in(settings):
            self.learn(secret)

    def __call__(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        for shape, instead in _SHAPES:
            text = shape.sub(instead, text)
        return text


def secrets_in(value: object) -> Iterable[str]:
    """What must not be shown of a settings model, a mapping or a list of them."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
        yield from secrets_in(value.model_extra or {})
    elif isinstance(value, dict):
        for each in value.values():
            yield from secrets_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from secrets_in(each)
    elif isinstance(value, str) and "://" in value:
        yield from _secrets_of(value)


def _secrets_of(url: str) -> Iterable[str]:
    """The password of an address; of a web address also what in it may be a key: whoever knows the address of an
    incoming webhook may write there.
    """
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return
    if password:
        yield password
    if parts.scheme in ("http", "https"):
        yield from (segment for segment in parts.path.split("/") if _KEY_IN_PATH.fullmatch(segment))
        yield from (value for _, value in parse_qsl(parts.query) if len(value) >= _MIN_IN_QUERY)


redact: Final = Redactor()
"""The process's own: secrets belong to the process, and so do its log and its story."""
