"""Environment variables that were meant for a setting and miss it: one underscore after TRADINGD where two are due."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel

PREFIX: Final = "TRADINGD__"
_SHORT: Final = "TRADINGD_"
_OTHERS: Final = frozenset({
    "TRADINGD_ALLOW_LIVE", "TRADINGD_CONFIG", "TRADINGD_MASTER_KEY", "TRADINGD_MASTER_KEY_FILE",
})
"""These are written with one."""
_LINK: Final = "tcp://"
"""Container engines set TRADINGD_API_PORT=tcp://... for a service of the name tradingd-api: nobody's setting."""


def meant_for(environ: Mapping[str, str], settings: type[BaseModel]) -> tuple[str, str] | None:
    """The first variable that names a setting but for an underscore, and how it is written; None for none.

    `settings` is the whole. One with two underscores further on was meant for a setting, whichever it names.
    """
    for name in sorted(environ):
        rest = name.removeprefix(_SHORT)
        if rest == name or name.startswith(PREFIX) or name in _OTHERS or environ[name].startswith(_LINK):
            continue
        written = rest if "__" in rest.strip("_") else _written(rest, settings)
        if written:
            return name, PREFIX + written
    return None


def _written(rest: str, settings: type[BaseModel]) -> str:
    """SECTION__KEY for SECTION_KEY, a key of no section as it is; "" for what is neither."""
    lowered = rest.lower()
    for name, field in settings.model_fields.items():
        kind = field.annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            if lowered == name != "source":  # which is ours to say
                return rest
        elif lowered.startswith(f"{name}_") and lowered[len(name) + 1 :] in kind.model_fields:
            return f"{rest[: len(name)]}__{rest[len(name) + 1 :]}"
    return ""
