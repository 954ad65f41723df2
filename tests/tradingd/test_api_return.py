"""A control API that cannot be opened ends a start over nothing, and never one over open positions."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.tradingd.small_daemon import SmallDaemon, settings_in
from tradingd.api_opening import ApiOpening, PortTakenError
from tradingd.api_return import ApiReturn
from tradingd.auth import Auth, CredentialsError
from tradingd.client import Client
from tradingd.data_dir import DataDir, read_run_info, whereabouts
from tradingd.metrics import Metrics
from tradingd.settings import ApiSettings

STAKE = "BTC/USDT, 1 order"


class Start:
    """The API's part of a start on `folder`; `told` is what was said of it."""

    def __init__(self, folder: Path, port: int) -> None:
        settings = settings_in(folder).model_copy(update={"api": ApiSettings(port=port)})
        control = SmallDaemon(settings)
        self.folder = folder
        self.told: list[str] = []
        self.data_dir = DataDir.open(folder)
        self.api = ApiOpening(settings, self.data_dir, control, Metrics(control))
        self.back = ApiReturn(self.api, self.data_dir, 1, self.told.append, retry_s=0)

    async def tries_on(self) -> None:
        """Until it listens."""
        async with asyncio.timeout(20):
            await self.back.run()

    async def answers(self) -> bool:
        info = read_run_info(self.folder)
        assert info is not None
        return await asyncio.to_thread(lambda: "status" in Client(info.url).get("/api/health"))


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other


@pytest.fixture
async def start(tmp_path: Path, taken: socket.socket) -> AsyncIterator[Start]:
    """One whose port another program has."""
    start = Start(tmp_path, taken.getsockname()[1])
    yield start
    await start.api.stop()
    start.data_dir.close()


async def test_with_nothing_open_a_taken_port_ends_the_start(start: Start) -> None:
    with pytest.raises(PortTakenError, match="taken by another program"):
        await start.back.open("")
    assert start.told == []


async def test_over_a_position_a_taken_port_is_told_and_tried_until_it_is_free(
    start: Start, taken: socket.socket
) -> None:
    assert not await start.back.open(STAKE)
    assert len(start.told) == 1
    assert "taken by another program" in start.told[0]
    assert "tries again to open its control API" in whereabouts(start.folder)
    trying = asyncio.create_task(start.tries_on())
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(start.told) == 1  # said once
    taken.close()
    await trying
    assert start.told[1:] == [""]
    assert await start.answers()


async def test_over_a_position_credentials_that_are_damaged_are_told_and_read_again_until_they_are_mended(
    tmp_path: Path
) -> None:
    Auth.open(tmp_path)
    credentials = tmp_path / "credentials.json"
    credentials.chmod(0o644)
    start = Start(tmp_path, 0)
    start.api.load_early()  # beside the practice exchange: no end either
    start.api.show_new_password()
    with pytest.raises(CredentialsError, match="chmod 600"):
        await start.back.open("")
    assert not await start.back.open(STAKE)
    assert "chmod 600" in start.told[0]
    trying = asyncio.create_task(start.tries_on())
    await asyncio.sleep(0)
    credentials.chmod(0o600)
    await trying
    assert start.told[1:] == [""]
    assert await start.answers()
    await start.api.stop()
    start.data_dir.close()


async def test_where_the_mended_credentials_are_new_ones_the_password_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Auth.open(tmp_path)
    credentials = tmp_path / "credentials.json"
    credentials.write_text("{}")
    start = Start(tmp_path, 0)
    assert not await start.back.open(STAKE)
    assert "Remove it" in start.told[0]
    assert "password" not in capsys.readouterr().err
    credentials.unlink()
    await start.tries_on()
    assert "password" in capsys.readouterr().err
    await start.api.stop()
    start.data_dir.close()


async def test_a_disk_with_no_room_for_the_announcement_is_no_end_and_the_port_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Start(tmp_path, 0)
    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        Auth.open(tmp_path)
        assert not await start.back.open(STAKE)
    assert "No space left on device" in start.told[0]
    await start.tries_on()
    assert start.told[1:] == [""]
    assert await start.answers()
    await start.api.stop()
    start.data_dir.close()


async def test_an_end_while_it_is_still_tried_is_harmless(start: Start) -> None:
    assert not await start.back.open(STAKE)
    trying = asyncio.create_task(start.back.run())
    await asyncio.sleep(0)
    trying.cancel()
    await asyncio.wait((trying,))
    await start.api.stop()
    assert read_run_info(start.folder) is None
