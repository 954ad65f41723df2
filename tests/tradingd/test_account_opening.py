"""Our books and the venue's balances when the process starts."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import ClientOrderId
from bus.messages.ledger import FundsChanged
from bus.messages.system import ReconciliationCompleted
from tests.tradingd.live_runtime import Scene
from tradingd.account_opening import MOST_LOOKS, AccountOpening
from tradingd.settings_errors import ConfigError

D = Decimal


class Balances:
    """A venue whose balances are ours and what a list says on top, one entry for each look."""

    def __init__(self, scene: Scene, *more: int) -> None:
        self._scene = scene
        self._more = list(more)
        self.asked: list[ClientOrderId] = []
        self.looks = 0

    async def balances(self) -> dict[str, Decimal]:
        self.looks += 1
        more = self._more.pop(0) if len(self._more) > 1 else self._more[0]
        return {"USDT": self._scene.runtime.engine.ledger.cash + more}

    def query(self, client_order_id: ClientOrderId, symbol: str) -> None:
        self.asked.append(client_order_id)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path).open()


async def compared(scene: Scene, venue: Balances) -> list[tuple[Decimal, str]]:
    """What the comparison took for money that came or went."""
    already = len(scene.told(FundsChanged))
    opening = AccountOpening(
        scene.runtime, venue, "USDT", look_again_s=0.0, answers_within_s=0.2,  # type: ignore[arg-type]
    )
    opening.forbid_entries()
    await opening.compare()
    assert len(scene.told(ReconciliationCompleted)) == 1
    return [(fact.delta, fact.reason) for fact in scene.told(FundsChanged)[already:]]


async def test_books_that_agree_need_one_look(scene: Scene) -> None:
    venue = Balances(scene, 0)
    assert await compared(scene, venue) == []
    assert venue.looks == 1


async def test_money_that_stays_is_believed_at_the_second_look(scene: Scene) -> None:
    assert await compared(scene, Balances(scene, 500)) == [(D(500), "difference found at the venue")]


async def test_the_proceeds_of_an_exit_whose_report_is_still_on_its_way_are_no_deposit(scene: Scene) -> None:
    venue = Balances(scene, 120, 0)
    assert await compared(scene, venue) == []
    assert venue.looks == 2


async def test_nothing_is_compared_while_an_order_is_on_its_way_and_working_ones_are_asked_for(scene: Scene) -> None:
    order = scene.order(order_type="limit", price=D(99))
    scene.runtime.command(order, by="ann")
    assert scene.runtime.engine.orders.get(order.client_order_id).is_at_venue  # type: ignore[union-attr]

    class Answering(Balances):
        async def balances(self) -> dict[str, Decimal]:
            found = await super().balances()
            if self.looks == 2:
                scene.settle_venue()  # accepted: it works, and its money is still ours
            return found

    venue = Answering(scene, 500)
    assert await compared(scene, venue) == [(D(500), "difference found at the venue")]
    assert venue.looks == 3
    assert venue.asked == [order.client_order_id]


async def test_a_difference_is_not_believed_before_a_slow_venue_has_answered_what_it_was_asked(scene: Scene) -> None:
    order = scene.order(order_type="limit", price=D(99))
    scene.runtime.command(order, by="ann")
    scene.settle_venue()

    class Slow(Balances):
        """Its answer, that the order is cancelled and its money free, takes longer than two looks."""

        sold = 500

        async def balances(self) -> dict[str, Decimal]:
            self.looks += 1
            return {"USDT": scene.runtime.engine.ledger.cash + self.sold}

        @property
        def questions(self) -> int:
            if self.asked and self.sold:
                asyncio.get_running_loop().call_soon(setattr, self, "sold", 0)
            return 1 if self.sold else 0

    venue = Slow(scene, 0)
    assert await compared(scene, venue) == []
    assert venue.looks == 2
    assert venue.asked == [order.client_order_id]


async def test_questions_that_never_run_out_do_not_keep_entries_out_for_ever(scene: Scene) -> None:
    class AskedAnew(Balances):
        """Its stream is away and it answers slowly: before one answer is there the next question is put."""

        questions = 1

    venue = AskedAnew(scene, 500)
    async with asyncio.timeout(5):
        assert await compared(scene, venue) == [(D(500), "difference found at the venue")]
    assert venue.looks == 2


async def test_money_that_never_rests_does_not_keep_entries_out_for_ever(scene: Scene) -> None:
    venue = Balances(scene, *range(1, MOST_LOOKS + 10))
    assert await compared(scene, venue) == [(D(MOST_LOOKS), "difference found at the venue")]


def test_capital_in_another_currency_is_no_new_account(scene: Scene) -> None:
    other = AccountOpening(scene.runtime, scene.runtime.venue, "USDC")
    scene.runtime.engine.ledger.funds_in = Decimal(0)  # as of a ledger that is counted in USDC
    with pytest.raises(ConfigError, match=r"account\.quote is USDC.*it holds USDT"):
        other.give_capital(Decimal(1000))
