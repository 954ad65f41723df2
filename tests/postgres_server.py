"""A real PostgreSQL server on a free loopback port, for tests: from PATH or Debian's folder, never as root."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.redis_server import free_port


def postgres_binary(name: str) -> str:
    """Skips the test with a clear word when there is none."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no PostgreSQL here ({name} is not installed): nothing to test against")
    return found


def server_user() -> str | None:
    """Whom to run it as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    pytest.skip("this is root, PostgreSQL refuses root, and there is no other user")


class PostgresServer:
    """Start and stop it; data and port stay the same."""

    def __init__(self) -> None:
        self._pg_ctl = postgres_binary("pg_ctl")
        self._user = server_user()
        self._folder = Path(tempfile.mkdtemp(prefix="tradingd-pg-"))
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self.port = free_port()
        self.url = f"postgresql://tester@127.0.0.1:{self.port}/postgres"
        self._run(postgres_binary("initdb"), "-D", str(self._data), "-U", "tester", "-A", "trust", "-N", "--no-locale",
                  "-E", "UTF8")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command, user=self._user, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stdout.decode(errors='replace')[-2000:]}")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run(self._pg_ctl, "start", "-w", "-t", "30", "-D", str(self._data), "-o", options,
                  "-l", str(self._folder / "log"))

    def stop(self) -> None:
        """At once, whoever is connected."""
        self._run(self._pg_ctl, "stop", "-m", "immediate", "-w", "-D", str(self._data))

    def remove(self) -> None:
        """Stop it if it runs, and leave nothing behind."""
        subprocess.run(
            [self._pg_ctl, "stop", "-m", "immediate", "-D", str(self._data)], user=self._user, cwd="/",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )
        shutil.rmtree(self._folder, ignore_errors=True)
