"""What is wrong with settings, in words: the place, the reason and the remedy."""

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tradingd.settings_sources import Keys, Sources


class ConfigError(Exception):
    """A setting is missing, unknown, malformed or unsafe. The text says where and what to do."""


def explain(error: ValidationError, settings: type[BaseModel], sources: Sources) -> str:
    """One line per wrong setting: where it was said, what is wrong, what may be written. `settings` is the whole."""
    lines = []
    for problem in error.errors():
        keys = tuple(str(part) for part in problem["loc"])
        where = sources.where(*keys)
        given = problem.get("input")
        if problem["type"] == "extra_forbidden":
            near = _near(settings, keys)
            lines.append(f"{where}: unknown key. {near}Remove it or mend its spelling (config.toml lists every key).")
        else:
            # May be a mistyped secret, or an address that holds one.
            is_address = keys in (("bus",), ("store",)) or any(key.endswith("url") for key in keys[-1:])
            is_private = is_address or keys[:1] in (("alerts",), ("venues",))
            shown = "" if isinstance(given, dict) or is_private else f" (got {str(given)[:60]!r})"
            reason = problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "string_pattern_mismatch" and (allowed := _allowed(settings, keys)):
                reason = f"write {allowed}"
            lines.append(f"{where}: {reason[:1].lower() + reason[1:]}{shown}.")
    return "\n".join(lines)


def _near(settings: type[BaseModel], keys: Keys) -> str:
    """Is it "max_positions"? Or nothing."""
    known = [name for name in _fields_beside(settings, keys) if name != "source"]
    found = difflib.get_close_matches(keys[-1], known, 1)
    return f"Is it {found[0]!r}? " if found else ""


def _allowed(settings: type[BaseModel], keys: Keys) -> str:
    """What may be written there, in words instead of a pattern; or nothing."""
    field = _fields_beside(settings, keys).get(keys[-1]) if keys else None
    return (field.description or "") if field is not None else ""


def _fields_beside(settings: type[BaseModel], keys: Keys) -> dict[str, FieldInfo]:
    """The fields of the section that holds a key; none where that is no section of ours."""
    kind: Any = settings
    for key in keys[:-1]:
        held = kind.model_fields.get(key)
        kind = held.annotation if held is not None else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return {}
    return dict(kind.model_fields)
