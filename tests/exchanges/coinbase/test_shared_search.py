"""Many looks for orders at once are one reading of the listings, and none is answered with what is older than it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from bus.ids import ClientOrderId
from exchanges.answers import VenueError
from exchanges.coinbase.shared_search import SharedSearch
from exchanges.coinbase.wire_values import to_wire_time
from market.interval import SECOND_NS
from tests.exchanges.coinbase.desk import Desk
from tests.exchanges.coinbase.exchange import Exchange, until

HOUR_NS = 3_600 * SECOND_NS
START_NS = 1_700_000_000 * SECOND_NS


def row(client_order_id: str, created_ns: int = START_NS, status: str = "FILLED") -> dict[str, Any]:
    return {"client_order_id": client_order_id, "created_time": to_wire_time(created_ns), "status": status}


class Listings:
    """What the venue lists, the newest first. While `gate` is shut, what is asked for from `shut_at` on waits."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = list(rows)
        self.wishes: list[dict[str, Any]] = []
        self.told = 0
        self.shut_at = 1
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def orders(self, wish: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        self.wishes.append(wish)
        rows = [each for each in self.rows if "order_status" not in wish or each["status"] == "OPEN"]
        if len(self.wishes) >= self.shut_at:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        for each in rows:
            self.told += 1
            yield each


def find(search: SharedSearch, client_order_id: str, earliest_ns: int = START_NS - HOUR_NS) -> asyncio.Task[Any]:
    return asyncio.ensure_future(search.find(ClientOrderId(client_order_id), earliest_ns))


async def test_all_who_ask_at_once_are_answered_by_one_open_and_one_whole_listing():
    listings = Listings(*(row(f"td-{number}") for number in range(50)), row("td-open", status="OPEN"))
    search = SharedSearch(listings.orders)
    asked = [find(search, f"td-{number}") for number in range(0, 100, 2)] + [find(search, "td-open")]
    found = await asyncio.gather(*asked)
    assert [each["client_order_id"] for each in found if each] == [
        *(f"td-{number}" for number in range(0, 50, 2)), "td-open",
    ]
    assert len(listings.wishes) == 2


async def test_who_asks_while_a_listing_is_read_gets_the_next_one():
    listings = Listings()
    search = SharedSearch(listings.orders)
    listings.shut_at = 2
    listings.gate.clear()
    early = find(search, "td-1")
    await until(lambda: len(listings.wishes) == 2)  # taken, and on its way
    listings.rows.append(row("td-1"))
    late = find(search, "td-1")
    await asyncio.sleep(0)
    listings.gate.set()
    assert await early is None
    assert await late == listings.rows[0]


async def test_the_same_order_is_found_for_each_who_looks_however_far_back():
    listings = Listings(row("td-9", START_NS), row("td-8", START_NS - HOUR_NS), row("td-1", START_NS - 2 * HOUR_NS))
    search = SharedSearch(listings.orders)
    recent = find(search, "td-1", START_NS - HOUR_NS)
    far = find(search, "td-1", START_NS - 3 * HOUR_NS)
    assert await far == listings.rows[2]
    assert await recent == listings.rows[2]  # seen by the same reading, so it is not absent for anybody


async def test_a_listing_is_read_no_further_than_the_oldest_search_wants():
    listings = Listings(*(row(f"td-{number}", START_NS - number * HOUR_NS) for number in range(20)))
    search = SharedSearch(listings.orders)
    assert await asyncio.gather(find(search, "x", START_NS), find(search, "y", START_NS - 3 * HOUR_NS)) == [None, None]
    assert listings.told == 5
    assert listings.wishes[1] == {"start_date": to_wire_time(START_NS - 3 * HOUR_NS)}


async def test_a_row_without_a_readable_time_ends_no_search():
    listings = Listings(row("td-9") | {"created_time": "soon"}, row("td-1", START_NS - HOUR_NS))
    assert await find(SharedSearch(listings.orders), "td-1", START_NS - HOUR_NS) == listings.rows[1]


async def test_an_error_of_the_listing_reaches_all_and_the_next_search_asks_anew():
    listings = Listings(row("td-1"))
    search = SharedSearch(listings.orders)
    listings.error = VenueError("HTTP 503")
    for outcome in await asyncio.gather(find(search, "td-1"), find(search, "td-2"), return_exceptions=True):
        assert isinstance(outcome, VenueError)
    listings.error = None
    assert await find(search, "td-1") == listings.rows[0]


async def test_who_gives_up_disturbs_nobody_and_close_ends_all():
    listings = Listings(row("td-1"))
    search = SharedSearch(listings.orders)
    listings.gate.clear()
    given_up, kept = find(search, "td-2"), find(search, "td-1")
    await until(lambda: listings.wishes)
    given_up.cancel()
    await asyncio.sleep(0)
    listings.gate.set()
    assert await kept == listings.rows[0]
    listings.gate.clear()
    left = [find(search, "td-1")]
    await until(lambda: len(listings.wishes) == 3)
    left.append(find(search, "td-1"))
    await asyncio.sleep(0)
    search.close()
    await asyncio.wait(left, timeout=5)
    assert all(each.cancelled() for each in left)
    with pytest.raises(asyncio.CancelledError):
        await left[0]


async def test_after_a_start_a_hundred_orders_that_never_arrived_are_known_by_a_few_listings(exchange: Exchange):
    exchange.page = 2
    for number in range(7):
        exchange.place({"client_order_id": f"td-{number}", "product_id": "BTC-USD", "side": "BUY",
                        "order_configuration": {"limit_limit_gtc": {"base_size": "1"}}})
        exchange.fill(f"td-{number}", "1")
    async with Desk(exchange) as desk:
        for number in range(100, 200):
            desk.venue.query(ClientOrderId(f"td-{number}"), "BTC/USD")
        await until(lambda: len(desk.reports) == 100, 20)
        assert {each.exec_type for each in desk.reports} == {"not_found"}
    # Two looks at the open ones and four pages of all would do; on a busy machine not all look at the same moment.
    assert len(exchange.calls("GET", "/orders/historical/batch")) < 50
