"""One life of a worker process, seen from the daemon: started, written to, read from, killed. It never blocks."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

import tradingd
from tradingd.plugins.wire import FrameReader, plain_text

_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_PER_READ: Final = 1 << 18
_READS_AT_ONCE: Final = 4
_LAST_WORD: Final = 4_000
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_REAP_S: Final = 0.05
_DYING: Final[list["subprocess.Popen[bytes]"]] = []
_EVIDENCE: Final = "  File "


def worker_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a worker is told of ours: how to find Python and its files, and nothing secret. Sets have one order."""
    kept = {name: environ[name] for name in _KEPT if name in environ}
    root = str(Path(tradingd.__file__ or "").resolve().parents[1])
    return kept | dict.fromkeys(_ONE_THREAD, "1") | {
        "PYTHONPATH": root, "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",  # a file changed within the second it was compiled would be the old one
    }


def bury(wait_s: float = 0.0) -> None:
    """Take note of killed processes that are gone: nobody waits for one that is slow to free its memory."""
    for process in list(_DYING):
        with contextlib.suppress(subprocess.TimeoutExpired):
            if wait_s:
                process.wait(wait_s)
            if process.poll() is not None:
                _DYING.remove(process)


class WorkerProcess:
    """Ours to kill at any time. Raises `OSError` when it cannot be started."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.link = ours
        self._last_word: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `kill`
        self._out = bytearray()
        self._reader = FrameReader()
        self.is_over = False
        try:
            self._process = self._start(theirs)
        except OSError:
            ours.close()
            self._last_word.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)

    def _start(self, theirs: socket.socket) -> "subprocess.Popen[bytes]":
        given = (theirs.fileno(), self._last_word.fileno())
        return subprocess.Popen(  # noqa: S603 - our own module, in our own Python
            [sys.executable, "-P", "-m", "tradingd.plugins.worker", str(os.getpid()), *map(str, given)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=worker_environment(),
            pass_fds=given, start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def wants_to_write(self) -> bool:
        """Something waits until the worker reads on."""
        return bool(self._out) and not self.is_over

    def send(self, frame: bytes) -> None:
        """Now, or when `flush` is called after the link became writable."""
        self._out += frame
        self.flush()

    def flush(self) -> None:
        """Write what fits."""
        try:
            while self._out and not self.is_over:
                sent = self.link.send(self._out)
                del self._out[:sent]
        except BlockingIOError:
            return
        except OSError:
            self.is_over = True

    def receive(self) -> list[dict[str, Any]]:
        """The frames that are there, a bounded number of bytes; sets `is_over` at the end. Raises `WireError`."""
        frames: list[dict[str, Any]] = []
        for _ in range(_READS_AT_ONCE):
            try:
                data = self.link.recv(_PER_READ)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.is_over = True
                break
            frames += self._reader.feed(data)
        return frames

    @property
    def memory_bytes(self) -> int:
        """Resident, 0 when it cannot be said."""
        try:
            with open(f"/proc/{self._process.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * _PAGE
        except (OSError, ValueError, IndexError):
            return 0

    def kill(self) -> str:
        """End it and all it started, at once. Returns how it had ended before that, "" when it still lived."""
        told = self._how_it_ended()
        self.is_over = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.link.close()
        self._last_word.close()
        _DYING.append(self._process)
        bury()
        return told

    def _how_it_ended(self) -> str:
        if self.is_over:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_REAP_S)
        code = self._process.poll()
        if code is None:
            return "its process hung up" if self.is_over else ""
        if code >= 0:
            return f"its process ended with code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return f"its process died of {name}{self._evidence()}"

    def _evidence(self) -> str:
        """What faulthandler wrote: the innermost place in the user's code."""
        try:
            size = self._last_word.seek(0, os.SEEK_END)
            self._last_word.seek(max(0, size - _LAST_WORD))
            lines = self._last_word.read(_LAST_WORD).decode("utf-8", "replace").splitlines()
        except (OSError, ValueError):
            return ""
        places = [line.strip() for line in lines if line.startswith(_EVIDENCE)]
        return f" at {plain_text(places[0], 200)}" if places else ""
