"""What alphas asked us to keep for them: one small JSON file each, written as a whole or not at all."""

import logging
import os
from pathlib import Path
from typing import Final

import orjson

from tradingd.plugins.host import SavedState
from tradingd.plugins.wire import MOST_STATE_BYTES

FOLDER: Final = "alpha_state"
_log = logging.getLogger(__name__)


class AlphaStates:
    """DATA_DIR/alpha_state/STEM.json, by the name of the alpha's file or entry point."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER

    def read(self, stem: str) -> SavedState | None:
        """None when there is none, or none that can be read: the alpha then begins afresh."""
        path = self._folder / f"{stem}.json"
        try:
            if path.stat().st_size > 2 * MOST_STATE_BYTES:
                raise ValueError("it is too large")
            data = orjson.loads(path.read_bytes())
            return SavedState(str(data["version"]), data["state"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s: cannot be read (%s); the alpha begins afresh", path, error)
            return None

    def write(self, stem: str, saved: SavedState) -> None:
        """A full disk costs the state, not the daemon."""
        path = self._folder / f"{stem}.json"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            new = path.with_suffix(".new")
            new.write_bytes(orjson.dumps({"version": saved.version, "state": saved.state}))
            os.replace(new, path)
        except (OSError, TypeError) as error:
            _log.warning("%s: cannot be written (%s)", path, error)
