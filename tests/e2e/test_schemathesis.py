"""The reference against the running daemon: schemathesis, as anybody would run it from the project's folder."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.process import ROOT, Process
from tradingd.auth import mint_token

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(320)]

BOUNDED = ("--max-examples", "5", "--seed", "11", "--no-shrink")
ENOUGH = 1_000
"""Requests of a whole run: fewer would mean that most of it was refused at the door."""


def test_every_check_of_every_phase_finds_nothing(tmp_path: Path) -> None:
    daemon = Process(tmp_path / "data").ready()
    try:
        url, token = daemon.client.url, mint_token(tmp_path / "data")
        assert replace(daemon.client, timeout_s=60).get("/openapi.json")["openapi"]
        told = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"), "--config-file", ROOT / "schemathesis.toml",
                "run", f"{url}/openapi.json", "-H", f"Authorization: Bearer {token}", "--checks", "all", "--no-color",
                *BOUNDED,
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False,
        )
        assert told.returncode == 0, told.stdout
        summary = told.stdout.partition(" SUMMARY ")[2]
        assert "Failures" not in summary
        assert "Authentication failed" not in told.stdout
        generated = next(line for line in summary.splitlines() if " generated, " in line)
        assert int(generated.split()[0]) > ENOUGH
        assert daemon.status()["pid"] == daemon.pid
    finally:
        daemon.stop()
