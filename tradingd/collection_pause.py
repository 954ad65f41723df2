"""The garbage collector rests while much is made that stays: it would look through all of it again and again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_YOUNG_OBJECTS: Final = 20_000


@contextmanager
def no_collection() -> Iterator[None]:
    """For as long as a journal is folded, or modules are imported; goes on afterwards if it went before."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def collect_rarely() -> None:
    """What is there by now stays and is looked through no more; ticks leave little behind to be collected."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
