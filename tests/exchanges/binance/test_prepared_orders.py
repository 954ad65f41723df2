"""A request written ahead is the one that would have been written at the moment, sent under the same rules."""

import hashlib
import hmac
from decimal import Decimal

import pytest

from bus.clock import FeedClock
from exchanges.binance.rest import RestClient
from exchanges.binance.signing import Signer
from exchanges.http_line import HttpLine
from exchanges.venue import PreparesOrders
from tests.exchanges.approvals import approved_order
from tests.exchanges.binance.desk import ORDER, Desk, fill, order_body
from tests.exchanges.binance.loopback import Loopback, until

D = Decimal
ORDERS = [
    {}, {"side": "sell", "quantity": "0.5000"},
    {"wire_type": "limit", "price": "0.00001230", "time_in_force": "IOC", "side": "sell"},
]


@pytest.mark.parametrize("secret", [b"secret", b"k" * 64, b"k" * 200])
def test_a_signature_in_two_parts_is_that_of_the_whole(secret: bytes) -> None:
    signer = Signer(secret)
    whole = hmac.new(secret, b"symbol=BTCUSDT&timestamp=1723161255000", hashlib.sha256).hexdigest()
    assert signer.sign("symbol=BTCUSDT&timestamp=1723161255000") == whole
    begun = signer.begin("symbol=BTCUSDT&timestamp=")
    assert signer.end(begun, b"1723161255000") == whole
    assert signer.end(begun, b"1723161255000") == whole


@pytest.mark.parametrize("order", ORDERS)
async def test_the_bytes_are_those_of_the_ordinary_way(order: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    monkeypatch.setattr(HttpLine, "send_bytes", lambda _, request: sent.append(request))
    async with Desk(Loopback(base="127.0.0.1:1")) as desk:
        venue = desk.venue
        clock = FeedClock(1_723_161_255_000_000_000)
        venue._rest = RestClient("http://127.0.0.1:1/prefix", clock, api_key="key", api_secret="secret")
        approved = approved_order(**order)
        prepared = venue.prepare(approved.order)
        assert prepared is not None
        clock.advance(1_723_161_256_789_000_000)
        venue._posted_now(approved.order)
        prepared.send(approved)
        await venue._tasks.cancel()
    first, second = sent
    assert first == second
    assert first.startswith(b"POST /prefix/api/v3/order?symbol=BTCUSDT&")


@pytest.mark.parametrize("warm", [True, False], ids=["a line is open", "no line is open"])
async def test_a_prepared_order_is_posted_once_and_its_fills_are_told(loopback: Loopback, warm: bool) -> None:
    loopback.answer("POST", ORDER, order_body(fills=[fill(7, "1")]))
    loopback.answer("GET", "/api/v3/ping", {})
    async with Desk(loopback) as desk:
        if warm:
            await desk.venue._rest.keep_warm()
        approved = approved_order(quantity="1.000")
        prepared = desk.venue.prepare(approved.order)
        assert prepared is not None
        prepared.send(approved)
        await until(lambda: len(desk.reports) == 2)
        assert desk.kinds == ["accepted", "fill"]
    (sent,) = desk.posts
    assert (sent["quantity"], sent["newClientOrderId"], len(sent["signature"])) == ("1", "td-1", 64)


async def test_nothing_is_sent_under_the_approval_of_another_order(loopback: Loopback) -> None:
    async with Desk(loopback) as desk:
        prepared = desk.venue.prepare(approved_order().order)
        assert prepared is not None
        with pytest.raises(ValueError, match="was prepared"):
            prepared.send(approved_order(quantity="2"))
        assert desk.posts == []


async def test_a_venue_that_reads_forms_gets_nothing_prepared(loopback: Loopback) -> None:
    async with Desk(loopback) as desk:
        desk.venue._rest._posts_form = True
        assert desk.venue.prepare(approved_order().order) is None


async def test_while_the_venue_wants_no_requests_a_prepared_entry_is_refused_as_any(loopback: Loopback) -> None:
    async with Desk(loopback) as desk:
        assert isinstance(desk.venue, PreparesOrders)
        approved = approved_order()
        prepared = desk.venue.prepare(approved.order)
        assert prepared is not None
        desk.venue._rest._address.silent_until = 1e12
        prepared.send(approved)
        await until(lambda: desk.reports)
        assert desk.kinds == ["rejected"]
        assert desk.posts == []
