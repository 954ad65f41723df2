"""What systemd is told (sd_notify(3)): that we are up, that we are alive, that we end. Without systemd: nothing.

Up means: the state is restored and the control API answers (`api_return` has the exception); whether there is market
data is for /api/health to say, for a venue that is away is no reason to be restarted. The watchdog is fed from the
event loop, so a loop that hangs is not alive, and systemd begins the process anew.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

_LEAST_PAUSE_S: Final = 0.05
_MOST_TEXT: Final = 200


class ServiceNotify:
    """Speaks to NOTIFY_SOCKET; `watchdog_s` is how often systemd wants to hear from us, None = never."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        name = environ.get("NOTIFY_SOCKET", "")
        # "@name" is a socket without a file: its address begins with a zero byte
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self.watchdog_s = _watchdog_s(environ) if self._address else None
        self._last_status = ""

    def ready(self, text: str) -> None:
        """Type=notify: the unit counts as started."""
        self._send(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={_line(text)}")

    def waiting(self, text: str, within_s: float) -> None:
        """The start takes longer: systemd is to give it `within_s` more from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(within_s * 1e6)}\nSTATUS={_line(text)}")

    def stopping(self, text: str) -> None:
        """An orderly end has begun."""
        self._send(f"STOPPING=1\nSTATUS={_line(text)}")

    async def watch(self, status: Callable[[], str]) -> None:
        """Feed the watchdog at half its period, and tell `systemctl status` what `status` says when that changes."""
        if not self._address:
            return
        pause_s = max(_LEAST_PAUSE_S, self.watchdog_s / 2) if self.watchdog_s else 5.0
        while True:
            text = _line(status())
            told = "" if text == self._last_status else f"\nSTATUS={text}"
            self._last_status = text
            if self.watchdog_s:
                self._send(f"WATCHDOG=1{told}")
            elif told:
                self._send(told.strip())
            await asyncio.sleep(pause_s)

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.sendto(text.encode(), self._address)
        except OSError:
            return  # nobody listens any more: trading does not depend on it


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC, when it is meant for this process (WATCHDOG_PID)."""
    microseconds, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or int(microseconds) <= 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1e6


def _line(text: str) -> str:
    return " ".join(text.split())[:_MOST_TEXT]
