"""Orders and the account through REST and the command line, against a real engine and the paper venue."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bus.ids import CLIENT_ID_PREFIX, ClientOrderId
from bus.messages.orders import CancelOrder
from tests.tradingd.live_runtime import BTC, ETH, Scene
from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd import cli_orders, exit_codes
from tradingd.auth import Auth, mint_token
from tradingd.cli import app
from tradingd.client import AnswerError, Client
from tradingd.control import DaemonStatus
from tradingd.settings import RiskSettings


class SceneControl:
    """The control plane over a scene's runtime; time moves only when a test says so."""

    def __init__(self, scene: Scene, like: SmallDaemon, mode: str = "paper") -> None:
        self.scene = scene
        self.settings = like.settings.model_copy(update={"symbols": (BTC, ETH), "mode": mode})
        self.read_model = scene.runtime.read_model
        self._like = like
        self._count = 0

    def now(self) -> int:
        return self.scene.clock.now()

    async def execute(self, body: object, *, by: str) -> Any:
        return self.scene.runtime.command(body, by=by)

    def status(self) -> DaemonStatus:
        return self._like.status()

    def next_manual_order_id(self) -> ClientOrderId:
        self._count += 1
        return ClientOrderId(f"{CLIENT_ID_PREFIX}m{self._count}")

    def request_shutdown(self, reason: str) -> None:
        raise AssertionError(reason)


class Desk:
    """A served scene and an operator's client."""

    def __init__(self, scene: Scene, url: str, data_dir: Path) -> None:
        self.scene = scene
        self.client = Client(url, mint_token(data_dir))

    def order(self, **more: str | object) -> Any:
        body = {"symbol": BTC, "side": "buy", "type": "limit", "quantity": "1", "price": "95", **more}
        return self.client.post("/api/orders", {name: value for name, value in body.items() if value is not None})

    def keyed(self, key: str, **more: str) -> Any:
        body = {"symbol": BTC, "side": "buy", "type": "market", "quantity": "1", **more}
        return self.client.post("/api/orders", body, {"Idempotency-Key": key})

    def refused(self, method: str, path: str, body: object = None) -> AnswerError:
        with pytest.raises(AnswerError) as caught:
            self.client.call(method, path, body)
        return caught.value


def open_desk(folder: Path, mode: str = "paper") -> Iterator[Desk]:
    risk = RiskSettings(exposure_per_asset=Decimal("0.5"), exposure_total=Decimal("0.8"), duplicate_window_s=Decimal(0))
    scene = Scene(folder / "scene", risk=risk).open()
    control = SceneControl(scene, SmallDaemon(settings_in(folder)), mode)
    with served(control, Auth.open(folder)) as url:  # type: ignore[arg-type]
        yield Desk(scene, url, folder)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield from open_desk(tmp_path)


# ---- orders


def test_an_order_at_the_venue_is_changed_and_the_answer_is_its_successor(desk: Desk) -> None:
    first = desk.order()
    desk.scene.settle_venue()
    changed = desk.client.call("PATCH", f"/api/orders/{first['id']}", {"price": "96"})
    assert (changed["replaces"], changed["price"], changed["state"]) == (first["id"], "96", "PENDING")
    desk.scene.settle_venue()
    desk.scene.settle_venue()
    assert desk.client.get(f"/api/orders/{first['id']}")["state"] == "CANCELLED"
    assert desk.client.get(f"/api/orders/{changed['id']}")["state"] == "SUBMITTED"


def test_a_held_order_is_changed_in_place(desk: Desk) -> None:
    first = desk.order(type="stop", price=None, stop_price="104")
    changed = desk.client.call("PATCH", f"/api/orders/{first['id']}", {"stop_price": "103", "quantity": "2"})
    assert (changed["id"], changed["stop_price"], changed["quantity"]) == (first["id"], "103", "2")


def test_a_change_of_nothing_or_of_an_ended_or_unknown_order_is_refused(desk: Desk) -> None:
    first = desk.order()
    desk.scene.settle_venue()
    path = f"/api/orders/{first['id']}"
    assert desk.refused("PATCH", path, {}).code == "INVALID_REQUEST"
    assert desk.refused("PATCH", path, {"stop_price": "90"}).code == "INVALID_ORDER"
    assert desk.refused("PATCH", "/api/orders/td-nothing", {"price": "96"}).status == 404
    desk.client.delete(path)
    desk.scene.settle_venue()
    error = desk.refused("PATCH", path, {"price": "96"})
    assert (error.status, error.code) == (409, "ALREADY_ENDED")


