"""Records: cheap at birth, compared by value, without a dictionary of their own; and frozen ones as cheap."""

import inspect
import pickle
from copy import copy
from dataclasses import FrozenInstanceError, asdict, dataclass, field, replace
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.record import fast_init, record


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


@fast_init
@dataclass(frozen=True, slots=True)
class Offer:
    MOST: ClassVar[int] = 7

    price: int
    size: int = 2
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PlainOffer:
    price: int
    size: int = 2
    notes: list[str] = field(default_factory=list)


@given(st.integers(), st.none() | st.integers(), st.none() | st.lists(st.text()))
def test_a_frozen_class_born_fast_is_what_it_was(price: int, size: int | None, notes: list[str] | None) -> None:
    given_ = {name: value for name, value in (("size", size), ("notes", notes)) if value is not None}
    made = Offer(price, **given_)  # type: ignore[arg-type]
    assert repr(made) == repr(PlainOffer(price, **given_)).removeprefix("Plain")  # type: ignore[arg-type]
    assert type(made) is Offer
    assert made == Offer(price=price, **given_)  # type: ignore[arg-type]
    assert asdict(replace(made, size=9)) == {**asdict(made), "size": 9}
    assert pickle.loads(pickle.dumps(made)) == copy(made) == made
    assert inspect.signature(Offer).parameters.keys() == inspect.signature(PlainOffer).parameters.keys()


def test_a_class_born_fast_stays_frozen_and_its_defaults_are_not_shared() -> None:
    made = Offer(1)
    for name in ("price", "size", "another"):
        with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
            setattr(made, name, 3)
    with pytest.raises(FrozenInstanceError):
        del made.price  # type: ignore[misc]
    made.notes.append("mine")
    assert Offer(1).notes == []
    with pytest.raises(TypeError, match="price"):
        Offer()  # type: ignore[call-arg]


def test_a_class_that_does_more_at_its_birth_is_refused() -> None:
    @dataclass(frozen=True, slots=True)
    class Checked:
        price: int

        def __post_init__(self) -> None:
            raise ValueError

    @dataclass(frozen=True)
    class Roomy:
        price: int

    for kind in (Checked, Roomy):
        with pytest.raises(TypeError, match=kind.__name__):
            fast_init(kind)
