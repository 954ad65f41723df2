"""What the memory has let go, the journal answers: the same order, and the same chain."""

from pathlib import Path

import pytest

from simulator.world import World
from tradingd import read_model_orders
from tradingd.message_journal import MessageJournal
from tradingd.read_model import ReadModel, order_view


def folded(path: Path, **sizes: int) -> ReadModel:
    model = ReadModel("USDT", **sizes)
    journal = MessageJournal.open(path, read_only=True)
    try:
        for message in journal.read():
            model.apply(message)
    finally:
        journal.close()
    model.journal = path
    return model


def test_every_forgotten_order_is_told_by_the_journal_as_the_memory_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    World(3, None, 900, tmp_path).run()
    path = tmp_path / "sim.journal"
    small = folded(path, max_orders=2, max_chains=1)
    monkeypatch.setattr(read_model_orders, "FULL_DETAIL", 10**6)
    monkeypatch.setattr(read_model_orders, "FULL_FACTS", 10**6)
    whole = folded(path, max_orders=10**6, max_chains=10**6)
    asked = [order_id for order_id in whole.order_fold.by_id if small.is_past(order_id)]
    assert len(asked) > 3
    for order_id in asked:
        past = small.past(order_id)
        assert past is not None
        assert order_view(past.orders.by_id[order_id]) == whole.order(order_id)
        assert small.past_trace(order_id, past) == whole.trace(order_id)


def test_an_order_nobody_ever_gave_is_not_searched_for(tmp_path: Path) -> None:
    World(3, None, 60, tmp_path).run()
    small = folded(tmp_path / "sim.journal", max_orders=1)
    assert not small.is_past("td-nobody")
    assert small.past("td-nobody") is None
    assert small.past_trace("td-nobody", None) is None
