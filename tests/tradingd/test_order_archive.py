"""What the memory has let go, the journal answers: the same order, and the same chain."""

from pathlib import Path

import pytest

from simulator.world import World
from tradingd import order_history, read_model_orders
from tradingd.message_journal import MessageJournal
from tradingd.order_history import OrderHistory
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


def test_a_long_list_has_the_forgotten_orders_too_and_goes_on_with_the_journal(tmp_path: Path) -> None:
    World(3, None, 900, tmp_path).run()
    path = tmp_path / "sim.journal"
    whole, small = folded(path, max_orders=10**6), folded(path, max_orders=2)
    assert len(whole.order_fold.by_id) > 5
    assert not small.is_cut(100)
    assert small.is_cut(101)
    told = small.with_past(small.past_orders(), limit=5_000)
    assert [(each.id, each.state, each.filled) for each in told] == [
        (each.id, each.state, each.filled)
        for each in sorted(whole.order_fold.by_id.values(), key=lambda each: each.created_ns, reverse=True)
    ]
    filled = small.with_past(small.past_orders(), state="FILLED", limit=2)
    assert [each.id for each in filled] == [each.id for each in told if each.state == "FILLED"][:2]


def test_the_history_reads_on_where_it_stopped(tmp_path: Path) -> None:
    World(3, None, 900, tmp_path).run()
    path, grown = tmp_path / "sim.journal", tmp_path / "grown.journal"
    messages = list(MessageJournal.open(path, read_only=True).read())
    half = len(messages) // 2
    journal = MessageJournal.open(grown)
    journal.append(messages[:half], sync=True)
    history = OrderHistory(grown)
    before = {each.id: each.state for each in history.newest()}
    journal.append(messages[half:], sync=True)
    journal.close()
    after = {each.id: each.state for each in history.newest()}
    assert len(after) > len(before) > 0
    assert after == {each.id: each.state for each in OrderHistory(grown).newest()}


def test_what_broke_off_in_the_middle_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    World(3, None, 600, tmp_path).run()
    (path,) = tmp_path.glob("*.journal")
    whole = {each.id: each.filled for each in OrderHistory(path).newest()}
    assert any(whole.values())
    history, decode, count = OrderHistory(path), order_history.decode, [0]

    def breaks_once(data: bytes) -> object:
        count[0] += 1
        if count[0] == 40:
            raise MemoryError
        return decode(data)

    monkeypatch.setattr(order_history, "decode", breaks_once)
    with pytest.raises(MemoryError):
        history.newest()
    assert {each.id: each.filled for each in history.newest()} == whole


def test_a_longer_list_than_ever_asked_for_is_as_whole_as_one_that_was_long_at_once(tmp_path: Path) -> None:
    World(3, None, 900, tmp_path).run()
    (path,) = tmp_path.glob("*.journal")
    history = OrderHistory(path)
    for wanted in (5, 2, 20, 10):
        whole = sorted(OrderHistory(path).newest(), key=lambda each: each.created_ns)
        assert len(whole) > 20
        told = {each.id: (each.state, each.filled, each.fires) for each in history.newest(wanted)}
        assert {each.id: (each.state, each.filled, each.fires) for each in whole[-wanted:]}.items() <= told.items()
        assert len(told) <= 2 * 20 + sum(each.is_working for each in whole)
