"""Finding orders and their fills at Coinbase, which knows no lookup by our client id.

An order is found by the venue's id where we know it, else among the open orders, else in the history, page by page.
Filters are asked for and then applied by us as well: what is not asked about is never taken for an answer.
"""

from collections.abc import AsyncGenerator
from typing import Any, Final

from bus.ids import CLIENT_ID_PREFIX, ClientOrderId, VenueOrderId
from exchanges.answers import Answer, AnswerError, VenueError
from exchanges.coinbase.order_answers import OrderStatus, parse_status
from exchanges.coinbase.rest import CoinbaseRest
from exchanges.coinbase.shared_search import SharedSearch
from market.interval import SECOND_NS
from market.money import MoneyError, parse_decimal

ORDERS_A_PAGE: Final = 250
FILLS_A_PAGE: Final = 250
MOST_PAGES: Final = 20
MOST_PAGES_OF_ORDERS: Final = 100
"""Twenty-five thousand: so many may be younger than the thirty days through which one is looked for after a restart."""
MARGIN_NS: Final = 600 * SECOND_NS
"""How much earlier than its sending an order may be dated: clocks differ."""


class OrderLookup:
    """Asks for one account; every method raises `VenueError` when the venue gives no answer to be believed."""

    def __init__(self, name: str, rest: CoinbaseRest) -> None:
        self._name = name
        self._rest = rest
        self._of_this_run = SharedSearch(self._orders)
        self._of_earlier_runs = SharedSearch(self._orders)

    def close(self) -> None:
        """End what is being looked for."""
        self._of_this_run.close()
        self._of_earlier_runs.close()

    async def by_venue_id(self, venue_order_id: VenueOrderId, client_order_id: ClientOrderId) -> OrderStatus | None:
        """The order of this id; None when the venue has none. Raises `AnswerError` when it is another client id's."""
        answer = await self._rest.read(f"brokerage/orders/historical/{venue_order_id}")
        if answer.status == 404 and isinstance(answer.body, dict):
            return None
        body = self.good(answer, "order")
        status = parse_status(body.get("order") if isinstance(body, dict) else None)
        if status.client_order_id != client_order_id:
            raise AnswerError(f"asked about {client_order_id}, answered about {status.client_order_id[:40]!r}")
        return status

    async def by_client_id(
        self, client_order_id: ClientOrderId, since_ns: int, *, is_of_this_run: bool
    ) -> OrderStatus | None:
        """The order of our id; None when the venue certainly lists none that was made since `since_ns` (UTC).

        Orders of earlier runs need long listings: those of this run do not wait for them.
        """
        search = self._of_this_run if is_of_this_run else self._of_earlier_runs
        row = await search.find(client_order_id, max(0, since_ns - MARGIN_NS))
        return None if row is None else parse_status(row)

    async def open_orders(self) -> list[OrderStatus]:
        """All working orders of the account, without those of others that cannot be read (sized in quote, say)."""
        found = []
        async for row in self._orders({"order_status": ["OPEN"]}):
            try:
                status = parse_status(row)
            except AnswerError as error:
                if not str(row.get("client_order_id")).startswith(CLIENT_ID_PREFIX):
                    continue
                raise VenueError(f"{self._name}: open orders: not what Coinbase documents: {error}") from error
            if not status.is_over:
                found.append(status)
        return found

    async def fills(self, status: OrderStatus) -> list[Any]:
        """The fills of one order, each once; fewer than executed when the venue does not list them yet."""
        found: dict[str, Any] = {}
        cursor = ""
        for _ in range(MOST_PAGES):
            wish: dict[str, Any] = {"order_ids": [status.venue_order_id], "limit": FILLS_A_PAGE}
            answer = await self._rest.read("brokerage/orders/historical/fills", wish | _at(cursor))
            rows, cursor = _page(self.good(answer, "fills"), "fills")
            before = len(found)
            for row in rows:
                if isinstance(row, dict) and row.get("order_id") == status.venue_order_id:
                    found.setdefault(str(row.get("trade_id")), row)
            if not cursor or not rows or len(found) == before or _total(found) >= status.executed:
                break
        return list(found.values())

    async def _orders(self, wish: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Row after row; raises `VenueError` when the venue has more than are read."""
        cursor = ""
        seen: set[str] = set()
        for _ in range(MOST_PAGES_OF_ORDERS):
            answer = await self._rest.read(
                "brokerage/orders/historical/batch", {**wish, "limit": ORDERS_A_PAGE} | _at(cursor)
            )
            rows, cursor = _page(self.good(answer, "orders"), "orders")
            before = len(seen)
            for row in rows:
                if isinstance(row, dict):
                    seen.add(str(row.get("order_id")))
                    yield row
            if not cursor or not rows or len(seen) == before:
                return
        raise VenueError(f"{self._name}: not among the last {len(seen)} orders, and the venue has more")

    def good(self, answer: Answer, what: str) -> Any:
        """The body of a good answer; raises `VenueError`."""
        if answer.is_ok:
            return answer.body
        raise VenueError(
            f"{self._name}: {what}: HTTP {answer.status} {answer.message}. Check the keys and their rights."
        )


def _at(cursor: str) -> dict[str, Any]:
    return {"cursor": cursor} if cursor else {}


def _page(body: Any, key: str) -> tuple[list[Any], str]:
    """The rows, and the cursor of the next page ("" for the last one)."""
    rows = body.get(key) if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise VenueError(f"an answer without {key}: not what Coinbase documents")
    return rows, "" if body.get("has_next") is False else str(body.get("cursor") or "")


def _total(rows: dict[str, Any]) -> Any:
    try:
        return sum(parse_decimal(row.get("size"), "size") for row in rows.values())
    except MoneyError:
        return 0
