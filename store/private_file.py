"""New files of the data directory: for its owner alone, also where root makes them for a service of another user."""

import os
from pathlib import Path


def open_private(name: str, flags: int) -> int:
    """An opener for `open`: mode 0600; what root makes is for whoever owns the folder. No link is followed."""
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        give_to_owner(descriptor, os.path.dirname(name) or ".")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def make_private_folder(path: Path) -> None:
    """A new one, mode 0700, of the same owner as its parent."""
    path.mkdir(mode=0o700)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        give_to_owner(descriptor, str(path.parent))
    finally:
        os.close(descriptor)


def give_to_owner(descriptor: int, folder: str) -> None:
    """A service that finds a file of root's in its folder could not read its own journal."""
    owner = os.stat(folder)
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
