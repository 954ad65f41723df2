"""Numbers and times in sentences."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.wording import moment, percent

D = Decimal


@pytest.mark.parametrize(("ratio", "text"), [
    ("0.05", "5 %"), ("0.0523", "5.23 %"), ("0", "0 %"), ("0.0001", "0.01 %"), ("0.00001", "0.001 %"),
    ("0.0000123456", "0.0012 %"), ("0.0000999", "0.01 %"), ("1E-15", "less than 0.00000001 %"),
    ("-0.00002", "-0.002 %"),
])
def test_a_percentage_has_the_digits_it_needs(ratio: str, text: str) -> None:
    assert percent(D(ratio)) == text


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2261, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_a_moment_is_what_the_calendar_says(when: datetime) -> None:
    seconds = int(when.replace(microsecond=0).timestamp())
    assert moment(seconds * 1_000_000_000 + when.microsecond * 1000) == when.strftime("%Y-%m-%dT%H:%M:%SZ")
