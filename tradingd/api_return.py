"""A control API that cannot be opened while something is at stake: protection goes on, and it is tried again and again.

Service managers do not start again what ended with a wrong setting or a taken port: a restart over open positions that
ended so would leave every stop and trail that the daemon holds asleep. The file KILL and Telegram steer meanwhile.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from tradingd.api_opening import ApiOpening, PortTakenError
from tradingd.auth import CredentialsError
from tradingd.data_dir import DataDir
from tradingd.redaction import redact

RETRY_S: Final = 5.0


class ApiReturn:
    """`open` once; where that gives False, `run` in a task. `on_trouble` hears why it is away, "" when it is there."""

    def __init__(
        self, api: ApiOpening, data_dir: DataDir, started_ns: int, on_trouble: Callable[[str], None], *,
        retry_s: float = RETRY_S,
    ) -> None:
        self._api = api
        self._data_dir = data_dir
        self._started_ns = started_ns
        self._on_trouble = on_trouble
        self._retry_s = retry_s
        self._told = ""

    async def open(self, stake: str) -> bool:
        """Does it listen? `stake`: what is open in the account; with "" whatever stands in its way is raised."""
        try:
            await self._api.serve(self._started_ns)
        except (PortTakenError, CredentialsError, OSError) as error:
            if not stake:
                raise
            self._tell(error)
            return False
        return True

    async def run(self) -> None:
        """Until it listens."""
        while True:
            await asyncio.sleep(self._retry_s)
            try:
                await self._api.serve(self._started_ns)
            except (PortTakenError, CredentialsError, OSError) as error:
                self._tell(error)
                continue
            self._api.show_new_password()  # where the mended file is a new one
            self._on_trouble("")
            return

    def _tell(self, error: Exception) -> None:
        why = redact(str(error)).rstrip(".")
        if why == self._told:
            return
        self._told = why
        self._on_trouble(why)
        self._data_dir.note_waiting(f"it watches over what is open, and tries again to open its control API: {why}")
