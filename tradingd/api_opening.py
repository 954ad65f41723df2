"""The control API when the process starts: loaded beside something that waits, then served and announced."""

import asyncio
import contextlib
import importlib
import os
import sys
from typing import TYPE_CHECKING

from tradingd.auth import CREDENTIALS_FILE, Auth, CredentialsError, read_credentials
from tradingd.collection_pause import no_collection
from tradingd.control import Control
from tradingd.data_dir import DataDir, RunInfo
from tradingd.metrics import Metrics
from tradingd.redaction import redact
from tradingd.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from tradingd.api.server import ApiServer


class PortTakenError(Exception):
    """The control API cannot listen: somebody else does."""


class ApiOpening:
    """`load_early` or not, then `serve` until it has worked; afterwards `url` is where it listens. `stop` ends it."""

    def __init__(self, settings: Settings, data_dir: DataDir, control: Control, metrics: Metrics) -> None:
        self.url = ""
        self._settings = settings
        self._data_dir = data_dir
        self._control = control
        self._metrics = metrics
        self._auth: Auth | None = None
        self._app: FastAPI | None = None
        self._server: ApiServer | None = None

    def load_early(self) -> None:
        """The heaviest part to import: done while the practice exchange boots on another core, if there is one.

        Credentials that cannot be used are for `serve` to tell.
        """
        with contextlib.suppress(CredentialsError):
            self._load()

    async def serve(self, started_ns: int) -> None:
        """Listen, and tell the command line where. `started_ns`: of the process, UTC.

        Raises `PortTakenError`, `CredentialsError`, or OSError when it cannot be written down; it may be tried again.
        """
        if self._app is None:
            await self._load_aside()
        if self._server is None:
            self._server = await self._listen()
        self._data_dir.announce(RunInfo(os.getpid(), self._server.url, started_ns))
        self.url = self._server.url

    async def stop(self) -> None:
        """Finish open requests, for at most 2 s; harmless when nobody was ever served."""
        if self._server is not None:
            await self._server.stop()

    def show_new_password(self) -> None:
        """Of a first start, once."""
        if self._auth is not None:
            self._auth.show_new_password(sys.stderr)

    async def _load_aside(self) -> None:
        """Imported beside the event loop, which has positions to watch."""
        with no_collection():
            await asyncio.to_thread(importlib.import_module, "tradingd.api.app")
        self._load()

    def _load(self) -> None:
        self._auth = Auth.open(self._data_dir.path, self._settings.api.token_hours)
        redact.learn(read_credentials(self._data_dir.path / CREDENTIALS_FILE).secret)
        with no_collection():
            from tradingd.api.app import create_app

            self._app = create_app(self._control, self._auth)
        self._app.state.metrics = self._metrics

    async def _listen(self) -> "ApiServer":
        from tradingd.api.server import PortInUseError, serve_api

        assert self._app is not None  # noqa: S101 - it was loaded
        try:
            return await serve_api(self._app, self._settings.api.host, self._settings.api.port)
        except PortInUseError as error:
            self.show_new_password()  # it was made, and the next start will not know it
            raise PortTakenError(str(error)) from error
