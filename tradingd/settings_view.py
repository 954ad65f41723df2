"""The settings as they hold, for people: nothing in it opens anything."""

import re
from typing import Any, Final

from tradingd.redaction import Redactor
from tradingd.settings import Settings

HIDDEN: Final = "********"
_SECRET_NAME: Final = re.compile(r"(secret|token|password|passphrase|api_key|private|webhook|credential)", re.I)
_HARMLESS: Final = frozenset({"token_hours"})
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def settings_view(settings: Settings) -> dict[str, Any]:
    """Every key with its value; secrets, and what looks like one, are replaced by stars."""
    hide = Redactor()
    hide.learn_settings(settings)
    shown: dict[str, Any] = _shown(settings.model_dump(mode="json"), "", hide)
    return shown


def _shown(value: Any, name: str, hide: Redactor) -> Any:
    if isinstance(value, dict):
        return {key: _shown(inner, str(key), hide) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shown(inner, name, hide) for inner in value]
    if isinstance(value, str) and value and name not in _HARMLESS and _SECRET_NAME.search(name):
        return HIDDEN
    return hide(_CREDENTIALS.sub(HIDDEN, value)) if isinstance(value, str) and "://" in value else value
