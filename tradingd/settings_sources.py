"""Where each setting was said: a flag, an environment variable, or a line of the file. For messages only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

Keys = tuple[str, ...]
"""The path of a setting: ("risk", "max_positions")."""

FLAGS: Final[Mapping[Keys, str]] = {
    ("data_dir",): "--data-dir", ("venue",): "--venue", ("symbols",): "--symbols", ("seed",): "--seed",
    ("api", "port"): "--port", ("practice", "faults"): "--faults", ("log", "format"): "--log",
}
"""Which option of the command line sets what."""

_SECTION: Final = re.compile(r"\s*\[\s*([A-Za-z0-9_.\"'-]+)\s*\]")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")


@dataclass(frozen=True, slots=True)
class Sources:
    """`variables`: which environment variable said a key; `flagged`: the keys that the command line said."""

    file: str
    lines: Mapping[Keys, int] = field(default_factory=dict)
    variables: Mapping[Keys, str] = field(default_factory=dict)
    flagged: frozenset[Keys] = frozenset()

    def where(self, *keys: str) -> str:
        """The last one that said it, as a message begins: `config.toml, line 12: api.port`."""
        name = ".".join(keys)
        for end in range(len(keys), 0, -1):
            part = keys[:end]
            if part in self.flagged:
                flag = FLAGS.get(part, "")
                return flag if flag.lstrip("-").replace("-", "_") == name else f"{flag or 'command line'} ({name})"
            if part in self.variables:
                return f"environment variable {self.variables[part]}" + (f" ({name})" if end < len(keys) else "")
        within = next((said for said in self.variables if said[:len(keys)] == keys), None)
        if within is not None and keys not in self.lines:  # a section that only the environment named
            return f"environment variable {self.variables[within]} ({name})"
        line = next((self.lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in self.lines), 0)
        return f"{self.file}, line {line}: {name}" if line else f"{self.file}: {name}"


def sources_of(
    path: Path, text: str, variables: Mapping[Keys, str], overrides: Mapping[str, Any] | None,
) -> Sources:
    """`text` is the file's; `overrides` are what the command line said, as nested tables."""
    return Sources(str(path), key_lines(text), dict(variables), frozenset(_leaves(overrides or {})))


def key_lines(text: str) -> dict[Keys, int]:
    """The line of each key and section of a TOML text, counted from 1; of a table within a line that line."""
    found: dict[Keys, int] = {}
    section: Keys = ()
    for number, line in enumerate(text.splitlines(), 1):
        if heading := _SECTION.match(line):
            section = _parts(heading[1])
            found.setdefault(section, number)
        elif key := _KEY.match(line):
            found.setdefault((*section, *_parts(key[1])), number)
    return found


def _parts(dotted: str) -> Keys:
    return tuple(part.strip("\"'") for part in dotted.split("."))


def _leaves(table: Mapping[str, Any], before: Keys = ()) -> list[Keys]:
    found: list[Keys] = []
    for key, value in table.items():
        found += _leaves(value, (*before, key)) if isinstance(value, Mapping) else [(*before, key)]
    return found
