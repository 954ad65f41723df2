"""What a Coinbase account holds."""

from decimal import Decimal
from typing import Any

import pytest

from tests.exchanges.coinbase.desk import Desk
from tests.exchanges.coinbase.exchange import Exchange, account

D = Decimal


@pytest.mark.parametrize("without", [{}, {"hold": None}])
async def test_an_account_that_tells_of_no_hold_holds_nothing_back(exchange: Exchange, without: dict[str, Any]):
    rows = [account("USD", "900.5", "99.5"), {
        key: value for key, value in account("ETH", "2", "0").items() if key != "hold"
    } | without]
    exchange.bodies["/accounts"] = {"accounts": rows, "has_next": False, "cursor": ""}
    async with Desk(exchange) as desk:
        assert await desk.venue.balances() == {"ETH": D(2), "USD": D(1000)}
