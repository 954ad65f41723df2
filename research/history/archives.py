"""Binance's monthly archives: PAIR-TF-YYYY-MM.zip with a .CHECKSUM beside it, downloaded, checked, listed.

https://github.com/binance/binance-public-data: a month is published in the days after it ends; the checksum file holds
the SHA-256 and the name. A month that is bad or not there is told and never stops the others.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import aiohttp

from exchanges.backoff import Backoff
from research.history.symbol_names import archive_of, wire_symbol

BASE_URL: Final = "https://data.binance.vision/data/spot/monthly/klines"
CHECKSUM: Final = ".CHECKSUM"
_MOST_BYTES: Final = 512 * 1024 * 1024
_ATTEMPTS: Final = 4
_CHUNK: Final = 1 << 16
_SHA256: Final = re.compile(r"\A([0-9a-fA-F]{64})\b")

Outcome = Literal["downloaded", "present", "not published", "failed"]
Month = tuple[int, int]


class ArchiveError(RuntimeError):
    """A month that cannot be had or believed: the text says why."""


@dataclass(frozen=True, slots=True)
class Archive:
    """One file on disk. `is_verified` None: there is no checksum beside it."""

    pair: str
    interval: str
    year: int
    month: int
    size_bytes: int
    path: Path
    is_verified: bool | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one month; `path` is the checked file, None when there is none."""

    year: int
    month: int
    outcome: Outcome
    path: Path | None = None
    problem: str = ""


def archive_name(symbol: str, interval: str, month: Month) -> str:
    """BTCUSDT-1m-2024-01.zip"""
    return f"{wire_symbol(symbol)}-{interval}-{month[0]:04d}-{month[1]:02d}.zip"


def months(first: Month, last: Month) -> Iterator[Month]:
    """From the first to the last, both included."""
    year, month = first
    while (year, month) <= last:
        yield year, month
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def find_archives(folder: Path) -> list[Archive]:
    """The archives in a folder and below, by pair, interval and month."""
    found = []
    for path in folder.rglob("*.zip") if folder.is_dir() else ():
        told = archive_of(path.name)
        if told is not None:
            found.append(Archive(*told, path.stat().st_size, path, is_intact(path)))
    return sorted(found, key=lambda each: (each.pair, each.interval, each.year, each.month, str(each.path)))


def is_intact(path: Path) -> bool | None:
    """Does the file have the SHA-256 that its .CHECKSUM says? None when there is none to compare with."""
    try:
        told = path.with_name(path.name + CHECKSUM).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    match = _SHA256.match(told)
    return match is not None and _sha256(path) == match[1].lower()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_here(path: Path) -> bool:
    return path.exists() and is_intact(path) is True


def _throw_away(path: Path) -> None:
    path.unlink(missing_ok=True)


class ArchiveLine:
    """The downloader: `async with ArchiveLine(folder) as line: async for fetched in line.fetch(...)`."""

    def __init__(
        self, folder: Path, base_url: str = BASE_URL, *, jitter: Callable[[], float], first_pause_s: float = 1.0,
        timeout_s: float = 60.0,
    ) -> None:
        self._folder = folder
        self._base_url = base_url.rstrip("/")
        self._jitter = jitter
        self._first_pause_s = first_pause_s
        self._timeout = aiohttp.ClientTimeout(total=None, connect=10.0, sock_read=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, symbol: str, interval: str, first: Month, last: Month) -> AsyncIterator[Fetched]:
        """Month by month; one that fails is told and the next one follows."""
        for month in months(first, last):
            path = self._folder / archive_name(symbol, interval, month)
            try:
                outcome = await self._fetch(path, f"{self._base_url}/{wire_symbol(symbol)}/{interval}/{path.name}")
                yield Fetched(*month, outcome, path if outcome in ("downloaded", "present") else None)
            except (ArchiveError, OSError) as error:
                yield Fetched(*month, "failed", problem=str(error))

    async def _fetch(self, path: Path, url: str) -> Outcome:
        if _is_here(path):
            return "present"
        checksum = await self._get(url + CHECKSUM)
        if checksum is None:
            return "not published"
        match = _SHA256.match(checksum.decode("ascii", "replace"))
        if match is None:
            raise ArchiveError(f"{url}{CHECKSUM}: holds no SHA-256. Try again later, or another --base-url.")
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.part")
        digest = await self._download(url, temporary)
        if digest is None:
            return "not published"
        if digest != match[1].lower():
            _throw_away(temporary)
            raise ArchiveError(
                f"{url}: SHA-256 {digest[:12]}... is not {match[1][:12].lower()}... of its checksum: thrown away. "
                "Try again later, or another --base-url."
            )
        path.with_name(path.name + CHECKSUM).write_bytes(checksum)
        temporary.replace(path)
        return "downloaded"

    async def _get(self, url: str) -> bytes | None:
        parts: list[bytes] = []
        found = await self._read(url, parts.append, parts.clear, 4096)
        return b"".join(parts) if found else None

    async def _download(self, url: str, path: Path) -> str | None:
        """Into a file; its SHA-256, or None when there is no such month."""
        with path.open("wb") as file:
            def again() -> None:
                file.seek(0)
                file.truncate()

            if not await self._read(url, file.write, again, _MOST_BYTES):
                _throw_away(path)
                return None
        return _sha256(path)

    async def _read(
        self, url: str, take: Callable[[bytes], object], again: Callable[[], None], most_bytes: int
    ) -> bool:
        """Read a body, trying again on trouble; False for 404. Raises `ArchiveError`."""
        assert self._session is not None, "use it as a context"  # noqa: S101 - a programming error
        backoff, problem = Backoff(self._jitter, self._first_pause_s, 8 * self._first_pause_s), ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(backoff.next_s())
                again()
            try:
                async with self._session.get(url) as response:
                    if response.status == 404:
                        return False
                    if response.status == 200:
                        await _copy(response, take, most_bytes, url)
                        return True
                    problem = f"HTTP {response.status}"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                problem = str(error) or type(error).__name__
        raise ArchiveError(f"{url}: {problem} after {_ATTEMPTS} attempts. Check the network and --base-url.")


async def _copy(response: aiohttp.ClientResponse, take: Callable[[bytes], object], most_bytes: int, url: str) -> None:
    count = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        count += len(chunk)
        if count > most_bytes:
            raise ArchiveError(f"{url}: more than {most_bytes} bytes: not what was asked for.")
        take(chunk)
