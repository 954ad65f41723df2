"""One command of the laboratory as a child process: bounded in time, told of its progress, ended with us."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import orjson

PROGRESS: Final = "TRADELAB_PROGRESS"
"""Set to "json", `tradelab` writes lines {"done": 1, "total": 2} among its notes on stderr."""
MOST_OUTPUT: Final = 32 * 1024 * 1024
_MOST_LINE: Final = 64 * 1024
_TERM_S: Final = 2.0

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """`code` as `tradelab --help` lists them; `note` the last thing it said on stderr, without its name."""

    code: int
    out: bytes
    note: str


class OutOfTimeError(Exception):
    """It was ended because its time was over."""


async def tradelab(
    arguments: Sequence[str], *, within_s: float, on_progress: OnProgress | None = None, config: str = ""
) -> Ended:
    """Run `tradelab ARGUMENTS` to its end. Raises `OutOfTimeError`, and OSError when there is no process to be had.

    `config`: the settings file the daemon reads. Cancelling ends the process, too.
    """
    environment = dict(os.environ)  # the daemon has taken its secrets out of it
    if config:
        environment["TRADINGD_CONFIG"] = config
    if on_progress is not None:
        environment[PROGRESS] = "json"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tradingd.research_child", str(os.getpid()), *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True, env=environment, limit=_MOST_LINE,
    )
    assert process.stdout is not None  # noqa: S101 - both are pipes
    assert process.stderr is not None  # noqa: S101
    try:
        async with asyncio.timeout(within_s):
            out, note = await asyncio.gather(_read(process.stdout), _listen(process.stderr, on_progress))
            code = await process.wait()
    except TimeoutError as error:
        raise OutOfTimeError(f"it took longer than {within_s:g} s") from error
    finally:
        await _end(process)
    return Ended(code, out, note)


async def _read(pipe: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := await pipe.read(_MOST_LINE):
        size += len(part)
        if size <= MOST_OUTPUT:
            parts.append(part)
    return b"".join(parts)


async def _listen(pipe: asyncio.StreamReader, on_progress: OnProgress | None) -> str:
    note = ""
    while True:
        try:
            line = await pipe.readline()
        except ValueError:  # longer than the limit: no note of ours
            continue
        if not line:
            return note
        if on_progress is not None and line.startswith(b'{"done"'):
            with suppress(ValueError, KeyError, TypeError):
                told = orjson.loads(line)
                on_progress(int(told["done"]), int(told["total"]))
        elif line.strip():
            note = line.decode(errors="replace").strip().removeprefix("tradelab: ")[:500]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _TERM_S)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
