"""One account, one daemon: the lease of an account in PostgreSQL or Redis, where one is configured.

The lock of the data directory keeps two daemons from one journal; this keeps two machines from one account at a venue
(`machine_lock` two data directories of one). A daemon that cannot reach the lease's server goes on protecting what it
holds and opens nothing new; one that finds its account in other hands stops at once.
"""

import asyncio
import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from tradingd.elapsed import elapsed_s

TTL_S: Final = 30.0
"""A daemon that is not heard of for so long has lost the account."""

RENEW_S: Final = 10.0
ALONE_AFTER_RENEWALS: Final = 2
"""A server that was begun anew, or whose clock leapt, may give us what another daemon still counts on: by then that one
has been told, or is in doubt, and opens nothing new."""

PATIENCE_S: Final = TTL_S + 5.0
"""A restart waits so long for the lease of a holder that may be gone."""

_ASK_AGAIN_S: Final = 1.0
_NOT_RENEWED: Final = "the account's lease was not renewed in time (its server does not answer): no entries until it is"
_NOT_ALONE_YET: Final = (
    "the account's lease was taken just now: no entries until any other daemon that may have held it has noticed"
)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_BOOT_CHARACTERS: Final = 13
_OF_THE_MACHINE: Final = "4026531836"
"""The kernel's number of the first namespace of processes."""


class AccountTakenError(RuntimeError):
    """Another daemon trades this account; the text says which and what to do."""

    @classmethod
    def by(cls, who: str) -> "AccountTakenError":
        """`who` holds it; "" when that is not known."""
        who = who or "unknown"
        return cls(f"another daemon trades this account ({who}). Stop it first: two would undo each other's orders.")


class Lease(Protocol):
    """A place where one holder at a time can be written down."""

    async def take(self, holder: str, ttl_s: float) -> tuple[int, str]:
        """(number, holder): 0 = somebody else's. Numbers grow with each new holder. Raises `OSError` when away."""
        ...

    async def give_back(self, holder: str) -> None:
        """Raises `OSError` when away."""
        ...

    async def close(self) -> None: ...


def account_key(venue: str, rest_url: str, api_key: str) -> str:
    """A name for the account that does not tell its key."""
    return hashlib.sha256(f"{venue}|{rest_url}|{api_key}".encode()).hexdigest()[:24]


def holder_name(session: str) -> str:
    """This daemon, for the words of the one that is refused."""
    return f"{_place()} pid {os.getpid()} session {session}"


def is_dead_here(holder: str) -> bool:
    """Was it a process of this machine (of this container), and does it live no more? False when that is not known."""
    place, _, rest = holder.partition(" pid ")
    number = rest.partition(" ")[0]
    if "/" not in place or place != _place() or not number.isdecimal():
        return False
    if int(number) == os.getpid():
        return True  # the number has come round to us: it was somebody before us
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _place() -> str:
    """Where a process id means something: host, this run of its kernel, and in a container the namespace of processes.

    The name of a host alone says little: half of all machines are called localhost or debian.
    """
    host = socket.gethostname()
    try:
        boot = _BOOT_ID.read_text().strip()[:_BOOT_CHARACTERS]
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return host
    return f"{host}/{boot}" if namespace == _OF_THE_MACHINE else f"{host}/{boot}/{namespace}"


async def _sleep(seconds: float) -> None:
    """As `asyncio.sleep`, but a machine that slept meanwhile does not sleep the rest of it, too."""
    due = elapsed_s() + seconds
    while True:
        left = due - elapsed_s()
        await asyncio.sleep(min(max(left, 0.0), _ASK_AGAIN_S))
        if left <= _ASK_AGAIN_S:
            return


