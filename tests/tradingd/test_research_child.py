"""The process that becomes the laboratory: ours, wherever the daemon was started."""

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.process import ROOT


def test_a_folder_of_the_users_that_is_called_research_is_not_the_laboratory(tmp_path: Path) -> None:
    (tmp_path / "research").mkdir()
    (tmp_path / "research" / "__init__.py").write_text("")
    ended = subprocess.run(
        [sys.executable, "-m", "tradingd.research_child", str(os.getpid()), "strategies", "sma_cross"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "sma_cross" in ended.stdout
