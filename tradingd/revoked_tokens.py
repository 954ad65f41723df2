"""Tokens that were given back before their time (logout): remembered until they would have expired anyway."""

import json
import os
import threading
from pathlib import Path
from typing import Final

REVOKED_FILE: Final = "revoked-tokens.json"
MOST: Final = 10_000


class RevokedTokens:
    """Ids of tokens, with the UTC second at which each expires; on disk beside the credentials."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()  # logouts run in threads
        self._expires_by_id = _read(path)

    def __contains__(self, token_id: object) -> bool:
        return token_id in self._expires_by_id

    def add(self, token_id: str, expires_s: float, now_s: float) -> None:
        """Void from now on, also after a restart; raises OSError when it cannot be written down: then until one."""
        with self._lock:
            kept = {known: until for known, until in self._expires_by_id.items() if until > now_s}
            kept[token_id] = expires_s
            if len(kept) > MOST:  # those that expire first are the least dangerous
                kept = dict(sorted(kept.items(), key=lambda item: item[1])[-MOST:])
            self._expires_by_id = kept
            temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.new")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(kept, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)


def _read(path: Path) -> dict[str, float]:
    """A missing or damaged file is an empty one: such tokens end by their own time."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {str(token_id): float(until) for token_id, until in data.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
