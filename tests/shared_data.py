"""Where recorded market data lies, when it is there."""

import os
from pathlib import Path

import pytest


def shared_root() -> Path:
    """`TRADINGD_SHARED_DATA`, else `../shared/data` beside the checkout (or beside the clone's parent)."""
    named = os.environ.get("TRADINGD_SHARED_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_file(name: str) -> Path:
    """The recorded file, or skip: the recordings are not part of the project."""
    path = shared_root() / name
    if not path.exists():
        pytest.skip(f"recorded data absent: {name} (set TRADINGD_SHARED_DATA to the folder that holds it)")
    return path
