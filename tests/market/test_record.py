"""Records: cheap at birth, compared and hashed by value, without a dictionary of their own."""

import pytest

from market.record import record


@record
class Spread:
    bid: int
    ask: int = 2


def test_records_are_the_same_by_their_values():
    assert Spread(1) == Spread(1, 2)
    assert hash(Spread(1)) == hash(Spread(1, 2))
    assert Spread(1) != Spread(2)


def test_a_record_takes_no_other_fields():
    with pytest.raises(AttributeError):
        Spread(1).middle = 3  # type: ignore[attr-defined]
