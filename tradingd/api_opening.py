"""The control API when the process starts: loaded beside something that waits, then served and announced."""

import asyncio
import importlib
import os
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from tradingd.auth import CREDENTIALS_FILE, Auth, read_credentials
from tradingd.collection_pause import no_collection
from tradingd.control import Control
from tradingd.data_dir import DataDir, RunInfo
from tradingd.metrics import Metrics
from tradingd.redaction import redact
from tradingd.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI


class PortTakenError(Exception):
    """The control API cannot listen: somebody else does."""


class ApiOpening:
    """`load` or `load_aside`, then `serve`; afterwards `url` is where it listens."""

    def __init__(self, settings: Settings, data_dir: DataDir, control: Control, metrics: Metrics) -> None:
        self.url = ""
        self._settings = settings
        self._data_dir = data_dir
        self._control = control
        self._metrics = metrics
        self._auth: Auth
        self._app: FastAPI | None = None

    @property
    def is_loaded(self) -> bool:
        return self._app is not None

    async def load_aside(self) -> None:
        """Imported beside the event loop, which has positions to watch."""
        with no_collection():
            await asyncio.to_thread(importlib.import_module, "tradingd.api.app")
        self.load()

    def load(self) -> None:
        """The heaviest part to import: done while the practice exchange boots on another core, if there is one."""
        self._auth = Auth.open(self._data_dir.path, self._settings.api.token_hours)
        redact.learn(read_credentials(self._data_dir.path / CREDENTIALS_FILE).secret)
        with no_collection():
            from tradingd.api.app import create_app

            self._app = create_app(self._control, self._auth)
        self._app.state.metrics = self._metrics

    async def serve(self, started_ns: int, stack: AsyncExitStack) -> None:
        """Listen, and tell the command line where; raises `PortTakenError`. `started_ns`: of the process, UTC."""
        from tradingd.api.server import PortInUseError, serve_api

        assert self._app is not None  # noqa: S101 - it was loaded
        api = self._settings.api
        try:
            server = await serve_api(self._app, api.host, api.port)
        except PortInUseError as error:
            self.show_new_password()  # it was made, and the next start will not know it
            raise PortTakenError(str(error)) from error
        stack.push_async_callback(server.stop)
        self.url = server.url
        self._data_dir.announce(RunInfo(os.getpid(), server.url, started_ns))

    def show_new_password(self) -> None:
        """Of a first start, once."""
        self._auth.show_new_password(sys.stderr)
