"""Belongs to tests/tradingd/test_secrets.py: root sets a secret for a service of another user."""

import os
from pathlib import Path

import pytest

from tradingd.secrets import MasterKey, SecretEntry, seal


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_what_root_writes_belongs_to_whoever_owns_the_folder(tmp_path: Path) -> None:
    """As credentials.json does: else the next start of the service cannot read it and ends with code 3, after which
    systemd starts nothing again."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    path = folder / "secrets.json"
    seal(path, MasterKey(bytearray(b"k" * 32), "test"), {"bus.url": "x"}, (SecretEntry("bus.url", 1),))
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (65534, 0o600)
