"""Money and coins that move at the venue without us."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import ClientOrderId
from bus.messages.ledger import FundsChanged, PositionClosed
from bus.messages.orders import ExecutionReport
from bus.messages.system import AlertRaised
from exchanges.answers import VenueError
from tests.orders.trading import BTC, ETH
from tests.tradingd.live_runtime import Scene
from tradingd.account_watch import MOST_MISSED, AccountWatch
from tradingd.message_journal import MessageJournal
from tradingd.replay_check import check_replay

D = Decimal


class Account:
    """What the venue's balance page says; a person may have changed it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.by_hand: dict[str, Decimal] = {}
        self.is_down = False
        self.asked: list[str] = []

    def query(self, client_order_id: str, _symbol: str) -> None:
        self.asked.append(client_order_id)

    async def balances(self) -> dict[str, Decimal]:
        if self.is_down:
            raise VenueError("balances: no answer")
        held = {
            asset: amount for account, asset, amount in self._scene.runtime.engine.ledger.accounts()
            if account == "holdings"
        }
        return {asset: held.get(asset, D(0)) + self.by_hand.get(asset, D(0)) for asset in {*held, *self.by_hand}}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path).open()


@pytest.fixture
def account(scene: Scene) -> Account:
    return Account(scene)


@pytest.fixture
def watch(scene: Scene, account: Account) -> AccountWatch:
    def change(fact: FundsChanged) -> None:
        account.by_hand[fact.asset] -= fact.delta
        scene.runtime.take(scene.runtime.record("daemon", fact))

    return AccountWatch(scene.runtime, account, "USDT", scene.instruments, change)  # type: ignore[arg-type]


def funds(scene: Scene) -> list[tuple[Decimal, str]]:
    return [(fact.delta, fact.reason) for fact in scene.told(FundsChanged)[1:]]


async def test_money_that_stays_is_a_deposit_at_the_second_look(
    scene: Scene, account: Account, watch: AccountWatch,
) -> None:
    account.by_hand["USDT"] = D(500)
    await watch.look()
    assert funds(scene) == []
    await watch.look()
    assert funds(scene) == [(D(500), "deposit found at the venue")]
    assert scene.runtime.engine.ledger.cash == D(10_500)
    assert scene.runtime.engine.look().realized_pnl == 0
    await watch.look()
    await watch.look()
    assert len(funds(scene)) == 1


async def test_money_that_went_is_a_withdrawal(scene: Scene, account: Account, watch: AccountWatch) -> None:
    account.by_hand["USDT"] = D(-500)
    await watch.look()
    await watch.look()
    assert funds(scene) == [(D(-500), "withdrawal found at the venue")]
    assert scene.runtime.engine.look().daily_drawdown == 0.0


async def test_a_difference_that_passes_is_not_believed(
    scene: Scene, account: Account, watch: AccountWatch,
) -> None:
    for amount in (500, 0, 500, -400, 0):
        account.by_hand["USDT"] = D(amount)
        await watch.look()
    assert funds(scene) == []


@pytest.mark.parametrize(
    ("amounts", "believed"),
    [
        ((500, 400), [400]),
        ((-100, -200, -300), [-100, -100]),
        ((-100, -300, -300), [-100, -200]),
        ((500, 400, 0), [400, -400]),
    ],
)
async def test_of_a_difference_that_changes_at_each_look_what_was_there_twice_is_believed(
    scene: Scene, account: Account, watch: AccountWatch, amounts: tuple[int, ...], believed: list[int],
) -> None:
    """`by_hand` is on top of our books: what they have followed is in them from then on."""
    followed = 0
    for amount in (*amounts, amounts[-1]):
        account.by_hand["USDT"] = D(amount - followed)
        await watch.look()
        followed = sum(int(delta) for delta, _ in funds(scene))
    assert [int(delta) for delta, _ in funds(scene)][: len(believed)] == believed
    assert scene.runtime.engine.ledger.cash == 10_000 + amounts[-1]


async def test_coins_sold_by_hand_piece_by_piece_are_followed_two_looks_behind(
    scene: Scene, account: Account, watch: AccountWatch,
) -> None:
    held(scene, "2")
    quantities = []
    for piece in range(1, 5):
        account.by_hand["BTC"] = D("-0.1") * piece - (scene.runtime.engine.ledger.quantity(BTC) - 2)
        await watch.look()
        quantities.append(scene.runtime.engine.ledger.quantity(BTC))
    assert quantities == [D(2), D("1.9"), D("1.8"), D("1.7")]


async def test_an_unknown_order_of_one_symbol_does_not_keep_the_coins_of_another_from_being_followed(
    scene: Scene, account: Account, watch: AccountWatch,
) -> None:
    held(scene, "2")
    scene.runtime.command(scene.order(ETH, quantity="2"), by="ann")  # sent, and without an answer from here on
    account.by_hand |= {"BTC": D("-0.5"), "ETH": D("-0.5"), "USDT": D(-100)}
    await watch.look()
    await watch.look()
    assert funds(scene) == [(D("-0.5"), "sold or moved by hand")]
    assert scene.runtime.engine.ledger.quantity(BTC) == D("1.5")


async def test_news_of_one_asset_does_not_keep_another_from_being_followed(
    scene: Scene, account: Account, watch: AccountWatch,
) -> None:
    held(scene, "2")
    account.by_hand["BTC"] = D("-0.5")
    await watch.look()
    account.by_hand["USDT"] = D(500)
    await watch.look()
    assert funds(scene) == [(D("-0.5"), "sold or moved by hand")]


