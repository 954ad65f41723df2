"""A process that ended between two facts of one order: entries end with it, exits go on."""

from collections.abc import Sequence
from typing import Any

import pytest

from bus.messages.header import Message
from bus.messages.orders import OrderInitialized, TrailSpec
from orders.effects import Effect
from tests.orders.trading import Bench, D, sent


def reborn_after_birth_of(bench: Bench, client_order_id: str) -> tuple[Bench, Sequence[Effect]]:
    """A new process whose journal ends with the order's birth, and what it does first."""

    def is_birth(message: Message) -> bool:
        body = message.body
        return isinstance(body, OrderInitialized) and body.order.client_order_id == client_order_id

    end = next(index for index, message in enumerate(bench.journal) if is_birth(message)) + 1
    bench.journal = bench.journal[:end]
    again = bench.restarted()
    return again, again.engine.finish_restore(again.now)


def later(bench: Bench) -> list[Effect]:
    """The market moves on, for a minute."""
    effects: list[Effect] = []
    for price in ("100", "111", "95", "100"):
        effects += bench.trade(price)
        effects += bench.trade(price)
    for _ in range(4):
        effects += bench.second(15)
    return effects


@pytest.mark.parametrize(("order_type", "more"), [
    ("market", {}), ("limit", {"price": "99"}), ("stop", {"stop_price": "110"}),
    ("trailing", {"trail": TrailSpec("percent", D("0.01"))}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_an_entry_that_was_neither_sent_nor_armed_ends_and_binds_no_money(
    order_type: str, more: dict[str, Any]
) -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-e", "buy", order_type, "1", **more)
    again, effects = reborn_after_birth_of(bench, "td-e")
    assert again.order("td-e").state == "CANCELLED"
    assert sent([*effects, *later(again)]) == []
    assert again.engine.look().available == D(10_000)


def test_a_stop_of_a_person_that_was_not_armed_ends() -> None:
    bench = Bench()
    bench.hold("1", "100")
    bench.submit("td-out", "sell", "stop", "1", stop_price="97")
    again, effects = reborn_after_birth_of(bench, "td-out")
    assert again.order("td-out").state == "CANCELLED"
    assert sent([*effects, *later(again)]) == []


def test_a_sale_at_market_that_was_not_sent_goes_on() -> None:
    bench = Bench()
    bench.hold("1", "100")
    bench.submit("td-out", "sell", "market", "1")
    _, effects = reborn_after_birth_of(bench, "td-out")
    (call,) = sent(effects)
    assert call.approved.order.client_order_id == "td-out"
