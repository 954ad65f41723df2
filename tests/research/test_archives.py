"""Monthly archives from a server on this machine: checked, resumed, and one bad month never stops the rest."""

import os
from pathlib import Path

import pytest

from research.history.archives import ArchiveLine, Fetched, archive_name, find_archives, is_intact, months
from research.history.importing import ImportOptions, import_file
from store.candles import CandleStore
from tests.research.loopback_venue import BEGIN_MS, LoopbackVenue, archive

BTC = "BTC/USDT"


def month_files(venue: LoopbackVenue, month: int) -> str:
    name = archive_name(BTC, "1m", (2024, month))
    rows = [f"{BEGIN_MS + at * 60_000},1,2,1,2,5,0,0,1,0,0,0" for at in range(3)]
    venue.files[name], venue.files[f"{name}.CHECKSUM"] = archive(name, rows)
    return name


async def fetch(venue: LoopbackVenue, folder: Path, first: int, last: int) -> list[Fetched]:
    async with ArchiveLine(folder, venue.url, jitter=lambda: 0.5, first_pause_s=0.001) as line:
        return [each async for each in line.fetch(BTC, "1m", (2024, first), (2024, last))]


def test_months_go_over_the_end_of_the_year() -> None:
    assert list(months((2023, 11), (2024, 2))) == [(2023, 11), (2023, 12), (2024, 1), (2024, 2)]
    assert list(months((2024, 2), (2024, 1))) == []


async def test_a_month_is_downloaded_checked_and_imported(tmp_path: Path) -> None:
    async with LoopbackVenue().running() as venue:
        name = month_files(venue, 5)
        fetched = await fetch(venue, tmp_path, 5, 5)
        assert fetched == [Fetched(2024, 5, "downloaded", tmp_path / name)]
        assert venue.paths == [f"/BTCUSDT/1m/{name}.CHECKSUM", f"/BTCUSDT/1m/{name}"]
    assert is_intact(tmp_path / name) is True
    report = import_file(CandleStore(tmp_path / "history"), tmp_path / name, ImportOptions())
    assert (report.symbols, report.interval, report.written.added) == ((BTC,), "1m", 3)


async def test_a_month_that_is_here_is_not_asked_for_again_unless_it_is_damaged(tmp_path: Path) -> None:
    async with LoopbackVenue().running() as venue:
        name = month_files(venue, 5)
        await fetch(venue, tmp_path, 5, 5)
        venue.paths.clear()
        assert [each.outcome for each in await fetch(venue, tmp_path, 5, 5)] == ["present"]
        assert venue.paths == []
        (tmp_path / name).write_bytes(b"half a file")
        assert [each.outcome for each in await fetch(venue, tmp_path, 5, 5)] == ["downloaded"]
        assert is_intact(tmp_path / name) is True


async def test_a_bad_month_is_thrown_away_and_the_others_go_on(tmp_path: Path) -> None:
    async with LoopbackVenue().running() as venue:
        for month in (3, 4, 6):
            month_files(venue, month)
        venue.files[archive_name(BTC, "1m", (2024, 4))] += b"damage"
        venue.files[archive_name(BTC, "1m", (2024, 6)) + ".CHECKSUM"] = b"no checksum"
        fetched = await fetch(venue, tmp_path, 3, 7)
    assert [each.outcome for each in fetched] == ["downloaded", "failed", "not published", "failed", "not published"]
    assert "is not" in fetched[1].problem
    assert "holds no SHA-256" in fetched[3].problem
    assert sorted(os.listdir(tmp_path)) == [
        archive_name(BTC, "1m", (2024, 3)), archive_name(BTC, "1m", (2024, 3)) + ".CHECKSUM"
    ]


async def test_a_server_in_trouble_is_asked_again(tmp_path: Path) -> None:
    async with LoopbackVenue().running() as venue:
        name = month_files(venue, 5)
        venue.failures = {name: [500, 503], f"{name}.CHECKSUM": [502]}
        assert [each.outcome for each in await fetch(venue, tmp_path, 5, 5)] == ["downloaded"]
        venue.failures = {f"{archive_name(BTC, '1m', (2024, 6))}.CHECKSUM": [500] * 9}
        failed = (await fetch(venue, tmp_path, 6, 6))[0]
    assert failed.outcome == "failed"
    assert "HTTP 500 after 4 attempts" in failed.problem


async def test_nobody_there_is_told_for_each_month(tmp_path: Path) -> None:
    async with LoopbackVenue().running() as venue:
        pass
    fetched = await fetch(venue, tmp_path, 5, 6)
    assert [each.outcome for each in fetched] == ["failed", "failed"]
    assert "Check the network" in fetched[0].problem


async def test_the_listing_names_pair_timeframe_month_size_path_and_checksum(tmp_path: Path) -> None:
    async with LoopbackVenue().running() as venue:
        month_files(venue, 5)
        await fetch(venue, tmp_path, 5, 5)
    alone = tmp_path / "sub" / "ETHBTC-1h-2023-12.zip"
    alone.parent.mkdir()
    alone.write_bytes(b"12345")
    (tmp_path / "BTCUSDT-1m-2024-05-01.zip").write_bytes(b"a day's")
    btc, eth = find_archives(tmp_path)
    assert (btc.pair, btc.interval, btc.year, btc.month, btc.is_verified) == ("BTCUSDT", "1m", 2024, 5, True)
    assert (eth.pair, eth.interval, eth.year, eth.month, eth.size_bytes) == ("ETHBTC", "1h", 2023, 12, 5)
    assert (eth.path, eth.is_verified) == (alone, None)


@pytest.mark.parametrize("text", [b"", b"00", b"x" * 64])
def test_a_checksum_that_is_none_proves_nothing(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(b"data")
    (tmp_path / "a.zip.CHECKSUM").write_bytes(text)
    assert is_intact(tmp_path / "a.zip") is False