def test_a_buy_with_protection_is_a_bracket_of_which_one_leg_sells(desk: Desk) -> None:
    protection = {"stop_percent": "2", "take_profit_percent": "3", "trail": {"kind": "percent", "value": "2.5"}}
    entry = desk.order(type="market", price=None, protection=protection)
    assert entry["protection"]["stop_ratio"] == "0.02"
    desk.scene.settle_venue()
    legs = [order for order in desk.client.get("/api/orders?limit=50") if order["parent_id"] == entry["id"]]
    assert sorted(leg["type"] for leg in legs) == ["stop", "take_profit", "trailing"]
    desk.scene.price(BTC, "103.3")
    desk.scene.settle_venue()
    states = sorted(desk.client.get(f"/api/orders/{leg['id']}")["state"] for leg in legs)
    assert states == ["CANCELLED", "CANCELLED", "FILLED"]
    assert desk.client.get("/api/positions") == []


def test_a_take_profit_sells_at_or_above_its_price(desk: Desk) -> None:
    desk.order(type="market", price=None)
    desk.scene.settle_venue()
    target = desk.order(side="sell", type="take_profit", price=None, stop_price="102")
    desk.scene.price(BTC, "101.9")
    assert desk.client.get(f"/api/orders/{target['id']}")["state"] == "PENDING"
    desk.scene.price(BTC, "102.1")
    desk.scene.settle_venue()
    assert desk.client.get(f"/api/orders/{target['id']}")["state"] == "FILLED"


def test_an_order_ends_after_its_longest_time(desk: Desk) -> None:
    order = desk.order(type="stop", price=None, stop_price="104", max_duration_s=2)
    assert order["expires"]
    for _ in range(3):
        desk.scene.second()
    assert desk.client.get(f"/api/orders/{order['id']}")["state"] == "EXPIRED"


@pytest.mark.parametrize(("more", "field"), [
    ({"protection": {}}, "protection"), ({"protection": {"stop_percent": "100"}}, "protection.stop_percent"),
    ({"side": "sell", "protection": {"stop_percent": "1"}}, "protection"), ({"expire_at": "tomorrow"}, "expire_at"),
    ({"expire_at": "2026-01-01T00:00:00"}, "expire_at"), ({"max_duration_s": 0}, "max_duration_s"),
    ({"side": "buy", "type": "take_profit", "price": None, "stop_price": "101"}, "side"),
    ({"side": "sell", "ends_with_day": True}, "ends_with_day"),
    ({"expire_at": "0001-01-01T00:00:00+23:59"}, "expire_at"),
])
def test_a_wrong_order_is_refused_by_the_name_of_its_field(desk: Desk, more: dict[str, object], field: str) -> None:
    with pytest.raises(AnswerError) as caught:
        desk.order(**more)
    assert (caught.value.status, caught.value.body["field"]) == (422, field)


def test_an_order_whose_time_is_over_already_is_refused(desk: Desk) -> None:
    with pytest.raises(AnswerError) as caught:
        desk.order(expire_at="2001-01-01T00:00:00Z")
    assert (caught.value.code, caught.value.body["rule"]) == ("INVALID_ORDER", "expire_at")


def test_a_stop_with_a_price_leaves_as_that_limit(desk: Desk) -> None:
    order = desk.order(type="stop", stop_price="103", price="103.5")
    desk.scene.price(BTC, "104")
    desk.scene.settle_venue()
    assert desk.client.get(f"/api/orders/{order['id']}")["state"] == "SUBMITTED"
    desk.scene.price(BTC, "103.2")
    desk.scene.settle_venue()
    assert desk.client.get(f"/api/orders/{order['id']}")["average_price"] == "103.5"


# ---- the account


def test_a_deposit_and_a_withdrawal_change_the_balance_and_no_profit(desk: Desk) -> None:
    answer = desk.client.post("/api/account/deposit", {"amount": "500"})
    assert (answer["balance"], answer["delta"], answer["quote"]) == ("10500", "500", "USDT")
    assert desk.client.post("/api/account/withdraw", {"amount": "1500"})["balance"] == "9000"
    desk.scene.second()
    told = desk.client.get("/api/performance")
    assert (told["net_pnl"], told["max_drawdown"]) == ("0", 0.0)


def test_more_than_is_free_cannot_be_withdrawn(desk: Desk) -> None:
    error = desk.refused("POST", "/api/account/withdraw", {"amount": "10001"})
    assert (error.status, error.code) == (422, "INSUFFICIENT_FUNDS")


