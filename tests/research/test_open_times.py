"""Times as tables write them."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.history.open_times import open_times, parse_time

NS = 1_714_521_600_000_000_000  # 2024-05-01
moments = st.integers(315_532_800, 4_070_908_800).map(
    lambda second: datetime.fromtimestamp(second, UTC).replace(tzinfo=None)
)


@pytest.mark.parametrize(
    "text",
    ["1714521600", "1714521600000", "1714521600000000", "1714521600000000000", "1714521600.0", "20240501", "2024-05-01",
     "2024-05-01 00:00", "2024-05-01T00:00:00Z", "2024-05-01T02:00:00+02:00", "2024-05-01 12-AM", "2024/05/01",
     "20240501 000000", "2024.05.01 00:00", "1.7145216e12"],
)
def test_one_moment_in_many_writings(text: str) -> None:
    assert parse_time(text) == NS
    times, is_bad = open_times(pa.array([text, text]))
    assert (times.tolist(), is_bad.any()) == ([NS, NS], False)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "05/01/2024", "-1714521600", "2024-13-01", "1e400", "nan", "0", "20241301", "20230229",
     "20240101120000"],
)
def test_what_is_no_time_is_marked(text: str) -> None:
    assert parse_time(text) is None
    times, is_bad = open_times(pa.array([text, "2024-05-01"]))
    assert (times.tolist(), is_bad.tolist()) == ([-1, NS], [True, False])


@settings(deadline=None)
@given(st.lists(moments, min_size=1, max_size=20))
def test_iso_texts_numbers_and_timestamps_agree(made: list[datetime]) -> None:
    expected = [int(each.replace(tzinfo=UTC).timestamp()) * 10**9 for each in made]
    columns = [
        pa.array([each.isoformat() for each in made]), pa.array([each.isoformat(" ") + "+00:00" for each in made]),
        pa.array(made, pa.timestamp("us")),
        pa.array([each.replace(tzinfo=UTC) for each in made], pa.timestamp("ms", "UTC")),
        pa.array([ns // 10**6 for ns in expected]), pa.array([float(ns // 10**6) for ns in expected]),
        pa.array(np.array(expected)),
    ]
    for column in columns:
        assert open_times(column)[0].tolist() == expected


def test_a_timestamp_of_another_zone_is_the_same_moment() -> None:
    tokyo = pa.array([NS // 10**6], pa.timestamp("ms", "Asia/Tokyo"))
    assert open_times(tokyo)[0].tolist() == [NS]


def test_an_epoch_stays_one_beside_what_is_no_time() -> None:
    """Python reads 1610010120000 as 01:20 on the twelfth of some month of 1610."""
    epochs = [1_610_010_000_000 + minute * 60_000 for minute in range(30)]
    times, is_bad = open_times(pa.array([*map(str, epochs), "soon"]))
    assert times.tolist() == [*(each * 10**6 for each in epochs), -1]
    assert is_bad.sum() == 1


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("ms", "UTC"), pa.timestamp("us"), pa.date32()])
def test_a_moment_beyond_nanoseconds_is_no_time_and_the_others_stay(kind: pa.DataType) -> None:
    column = pa.array(["9999-12-31", None, "2024-05-01", "0001-01-01"]).cast(pa.timestamp("us"))
    times, is_bad = open_times(column.cast(kind))
    assert (times.tolist(), is_bad.tolist()) == ([-1, -1, NS, -1], [True, True, False, True])


@pytest.mark.parametrize("number", [20241301, 20_000_000_000, 20240101120000, 2**63 + 5])
def test_a_number_of_no_known_time_is_marked(number: int) -> None:
    assert open_times(pa.array([number], pa.uint64()))[1].tolist() == [True]


@pytest.mark.parametrize("text", ["2024", "202405", "1"])
def test_a_year_is_no_second_of_1970(text: str) -> None:
    assert parse_time(text) is None
