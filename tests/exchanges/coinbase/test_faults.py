"""Orders under random faults: none twice, none lost, and the fate of each is known soon after the faults end."""

import asyncio
import random
from decimal import Decimal

import pytest
from aiohttp import web

from tests.exchanges.coinbase.desk import Desk
from tests.exchanges.coinbase.exchange import Exchange, answers, until

ORDERS = 12
MISHAPS = (
    "none", "refused", "answer lost", "hang after accepting", "hang before accepting", "5xx before", "5xx after",
    "broken after", "cut off after",
)


def mishap(kind: str, server: Exchange, chance: random.Random):
    """One POST's fate; what it does to the order is the exchange's truth."""
    if kind == "refused":
        return answers({"success": False, "error_response": {"error": "INSUFFICIENT_FUND"}})
    if kind == "5xx before":
        return answers("oops", 503)

    async def fault(request: web.Request) -> web.StreamResponse | None:
        if kind == "hang before accepting":
            await asyncio.sleep(30)
        body = await request.json()
        server.place(body)
        done = chance.choice(["0", "0.25", "1"])
        if done != "0":
            server.fill(body["client_order_id"], done)
        if done == "0.25" and chance.random() < 0.5:
            server.end(body["client_order_id"])
        if kind == "none":
            return None
        if kind == "cut off after":
            assert request.transport is not None
            request.transport.abort()
        if kind in ("hang after accepting", "answer lost"):
            await asyncio.sleep(30)
        return web.Response(status=200 if kind == "broken after" else 502, text="{")

    return fault


@pytest.mark.parametrize("seed", range(3))
async def test_no_order_is_doubled_or_lost_whatever_befalls_its_request(exchange: Exchange, seed: int):
    chance = random.Random(seed)
    exchange.fail("POST", "/orders", *[mishap(chance.choice(MISHAPS), exchange, chance) for _ in range(ORDERS)])
    shaky = [answers("oops", 503) if chance.random() < 0.5 else answers("{", 200) for _ in range(10)]
    exchange.fail("GET", "/orders/historical/batch", *shaky)
    exchange.fail("GET", "/orders/historical/fills", *shaky[:5])
    async with Desk(exchange, ws=True, order_timeout_s=0.3, poll_every_s=0.02) as desk:
        desk.venue._rest._first_pause_s = 0.001
        await desk.venue.start()
        names = [f"td-{number}" for number in range(1, ORDERS + 1)]
        for name in names:
            desk.submit(client_order_id=name, wire_type="limit", price="99")

        def known(name: str) -> bool:
            mine = [report for report in desk.reports if report.client_order_id == name]
            theirs = [order for order in exchange.orders.values() if order["client_order_id"] == name]
            if not theirs:
                return bool(mine) and mine[-1].exec_type in ("rejected", "not_found")
            booked = {report.trade_id: report.quantity for report in mine if report.exec_type == "fill"}
            if not mine or sum(booked.values()) != Decimal(theirs[0]["filled_size"]):
                return False
            ended = {"CANCELLED": "cancelled"}.get(theirs[0]["status"])
            return mine[-1].exec_type != "unknown" and (ended is None or mine[-1].exec_type == ended)

        await until(lambda: all(map(known, names)), timeout_s=25)
        assert sorted(body["client_order_id"] for body in desk.posts) == sorted(names)
        assert len({order["client_order_id"] for order in exchange.orders.values()}) == len(exchange.orders)
        for name in names:
            kinds = [report.exec_type for report in desk.reports if report.client_order_id == name]
            has_it = any(order["client_order_id"] == name for order in exchange.orders.values())
            assert not (has_it and {"rejected", "not_found"} & set(kinds))
    assert exchange.bad_tokens == 0
