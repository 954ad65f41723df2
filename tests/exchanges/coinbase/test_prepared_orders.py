"""A request written ahead is the one that would have been written at the moment, sent under the same rules."""

from typing import Any

import pytest

from exchanges.coinbase.rest import ORDERS
from exchanges.venue import PreparesOrders
from tests.exchanges.approvals import approved_order
from tests.exchanges.coinbase.desk import Desk
from tests.exchanges.coinbase.exchange import Exchange, until

ORDER_KINDS: list[dict[str, str]] = [
    {}, {"side": "sell", "quantity": "0.5000"},
    {"wire_type": "limit", "price": "99.50", "time_in_force": "IOC", "side": "sell"},
]


@pytest.mark.parametrize("order", ORDER_KINDS)
async def test_the_body_is_that_of_the_ordinary_way(
    exchange: Exchange, order: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Desk(exchange) as desk:
        approved = approved_order(symbol="BTC/USD", **order)  # type: ignore[arg-type]
        prepared = desk.venue.prepare(approved.order)
        assert prepared is not None
        sent: list[tuple[str, Any]] = []
        monkeypatch.setattr(desk.venue._rest, "post_now", lambda path, body: sent.append((path, body)))
        monkeypatch.setattr(desk.venue._tasks, "run", lambda work, *_: work.close())
        desk.venue.submit(approved)
        prepared.send(approved)
    first, second = sent
    assert first == second
    assert first[0] == ORDERS


@pytest.mark.parametrize("warm", [True, False], ids=["a line is open", "no line is open"])
async def test_a_prepared_order_is_posted_once_and_its_fills_are_told(exchange: Exchange, warm: bool) -> None:
    exchange.auto_fill = True
    async with Desk(exchange) as desk:
        await desk.venue._rest.open()  # ccxt is imported once, which takes long
        if warm:
            await desk.venue._rest.keep_warm()
        approved = approved_order(symbol="BTC/USD", quantity="0.500")
        prepared = desk.venue.prepare(approved.order)
        assert prepared is not None
        prepared.send(approved)
        await desk.heard("accepted", "accepted", "fill")
    assert desk.posts == [{
        "client_order_id": "td-1", "product_id": "BTC-USD", "side": "BUY",
        "order_configuration": {"sor_limit_ioc": {"base_size": "0.5", "limit_price": "101"}},
    }]


async def test_nothing_is_sent_under_the_approval_of_another_order(exchange: Exchange) -> None:
    async with Desk(exchange) as desk:
        prepared = desk.venue.prepare(approved_order(symbol="BTC/USD").order)
        assert prepared is not None
        with pytest.raises(ValueError, match="was prepared"):
            prepared.send(approved_order(symbol="BTC/USD", quantity="2"))
        assert desk.posts == []


async def test_what_could_not_be_sent_is_not_prepared(exchange: Exchange) -> None:
    async with Desk(exchange) as desk:
        assert isinstance(desk.venue, PreparesOrders)
        assert desk.venue.prepare(approved_order(symbol="ETH/USD").order) is None
        assert desk.venue.prepare(approved_order(symbol="BTC/USD", wire_type="limit").order) is None


async def test_while_the_venue_wants_no_requests_a_prepared_entry_is_refused_as_any(exchange: Exchange) -> None:
    async with Desk(exchange) as desk:
        approved = approved_order(symbol="BTC/USD")
        prepared = desk.venue.prepare(approved.order)
        assert prepared is not None
        desk.venue._rest._banned_until = 1e12
        prepared.send(approved)
        await until(lambda: desk.reports)
        assert desk.kinds == ["rejected"]
        assert desk.posts == []
