"""Which database a data directory's journal goes into, and under which name."""

from pathlib import Path
from typing import Final

AUTO: Final = "auto"
OFF: Final = "off"
FILE: Final = "trading.sqlite"
"""The default store: a file in the data directory."""


def store_url(setting: str, data_dir: Path) -> str:
    """The URL behind `store.url`, "" when there is to be no store."""
    if setting == OFF:
        return ""
    if setting != AUTO:
        return setting
    # In a URL a question mark ends the name of the file, which would then lie in another folder; % begins a code.
    name = str(data_dir / FILE).replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{name}"


def account_of(journal: Path) -> str:
    """Venue and mode, as the journal's name has them: "practice-paper"."""
    return journal.stem.removeprefix("journal-")
