"""The practice exchange as a child process: started, watched, begun anew on its port, ended with us."""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_READY_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 5.0


class PracticeError(RuntimeError):
    """The practice exchange did not start; the text holds its own words."""


@dataclass(frozen=True, slots=True)
class PracticeUrls:
    """Where it listens."""

    rest_url: str
    ws_url: str
    ws_api_url: str


@dataclass(frozen=True, slots=True)
class PracticeOptions:
    """What it is started with; see `python -m exchanges.practice --help`."""

    data_dir: Path
    seed: int
    symbols: tuple[str, ...]
    port: int
    volatility: float
    replay: tuple[Path, ...]
    speed: float
    not_before_ns: int
    faults: str = ""
    shift_days: int | None = None
    fast_until_ns: int = 0


class PracticeChild:
    """`launch` it early, `start` returns its addresses; `on_death(reason)` is called when it ends by itself."""

    def __init__(self, options: PracticeOptions, on_death: Callable[[str], None]) -> None:
        self._options = options
        self._on_death = on_death
        self._process: asyncio.subprocess.Process | None = None
        self._urls: PracticeUrls | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def launch(self) -> None:
        """Start the process without waiting for it: it boots while the caller does other things."""
        self._process = await self._launch(self._options.port)

    async def start(self) -> PracticeUrls:
        """Wait until it listens, launched before or now; raises `PracticeError` with what it said."""
        if self._process is None:
            await self.launch()
        self._urls = await self._listening()
        self._watcher = asyncio.create_task(self._watch())
        return self._urls

    async def _launch(self, port: int) -> asyncio.subprocess.Process:
        options = self._options
        arguments = [
            "--data-dir", str(options.data_dir), "--seed", str(options.seed), "--port", str(port),
            "--symbols", ",".join(options.symbols), "--volatility", str(options.volatility),
            "--speed", str(options.speed), "--not-before-ns", str(options.not_before_ns), "--child",
        ]
        if options.shift_days is not None:
            arguments += ["--shift-days", str(options.shift_days), "--fast-until-ns", str(options.fast_until_ns)]
        if options.faults:
            arguments += ["--faults", options.faults]
        if options.replay:
            arguments += ["--replay", *(str(path) for path in options.replay)]
            index = arguments.index("--symbols")
            del arguments[index : index + 2]
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "exchanges.practice", *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def _listening(self) -> PracticeUrls:
        process = self._process
        assert process is not None  # noqa: S101 - launched by the caller
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _READY_TIMEOUT_S)
            data = json.loads(line)
            return PracticeUrls(data["rest_url"], data["ws_url"], data["ws_api_url"])
        except (TimeoutError, ValueError, KeyError, TypeError) as error:
            said = await self._end(process)
            raise PracticeError(
                said.decode(errors="replace").strip()[-2000:] or f"the practice exchange did not start ({error})"
            ) from error

    async def _watch(self) -> None:
        pause = 0.5
        while True:
            process = self._process
            if process is None:
                return
            assert process.stderr is not None  # noqa: S101 - it is a pipe
            errors = await process.stderr.read()
            code = await process.wait()
            said = errors.decode(errors="replace").strip().splitlines()
            self._on_death(f"the practice exchange ended with code {code}" + (f": {said[-1]}" if said else ""))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)
            if self._urls is not None:
                port = int(self._urls.rest_url.rsplit(":", 1)[1].split("/")[0])
                with suppress(PracticeError):
                    self._process = await self._launch(port)
                    await self._listening()

    async def _end(self, process: asyncio.subprocess.Process) -> bytes:
        if process.stdin is not None:
            process.stdin.close()
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        try:
            await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        return await process.stderr.read()

    async def stop(self) -> None:
        """End it in order (it saves its state), or by force after five seconds."""
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        if self._process is not None and self._process.returncode is None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._process = None
