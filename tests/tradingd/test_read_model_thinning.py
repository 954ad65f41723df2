"""Of old orders that have ended only the last step of their trail is kept in memory."""

from decimal import Decimal

from bus.ids import ClientOrderId, SessionId, TradeId
from bus.messages.header import MessageMaker
from bus.messages.orders import (
    OrderCancelled,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
    OrderSubmitted,
    SubmitOrder,
    TrailingAdvanced,
    TrailingArmed,
    TrailSpec,
)
from tradingd.read_model_orders import FULL_DETAIL, FULL_FACTS, OrderFold

D = Decimal
SOL = "SOL/USDT"


class Trader:
    """Orders that trail for five steps, one after the other."""

    def __init__(self) -> None:
        self.fold = OrderFold(max_orders=5_000)
        self._maker = MessageMaker("engine", SessionId("s1"))
        self._now = 1_700_000_000_000_000_000

    def say(self, body: object) -> None:
        self._now += 1
        self.fold.handlers[type(body)](self._maker.make(body, self._now), body)

    def arm(self, number: int) -> ClientOrderId:
        name = ClientOrderId(f"td-{number}")
        trail = TrailSpec("percent", D("0.01"))
        self.say(OrderInitialized(SubmitOrder(name, SOL, "sell", "trailing", D(1), "manual", trail=trail)))
        self.say(TrailingArmed(name, SOL, "sell", D(100), D(99), D("0.01")))
        return name

    def trail(self, *names: ClientOrderId) -> None:
        for best in range(101, 106):
            for name in names:
                self.say(TrailingAdvanced(SOL, "sell", "last", D(best), 1, name, D(best) * D("0.99")))

    def end_many(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            name = self.arm(number)
            self.trail(name)
            self.say(OrderCancelled(name, SOL, "us", "a test"))


def test_the_newest_ended_orders_keep_all_steps_and_older_ones_the_last() -> None:
    trader = Trader()
    trader.end_many(0, FULL_DETAIL + 3)
    kept = [len(trader.fold.by_id[f"td-{number}"].steps) for number in range(FULL_DETAIL + 3)]
    assert kept == [1] * 3 + [5] * FULL_DETAIL
    (last,) = trader.fold.by_id["td-0"].steps
    assert last[1:] == (D(105), D("103.95"))
    assert len(trader.fold.by_id["td-0"].facts) == 3


def test_of_the_oldest_ended_orders_the_outline_is_kept_and_the_journal_has_the_facts() -> None:
    trader = Trader()
    trader.end_many(0, FULL_FACTS + 3)
    records = [trader.fold.by_id[f"td-{number}"] for number in range(FULL_FACTS + 3)]
    assert [len(record.facts) for record in records] == [0] * 3 + [3] * FULL_FACTS
    assert all(record.is_thin for record in records[:3])
    assert [state for _, state, _, _ in records[0].history][-1] == "CANCELLED"


def test_an_order_that_still_works_keeps_its_steps_however_many_end_meanwhile() -> None:
    trader = Trader()
    name = trader.arm(0)
    trader.trail(name)
    trader.end_many(1, FULL_DETAIL + 3)
    assert len(trader.fold.by_id[name].steps) == 5


def test_an_order_that_a_late_fill_revived_keeps_its_steps() -> None:
    trader = Trader()
    name = trader.arm(0)
    trader.trail(name)
    trader.say(OrderSubmitted(name, SOL, "market", D(1), None, D(100)))
    trader.say(OrderRejected(name, SOL, "never arrived at the venue"))
    trader.say(_fill(name, "0.4"))
    assert trader.fold.by_id[name].state == "PARTIAL"
    trader.end_many(1, FULL_DETAIL + 3)
    assert len(trader.fold.by_id[name].steps) == 5


def _fill(name: ClientOrderId, quantity: str) -> OrderFilled:
    return OrderFilled(
        name, SOL, "sell", TradeId("t1"), D(quantity), D(100), D(0), "USDT", D(quantity), False, False, False,
    )