def test_an_account_at_a_venue_is_not_changed_by_command(tmp_path: Path) -> None:
    for desk in open_desk(tmp_path, "live"):
        error = desk.refused("POST", "/api/account/deposit", {"amount": "500"})
        assert (error.status, error.code) == (409, "NOT_PAPER")


def test_a_deposit_is_on_disk_with_what_followed_from_it(desk: Desk) -> None:
    from bus.messages.ledger import FundsChanged

    desk.client.post("/api/account/deposit", {"amount": "500", "reason": "savings"})
    assert [(fact.delta, fact.reason) for fact in desk.scene.told(FundsChanged)][-1] == (500, "savings")


def test_positions_are_brought_to_target_weights(desk: Desk) -> None:
    answer = desk.client.post("/api/positions/rebalance", {"weights": {BTC: "0.2", "eth/usdt": "0.1"}})
    assert answer["weights"] == {BTC: "0.2", ETH: "0.1"}
    for _ in range(6):
        desk.scene.settle_venue()
        desk.scene.price(BTC, "100")
        desk.scene.price(ETH, "10")
        desk.scene.second()
    held = {row["symbol"]: float(row["value"]) for row in desk.client.get("/api/positions")}
    assert held[BTC] == pytest.approx(2000, abs=100)
    assert held[ETH] == pytest.approx(1000, abs=100)


@pytest.mark.parametrize(("weights", "status", "code"), [
    ({}, 422, "INVALID_REQUEST"), ({BTC: "1.2"}, 422, "INVALID_REQUEST"), ({BTC: 0.2}, 422, "INVALID_REQUEST"),
    ({BTC: "0.7"}, 422, "EXPOSURE_PER_ASSET"), ({"X/Y": "0.1"}, 422, "UNKNOWN_SYMBOL"),
    ({BTC: "0.45", ETH: "0.45"}, 422, "EXPOSURE_TOTAL"),
])
def test_weights_that_make_no_sense_are_refused(desk: Desk, weights: object, status: int, code: str) -> None:
    error = desk.refused("POST", "/api/positions/rebalance", {"weights": weights})
    assert (error.status, error.code) == (status, code)


def test_all_positions_are_closed_at_once(desk: Desk) -> None:
    assert desk.client.post("/api/positions/close-all")["symbols"] == []
    desk.order(type="market", price=None)
    desk.order(type="market", price=None, symbol=ETH, quantity="10")
    desk.scene.settle_venue()
    answer = desk.client.post("/api/positions/close-all")
    assert (answer["symbols"], len(answer["orders"])) == ([BTC, ETH], 2)
    desk.scene.settle_venue()
    assert desk.client.get("/api/positions") == []


@pytest.fixture
def unsellable(desk: Desk) -> Desk:
    """1 BTC can be sold; 2 ETH cannot: they have fallen below the venue's least worth of an order."""
    desk.order(type="market", price=None)
    desk.order(type="market", price=None, symbol=ETH, quantity="2")
    desk.scene.settle_venue()
    for _ in range(2):
        desk.scene.price(ETH, "2")
    return desk


def test_closing_all_says_of_which_position_the_sale_was_refused(unsellable: Desk) -> None:
    answer = unsellable.client.post("/api/positions/close-all")
    assert (answer["symbols"], len(answer["orders"])) == ([BTC], 1)
    (refused,) = answer["refused"]
    assert (refused["symbol"], refused["code"]) == (ETH, "POSITION_IS_DUST")
    assert "minimum is 5 USDT" in refused["message"]
    unsellable.scene.settle_venue()
    assert [row["symbol"] for row in unsellable.client.get("/api/positions")] == [ETH]


def test_closing_one_or_all_that_cannot_be_sold_is_refused_by_the_rules(unsellable: Desk) -> None:
    unsellable.client.post("/api/positions/close", {"symbol": BTC})
    unsellable.scene.settle_venue()
    for path, body in (("close", {"symbol": ETH}), ("close-all", None)):
        error = unsellable.refused("POST", f"/api/positions/{path}", body)
        assert (error.status, error.code) == (422, "POSITION_IS_DUST")


# ---- orders that only the journal knows