async def test_a_look_that_is_missed_does_not_make_the_next_one_the_first(
    scene: Scene, account: Account, watch: AccountWatch,
) -> None:
    held(scene, "2")
    account.by_hand["BTC"] = D("-0.5")
    await watch.look()
    scene.runtime.command(scene.order(quantity="0.5"), by="ann")
    await watch.look()
    assert funds(scene) == []
    scene.settle_venue()
    scene.settle_venue()
    await watch.look()
    assert funds(scene) == [(D("-0.5"), "sold or moved by hand")]


async def test_what_was_seen_long_ago_proves_nothing(scene: Scene, account: Account, watch: AccountWatch) -> None:
    account.by_hand["USDT"] = D(500)
    await watch.look()
    account.is_down = True
    for _ in range(MOST_MISSED + 1):
        await watch.look()
    account.is_down = False
    await watch.look()
    assert funds(scene) == []


async def test_nothing_is_believed_while_an_order_is_on_its_way(
    scene: Scene, account: Account, watch: AccountWatch,
) -> None:
    scene.runtime.command(scene.order(quantity="1"), by="ann")
    account.by_hand["USDT"] = D(-100)
    await watch.look()
    await watch.look()
    assert funds(scene) == []


async def test_a_venue_that_does_not_answer_changes_nothing(
    scene: Scene, account: Account, watch: AccountWatch,
) -> None:
    account.by_hand["USDT"] = D(500)
    account.is_down = True
    await watch.look()
    await watch.look()
    account.is_down = False
    await watch.look()
    assert funds(scene) == []


@pytest.mark.parametrize(("amount", "level"), [("0.5", "info"), ("-0.5", "critical")])
async def test_coins_that_came_are_foreign_and_coins_that_went_are_missed(
    scene: Scene, account: Account, watch: AccountWatch, amount: str, level: str,
) -> None:
    account.by_hand["BTC"] = D(amount)
    for _ in range(4):
        await watch.look()
    assert funds(scene) == []
    assert scene.runtime.engine.ledger.quantity(BTC) == 0
    told = [alert for alert in scene.told(AlertRaised) if "BTC" in alert.title]
    assert [alert.level for alert in told] == [level]


def held(scene: Scene, quantity: str) -> None:
    scene.runtime.command(scene.order(quantity=quantity), by="ann")
    scene.settle_venue()
    scene.settle_venue()


async def test_a_position_follows_what_was_sold_by_hand(scene: Scene, account: Account, watch: AccountWatch) -> None:
    held(scene, "2")
    ledger = scene.runtime.engine.ledger
    had = ledger.quantity(BTC)
    account.by_hand["BTC"] = D("-0.5")
    await watch.look()
    assert ledger.quantity(BTC) == had
    await watch.look()
    assert ledger.quantity(BTC) == had - D("0.5")
    assert funds(scene) == [(D("-0.5"), "sold or moved by hand")]
    (told,) = [alert for alert in scene.told(AlertRaised) if "BTC" in alert.title]
    assert (told.level, told.title) == ("critical", "BTC is missing")
    (row,) = scene.runtime.read_model.positions()
    assert D(row.quantity) == had - D("0.5")
    await watch.look()
    await watch.look()
    assert len(funds(scene)) == 1


async def test_a_page_of_balances_that_contradicts_our_own_sells_shrinks_nothing(
    scene: Scene, account: Account, watch: AccountWatch,
) -> None:
    held(scene, "2")
    scene.runtime.command(
        scene.order(quantity="2", side="sell", order_type="limit", price=D(104), reduce_only=True), by="ann",
    )
    scene.settle_venue()
    had = scene.runtime.engine.ledger.quantity(BTC)
    account.by_hand["BTC"] = D("-0.5")
    for _ in range(4):
        await watch.look()
    assert scene.runtime.engine.ledger.quantity(BTC) == had
    assert funds(scene) == []
    assert account.asked == ["td-t2"]
    assert len([alert for alert in scene.told(AlertRaised) if "BTC" in alert.title]) == 1


@pytest.mark.parametrize("remainder", ["0", "0.0000000001"])
async def test_the_journal_of_coins_that_all_went_by_hand_folds_to_what_it_says(
    scene: Scene, account: Account, watch: AccountWatch, remainder: str,
) -> None:
    held(scene, "2")
    account.by_hand["BTC"] = D(remainder) - D(2)
    await watch.look()
    await watch.look()
    assert scene.runtime.read_model.positions() == []
    assert [closed.quantity for closed in scene.told(PositionClosed)] == [D(2)]
    journal = MessageJournal.open(scene.path, read_only=True)
    try:
        assert check_replay(journal, "USDT").differences == []
    finally:
        journal.close()


class TalkingAccount(Account):
    """Tells balances unasked, and knows which orders it works on."""

    listener: object = None

    def listen_to_balances(self, sink: object) -> None:
        self.listener = sink

    def is_watching(self, client_order_id: str) -> bool:
        return client_order_id == "td-x1"


async def test_a_venue_that_tells_of_balances_and_orders_is_listened_to_from_the_start(scene: Scene) -> None:
    scene.runtime.on_report(ExecutionReport(ClientOrderId("td-x1"), "BTC/USDT", "accepted", scene.clock.now()))
    account = TalkingAccount(scene)
    watch = AccountWatch(scene.runtime, account, "USDT", scene.instruments, lambda _: None)  # type: ignore[arg-type]
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watch.run())
        while not (account.listener and scene.runtime.health.is_raised("strangers")):  # noqa: ASYNC110 - of others
            await asyncio.sleep(0)
        running.cancel()
