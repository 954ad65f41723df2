"""Balances are read soon after something said that they changed, and what changed is told."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from exchanges.answers import VenueError
from exchanges.coinbase.balance_looks import BalanceLooks
from exchanges.venue import AssetBalance, TellsBalances
from tests.exchanges.coinbase.desk import Desk, late
from tests.exchanges.coinbase.exchange import Exchange, account, answers, until

D = Decimal
Told = list[Mapping[str, AssetBalance]]


def balance(free: str, locked: str = "0") -> AssetBalance:
    return AssetBalance(D(free), D(locked))


def holds(exchange: Exchange, *rows: dict[str, Any]) -> None:
    exchange.bodies["/accounts"] = {"accounts": list(rows), "has_next": False, "cursor": ""}


class Account:
    """`found` are its answers, one a look, the last for ever; None for a venue that does not answer."""

    def __init__(self, *found: dict[str, AssetBalance] | None) -> None:
        self.found = list(found)
        self.looks = 0

    async def read(self) -> dict[str, AssetBalance]:
        self.looks += 1
        answer = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if answer is None:
            raise VenueError("no answer")
        return answer


@contextmanager
def running(looks: BalanceLooks) -> Iterator[Told]:
    told: Told = []
    looks.listen(told.append)
    task = asyncio.get_running_loop().create_task(looks.run())
    yield told
    task.cancel()


async def test_the_first_look_tells_all_also_what_is_nothing_and_the_next_what_changed() -> None:
    seen = Account({"BTC": balance("0"), "USD": balance("9", "1")}, {"BTC": balance("2"), "USD": balance("9", "1")}, {
        "BTC": balance("2"),
    })
    looks = BalanceLooks(seen.read, lambda: 0.0, settle_s=0.0, pause_s=0.0)
    with running(looks) as told:
        for number in (1, 2, 3):
            looks.wake()
            await until(lambda: len(told) == number)  # noqa: B023 - it is awaited here
    assert told == [
        {"BTC": balance("0"), "USD": balance("9", "1")}, {"BTC": balance("2")}, {"USD": balance("0")},
    ]


async def test_many_reasons_are_one_look_and_what_stayed_is_not_told() -> None:
    seen = Account({"BTC": balance("1")})
    looks = BalanceLooks(seen.read, lambda: 0.0, settle_s=0.0, pause_s=0.0)
    with running(looks) as told:
        for _ in range(20):
            looks.wake()
        await until(lambda: told)
        assert seen.looks == 1
        looks.wake()
        await until(lambda: seen.looks == 2)
    assert len(told) == 1


async def test_a_look_that_fails_or_is_not_wanted_tells_nothing_and_the_next_does() -> None:
    seen, silent = Account(None, {"BTC": balance("1")}), [0.0]
    looks = BalanceLooks(seen.read, lambda: silent[0], settle_s=0.0, pause_s=0.0)
    with running(looks) as told:
        looks.wake()
        await until(lambda: seen.looks == 1)
        silent[0] = 60.0
        looks.wake()
        await until(lambda: not looks._is_due.is_set())
        silent[0] = 0.0
        looks.wake()
        await until(lambda: told)
    assert (seen.looks, told) == (2, [{"BTC": balance("1")}])


async def test_nothing_is_read_while_nobody_listens() -> None:
    seen = Account({"BTC": balance("1")})
    looks = BalanceLooks(seen.read, lambda: 0.0, settle_s=0.0, pause_s=0.0)
    task = asyncio.get_running_loop().create_task(looks.run())
    looks.wake()
    await until(lambda: not looks._is_due.is_set())
    assert seen.looks == 0
    task.cancel()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "exchanges.coinbase.orders.BalanceLooks",
        lambda read, silent_for_s: BalanceLooks(read, silent_for_s, settle_s=0.0, pause_s=0.0),
    )


@pytest.mark.usefixtures("at_once")
async def test_a_fill_a_refusal_and_a_strangers_order_are_each_a_reason_to_look(exchange: Exchange) -> None:
    holds(exchange, account("BTC", "0", "0"), account("USD", "900", "100"))
    async with Desk(exchange, ws=True) as desk:
        assert isinstance(desk.venue, TellsBalances)
        told: Told = []
        desk.venue.listen_to_balances(told.append)
        await desk.rests()

        holds(exchange, account("BTC", "0.4", "0"), account("USD", "900", "60"))
        exchange.fill("td-1", "0.4")
        await exchange.tell("td-1")
        await until(lambda: told)
        assert told[-1] == {"BTC": balance("0.4"), "USD": balance("900", "60")}

        holds(exchange, account("BTC", "0.1", "0.3"), account("USD", "900", "60"))
        refused = {"success": False, "error_response": {
            "error": "INSUFFICIENT_FUND", "message": "Insufficient balance in source account",
        }}
        exchange.fail("POST", "/orders", answers(refused))
        desk.submit(client_order_id="td-2", side="sell")
        await until(lambda: len(told) == 2)
        assert told[-1] == {"BTC": balance("0.1", "0.3")}

        holds(exchange, account("BTC", "0.4", "0"), account("USD", "900", "60"))
        exchange.place(late("by-hand"))
        await exchange.tell("by-hand")
        await until(lambda: len(told) == 3)
        assert told[-1] == {"BTC": balance("0.4")}
