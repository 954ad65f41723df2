"""The running sums over working entries equal what adding all of them anew would give, whatever came and went."""

from decimal import Decimal, localcontext

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.ids import ClientOrderId
from bus.messages.orders import TrailSpec
from market.interval import SECOND_NS
from orders.commitments import Commitments
from tests.orders.trading import BTC, ETH, Bench, D

amounts = st.integers(0, 10**36).map(lambda digits: Decimal(digits).scaleb(-18))
ids = st.sampled_from([ClientOrderId(f"td-{number}") for number in range(6)])
changes = st.lists(
    st.tuples(ids, st.sampled_from([BTC, ETH]), amounts, st.none() | amounts, st.booleans()), max_size=40,
)


@given(changes)
@settings(max_examples=200, deadline=None)
def test_the_sums_are_exact_after_any_sequence(steps):
    commitments = Commitments()
    known = {}
    for client_order_id, symbol, quantity, price, is_end in steps:
        if is_end:
            commitments.drop(client_order_id)
            known.pop(client_order_id, None)
        else:
            commitments.put(client_order_id, symbol, quantity, price)
            known[client_order_id] = (symbol, quantity, price)
        with localcontext() as context:
            context.prec = 200
            expected = {
                name: (
                    sum(each == name for each, _, _ in known.values()),
                    sum((size * at for each, size, at in known.values() if each == name and at is not None), D(0)),
                    sum((size for each, size, at in known.values() if each == name and at is None), D(0)),
                )
                for name in {each for each, _, _ in known.values()}
            }
        assert {name: tuple(sums) for name, sums in commitments.by_symbol()} == expected
        assert len(list(commitments.each())) == len(known)


def test_an_order_is_left_out_of_its_own_exposure():
    commitments = Commitments()
    commitments.put(ClientOrderId("td-1"), BTC, D(2), D(100))
    commitments.put(ClientOrderId("td-2"), BTC, D(3), None)
    (_, both), = commitments.by_symbol()
    first, second = commitments.of("td-1"), commitments.of("td-2")
    assert first is not None
    assert second is not None
    assert both.less(first) == (1, D(0), D(3))
    assert both.less(second) == (1, D(200), D(0))
    assert commitments.of("td-3") is None


def test_orders_are_listed_by_birth_though_the_first_was_changed_last():
    commitments = Commitments()
    commitments.put(ClientOrderId("td-1"), BTC, D(2), D(100))
    commitments.put(ClientOrderId("td-2"), ETH, D(1), D(10))
    commitments.put(ClientOrderId("td-1"), BTC, D(1), D(100))
    assert [(each.symbol, each.value) for each in commitments.each()] == [(BTC, D(100)), (ETH, D(10))]


def test_a_stop_counts_at_its_price_and_a_trail_at_the_market_as_it_moves():
    bench = Bench()
    bench.trade("100")
    bench.submit("s1", "buy", "stop", "2", stop_price="120")
    assert bench.engine.portfolio(bench.now).exposure == 240
    bench.submit("t1", "buy", "trailing", "3", trail=TrailSpec("percent", D("0.5")))
    assert bench.engine.portfolio(bench.now).exposure == 540
    bench.trade("110")
    assert bench.engine.portfolio(bench.now).exposure == 570
    assert bench.engine.portfolio(bench.now).working_entries == ((BTC, D(240)), (BTC, D(330)))


def test_sent_orders_count_within_a_second_and_a_minute_to_the_nanosecond():
    bench = Bench()
    bench.trade("100")
    bench.submit("m1", "buy", "market", "0.1")
    sent, state = bench.now, bench.engine._desk.state
    assert state.sent_lately(sent - 1 + SECOND_NS)[0] == 1
    assert state.sent_lately(sent + SECOND_NS)[0] == 0
    bench.trade("100", after_ms=59_999)
    bench.submit("m2", "buy", "market", "0.2")
    assert state.sent_lately(bench.now)[1] == 2
    bench.trade("100", after_ms=1)
    assert state.sent_lately(bench.now)[1] == 1
    bench.submit("m3", "buy", "market", "0.3")
    assert state.sent_lately(bench.now)[1] == 2
    assert list(state.sent_ns) == [sent + 59_999 * 1_000_000, bench.now]
    bench.trade("100", after_ms=1000)
    assert state.sent_lately(bench.now)[0] == 0