@pytest.fixture
def forgotten(desk: Desk) -> tuple[Desk, str]:
    """An order that was given with a key and filled, and a hundred later ones that ended, too."""
    scene = desk.scene
    scene.runtime.read_model.journal = scene.path
    order_id = desk.keyed("my-key")["id"]
    scene.settle_venue()
    for _ in range(101):
        later = scene.order(ETH, "2", order_type="limit", price=Decimal(9))
        scene.runtime.command(later, by="ann")
        scene.runtime.command(CancelOrder(later.client_order_id, "enough"), by="ann")
        scene.settle_venue()
        scene.second()
        scene.price(BTC, "100")
        scene.price(ETH, "10")
    assert scene.runtime.read_model.order(order_id) is None
    return desk, order_id


def test_a_key_is_answered_with_its_order_when_only_the_journal_knows_it(forgotten: tuple[Desk, str]) -> None:
    desk, order_id = forgotten
    again = desk.keyed("my-key")
    assert (again["id"], again["state"], again["filled"]) == (order_id, "FILLED", "1")
    assert [row["quantity"] for row in desk.client.get("/api/positions")] == ["1"]


def test_a_key_of_a_forgotten_order_with_another_body_is_a_conflict(forgotten: tuple[Desk, str]) -> None:
    desk, _ = forgotten
    with pytest.raises(AnswerError) as caught:
        desk.keyed("my-key", quantity="2")
    assert caught.value.code == "IDEMPOTENCY_CONFLICT"


@pytest.mark.parametrize(("method", "body"), [("DELETE", None), ("PATCH", {"price": "96"})])
def test_an_order_that_only_the_journal_knows_has_ended_and_is_not_unknown(
    forgotten: tuple[Desk, str], method: str, body: object
) -> None:
    desk, order_id = forgotten
    error = desk.refused(method, f"/api/orders/{order_id}", body)
    assert (error.status, error.code, error.body["order_id"]) == (409, "ALREADY_ENDED", order_id)


# ---- the command line


@pytest.fixture
def run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(cli_orders, "connect", lambda *_: desk.client)

    def command(*words: str) -> Any:
        return CliRunner().invoke(app, list(words))

    return command


def test_the_command_line_gives_a_bracket_changes_it_and_closes_everything(desk: Desk, run: Any) -> None:
    given = run(
        "order", "buy", BTC, "1", "--type", "limit", "--price", "95", "--with-stop", "2%", "--with-target", "4%",
        "--with-trail", "1%", "--for", "15m", "--improve", "--json",
    )
    order = json.loads(given.stdout)
    assert order["protection"]["take_profit_ratio"] == "0.04"
    assert order["improve"] is True
    desk.scene.settle_venue()
    changed = run("modify", order["id"], "--price", "100")
    assert f"in place of {order['id']}" in changed.stdout
    desk.scene.settle_venue()
    desk.scene.settle_venue()
    assert [row["symbol"] for row in desk.client.get("/api/positions")] == [BTC]
    assert "closing BTC/USDT" in run("close", "--all").stdout
    desk.scene.settle_venue()
    assert run("close", "--all").stdout.strip() == "no position is open"


def test_the_command_line_says_which_position_stays_and_ends_as_refused(unsellable: Desk, run: Any) -> None:
    told = run("close", "--all")
    assert told.exit_code == exit_codes.REFUSED
    assert told.stdout.startswith("closing BTC/USDT with ")
    assert ETH not in told.stdout
    assert "ETH/USDT stays open: The order is worth" in told.stderr
    assert "[POSITION_IS_DUST]" in told.stderr


def test_the_answer_for_programs_is_one_document_also_when_a_position_stays(unsellable: Desk, run: Any) -> None:
    told = run("close", "--all", "--json")
    assert told.exit_code == exit_codes.REFUSED
    assert [each["symbol"] for each in json.loads(told.stdout)["refused"]] == [ETH]


def test_the_command_line_moves_money_and_weights(run: Any) -> None:
    assert "10500 USDT" in run("deposit", "500").stdout
    assert "10000 USDT" in run("withdraw", "500").stdout
    told = run("rebalance", "BTC/USDT=0.2,ETH/USDT=0.1").stdout
    assert "BTC/USDT 0.2" in told
    assert "first with" in told


@pytest.mark.parametrize("words", [
    ("close",), ("close", BTC, "--all"), ("modify", "td-1"), ("rebalance", "BTC/USDT"),
    ("rebalance", "BTC/USDT=0.1,=2"),
    ("order", "buy", BTC, "1", "--for", "soon"), ("order", "buy", BTC, "1", "--with-stop", "much"),
    ("order", "buy", BTC, "1", "--with-trail", "much"), ("order", "buy", BTC, "1", "--with-stop", "0.02"),
])
def test_wrong_words_are_a_usage_error(run: Any, words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2
