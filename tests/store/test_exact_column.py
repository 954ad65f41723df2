"""Decimal columns: what goes in comes out, and the float64 are those of the texts."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.exact_column import ExactColumn, ExactColumnError

money = st.decimals(min_value=0, max_value=10**9, places=8, allow_nan=False, allow_infinity=False)
short_floats = st.integers(0, 10**12).map(lambda number: number / 10**4)


def texts(*values: str) -> pa.Array:
    return pa.array(values, pa.string())


@settings(deadline=None)
@given(st.lists(money, min_size=1, max_size=30))
def test_decimals_come_back_as_they_went_in(numbers: list[Decimal]) -> None:
    column = ExactColumn.of_decimals(numbers)
    assert list(column.decimals()) == numbers
    assert list(ExactColumn.of_arrow(column.to_arrow()).decimals()) == numbers


@settings(deadline=None)
@given(st.lists(st.decimals(0, 10**6, places=6), min_size=1, max_size=30))
def test_the_floats_are_those_that_parsing_the_text_gives(numbers: list[Decimal]) -> None:
    assert ExactColumn.of_decimals(numbers).floats().tolist() == [float(number) for number in numbers]


@settings(deadline=None)
@given(st.lists(short_floats | st.floats(0, 1e300), min_size=1, max_size=30))
def test_floats_come_back_bit_for_bit_and_their_decimals_are_their_shortest_texts(numbers: list[float]) -> None:
    column = ExactColumn.of_floats(np.array(numbers))
    assert column.floats().tolist() == numbers
    assert list(column.decimals()) == [Decimal(repr(number)) for number in numbers]


@settings(deadline=None)
@given(st.lists(money, max_size=20), st.lists(money, min_size=1, max_size=20), st.integers(0, 8))
def test_columns_of_different_digits_are_joined_exactly(left: list[Decimal], right: list[Decimal], places: int) -> None:
    coarse = [round(number, places) for number in left]
    try:
        joined = ExactColumn.concat([ExactColumn.of_decimals(coarse), ExactColumn.of_decimals(right)])
    except ExactColumnError:
        assert max(coarse + right) >= 10**6  # only where 18 digits cannot hold both
        return
    assert list(joined.decimals()) == coarse + right


def test_zeros_behind_cost_no_digits() -> None:
    column, is_bad = ExactColumn.of_texts(texts("105573.73000000", "28374928374.00000000", "100"))
    assert (column.digits, is_bad.any()) == (2, False)
    assert column.decimals() == [Decimal("105573.73"), Decimal("28374928374"), Decimal(100)]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-05", "0.00001"), ("1.5E10", "15000000000"), ("1.5e10", "15000000000"), (" 2.5 ", "2.5"), ("+3", "3"),
     (".5", "0.5"), ("7.", "7"), ("-1.25", "-1.25")],
)
def test_numbers_in_other_writings_are_understood(text: str, value: str) -> None:
    column, is_bad = ExactColumn.of_texts(texts("1.50", text))
    assert not is_bad.any()
    assert column.decimals() == [Decimal("1.5"), Decimal(value)]


@pytest.mark.parametrize(
    "text", ["", "abc", "nan", "inf", "1_000", "1,5", "1e99", "1234567890.1234567891", "--1", "0x10"]
)
def test_what_is_no_number_is_marked_and_the_others_stay(text: str) -> None:
    column, is_bad = ExactColumn.of_texts(texts("1.5", text, "2.25"))
    assert is_bad.tolist() == [False, True, False]
    assert column.decimals()[::2] == [Decimal("1.5"), Decimal("2.25")]


def test_a_null_is_no_number() -> None:
    _, is_bad = ExactColumn.of_texts(pa.array(["1", None], pa.string()))
    assert is_bad.tolist() == [False, True]


def test_huge_and_tiny_numbers_side_by_side_stay_exact() -> None:
    numbers = [Decimal("123456789012345"), Decimal("0.000000012345")]
    assert list(ExactColumn.of_decimals(numbers).decimals()) == numbers


def test_what_cannot_be_kept_exactly_is_refused_and_not_rounded() -> None:
    with pytest.raises(ExactColumnError):
        ExactColumn.concat([
            ExactColumn.of_decimals([Decimal("123456789012345678")]), ExactColumn.of_decimals([Decimal("0.5")])
        ])


def test_noise_of_floats_is_kept_as_it_is() -> None:
    column = ExactColumn.of_floats(np.array([0.1 + 0.2, 1.5]))
    assert column.digits is None
    assert column.decimals()[0] == Decimal("0.30000000000000004")