class LeaseKeeper:
    """Takes the lease, keeps it, says when it is in doubt, and stops the process when it is lost.

    `on_doubt(text)` while the server is away or the lease is not yet ours, "" when all is well again; `on_lost(error)`
    when somebody else holds it.
    """

    def __init__(
        self, lease: Lease, holder: str, on_doubt: Callable[[str], None], on_lost: Callable[[BaseException], None],
        renew_s: float = RENEW_S,
    ) -> None:
        self._lease = lease
        self._holder = holder
        self._on_doubt = on_doubt
        self._on_lost = on_lost
        self._renew_s = renew_s
        self._known_until = 0.0
        self._alone_at = 0.0
        self._patience_s = 0.0
        self._refused_since = 0.0
        self._keeping: asyncio.Task[None] | None = None
        self._doubting: asyncio.TimerHandle | None = None
        self.token = 0

    async def begin(self, *, patience_s: float = 0.0) -> None:
        """Before anything is sent: raises `AccountTakenError`; a server that is away is a doubt, not an end.

        What a kill -9 left on this machine is taken over at once. A holder elsewhere may have died as well: it is
        asked again for `patience_s`, and its lease ends by itself when nobody renews it. Whoever never held the lease
        (the server was away) goes by the same rules when the server is back.
        """
        self._patience_s = patience_s
        await self._until_settled()

    def keep(self) -> None:
        """From now until `end`, beside everything else: a start may take longer than the lease lasts."""
        self._keeping = asyncio.create_task(self.run(), name="account lease")
        self._keeping.add_done_callback(self._on_done)

    async def run(self) -> None:
        """Keep it until cancelled."""
        pause_s = self._renew_s
        while True:
            await _sleep(pause_s)
            try:
                is_settled = await self._take_or_wait()
            except AccountTakenError as error:
                self._on_lost(error)
                return
            pause_s = self._renew_s if is_settled else min(self._renew_s, _ASK_AGAIN_S)

    async def verify(self) -> None:
        """After what kept the process from renewing it, and before an order leaves: raises `AccountTakenError`."""
        if elapsed_s() < self._known_until - TTL_S + self._renew_s:
            return  # it was renewed just now
        await self._until_settled()

    async def _until_settled(self) -> None:
        while not await self._take_or_wait():  # noqa: ASYNC110 - a server is asked, nobody here could set an event
            await asyncio.sleep(_ASK_AGAIN_S)

    async def _take_or_wait(self) -> bool:
        """False when another one's lease may end by itself; raises `AccountTakenError` when that took too long.

        Only while we never had it: a lease that passed from us to another is lost at once.
        """
        try:
            await self._take()
        except AccountTakenError as error:
            now = elapsed_s()
            self._refused_since = self._refused_since or now
            if self.token or now - self._refused_since >= self._patience_s:
                raise
            self._on_doubt(f"the account's lease is not ours yet: no entries until it is ({error})")
            return False
        self._refused_since = 0.0
        return True

    async def _take(self) -> None:
        asked = elapsed_s()
        alone_at = self._alone_at if self.token else asked + ALONE_AFTER_RENEWALS * self._renew_s
        try:
            token, who = await self._lease.take(self._holder, TTL_S)
            if not token and not self.token and is_dead_here(who):
                alone_at = asked
                await self._lease.give_back(who)
                token, who = await self._lease.take(self._holder, TTL_S)
        except OSError as error:
            if asked >= self._known_until - self._renew_s:
                self._on_doubt(f"the account's lease cannot be renewed ({error}): no entries until it is")
            return
        if not token or (self.token and token > self.token):
            # A higher number than ours: somebody held the account meanwhile, and may have traded it. (A lower one is
            # that of a server that has forgotten all it knew.)
            raise AccountTakenError.by(who)
        self.token = token
        self._known_until = asked + TTL_S
        self._alone_at = alone_at
        self._doubt_later(self._known_until - self._renew_s - elapsed_s())
        self._on_doubt("" if asked >= alone_at else _NOT_ALONE_YET)

    def _doubt_later(self, seconds: float) -> None:
        """Unless it is renewed before: whoever is asked meanwhile may be long in saying that he is away."""
        if self._doubting is not None:
            self._doubting.cancel()
        self._doubting = asyncio.get_running_loop().call_later(max(0.0, seconds), self._on_doubt, _NOT_RENEWED)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_lost(error)

    async def end(self) -> None:
        """Let somebody else have it at once; when the server is away, after `TTL_S`."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait((self._keeping,))
        if self._doubting is not None:
            self._doubting.cancel()
        try:
            if self.token:
                await self._lease.give_back(self._holder)
        except OSError:
            return
        finally:
            await self._lease.close()
