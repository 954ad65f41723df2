"""Starting the real daemon in a fresh data folder and waiting for its first healthy answer."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

_READY_WITHIN_S = 120.0
_POLL_S = 0.01
_STOP_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class RunningDaemon:
    """Its process id, its API's address, the seconds from spawning to GET /api/health = 200, and its folder."""

    pid: int
    url: str
    seconds_to_ready: float
    data_dir: Path


@contextmanager
def running_daemon() -> Iterator[RunningDaemon]:
    """`python -m tradingd run` in paper mode on the practice market; ended on the way out.

    Raises RuntimeError with the end of its output when it does not become ready.
    """
    with TemporaryDirectory(prefix="tradingd-bench-") as folder:
        port = _free_port()
        output = Path(folder) / "output.txt"
        begin = time.perf_counter()
        with output.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "tradingd", "run", "--data-dir", str(Path(folder) / "data"),
                 "--port", str(port)],
                stdout=sink, stderr=subprocess.STDOUT,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, url, begin, output)
            yield RunningDaemon(process.pid, url, time.perf_counter() - begin, Path(folder) / "data")
        finally:
            process.terminate()
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def resident_megabytes(pid: int) -> float:
    """Resident memory of one process (Linux only), in units of 1,000,000 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"/proc/{pid}/status has no VmRSS")


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, begin: float, output: Path) -> None:
    while time.perf_counter() - begin < _READY_WITHIN_S:
        if process.poll() is not None:
            raise RuntimeError(f"the daemon ended with code {process.returncode}:\n{_tail(output)}")
        try:
            with urllib.request.urlopen(f"{url}/api/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(_POLL_S)
    raise RuntimeError(f"the daemon was not healthy within {_READY_WITHIN_S:.0f} s:\n{_tail(output)}")


def _tail(output: Path) -> str:
    return "\n".join(output.read_text(errors="replace").splitlines()[-15:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
