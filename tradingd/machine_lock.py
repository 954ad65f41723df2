"""One account, one daemon on this machine: a name in the kernel that all its users share, and a file that tells who.

The file alone would not do: a service has a /tmp of its own (PrivateTmp), each user another folder, and what lies in
/tmp is cleaned away one day. The name is a Unix socket without a file (unix(7), abstract): it belongs to the network
namespace, so to the machine or the container, and goes with the process however that ends. Only Linux has such names.
There a disk too full for the file keeps nobody from an account over which something may be open.
"""

import contextlib
import errno
import fcntl
import logging
import os
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import Final

from tradingd.lease import AccountTakenError

_PEER: Final = struct.Struct("3i")
"""struct ucred of the kernel: process, user, group."""
_log = logging.getLogger(__name__)


def hold_on_this_machine(account: str, holder: str, folder: Path | None = None) -> contextlib.ExitStack:
    """Lock the account until the answer is closed, or this process ends. Raises `AccountTakenError`.

    `account`: as `account_key` names it; `holder`: what another one is told; `folder`: of the file.
    """
    with contextlib.ExitStack() as held:
        no_file = _try_to_hold_file(account, holder, folder, held)
        is_named = sys.platform == "linux" and _hold_name(f"\0tradingd-account-{account}", held)
        if no_file is not None:
            if not is_named:
                raise no_file
            _log.warning("without a lock file for the account, only its name in the kernel is held: %s", no_file)
        return held.pop_all()


def _try_to_hold_file(
    account: str, holder: str, folder: Path | None, held: contextlib.ExitStack
) -> OSError | None:
    """Why there is no room for it, None when it is held. Raises `AccountTakenError`, and any other OSError."""
    try:
        folder = folder or Path(tempfile.gettempdir()) / f"tradingd-{os.getuid()}"
    except FileNotFoundError as error:  # a trial in each place that serves has failed
        return error
    try:
        _hold_file(account, holder, folder, held)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return error
        raise
    return None


def _hold_file(account: str, holder: str, folder: Path, held: contextlib.ExitStack) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        told = f"{folder} is no folder, and the account's lock belongs into one: remove it, or set TMPDIR to another."
        raise AccountTakenError(told) from error
    if folder.stat().st_uid != os.getuid():
        raise AccountTakenError(f"{folder} belongs to another user: remove it, or set TMPDIR to a folder of your own.")
    descriptor = os.open(folder / f"{account}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    held.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise AccountTakenError.by(os.pread(descriptor, 200, 0).decode(errors="replace").strip()) from error
    with contextlib.suppress(OSError):  # it is locked, whether or not there is room to say by whom
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)


def _hold_name(name: str, held: contextlib.ExitStack) -> bool:
    """False where the kernel has no such names after all."""
    line = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        line.bind(name)
        line.listen(1_000)  # so that others may ask whose it is: nobody is ever answered, and all stay in the queue
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AccountTakenError.by(_holder_of(name)) from error
        _log.warning("only the lock file in TMPDIR keeps another daemon of this machine from the account: %s", error)
        return False
    return True


def _holder_of(name: str) -> str:
    """Its process and user, as the kernel knows them; "" when it does not tell."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.setblocking(False)
        line.connect(name)
        pid, user, _ = _PEER.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        return f"pid {pid} of user {user}" if pid else f"of user {user}, in another container"
    return ""
