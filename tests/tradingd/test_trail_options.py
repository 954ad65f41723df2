"""A trail's further options through REST and the command line, as far as the paper venue, with the real engine."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bus.messages.orders import OrderSubmitted, OrderTriggered, TrailSpec
from tests.tradingd.live_runtime import BTC
from tests.tradingd.test_management_api import Desk, open_desk
from tradingd import cli_orders, exit_codes
from tradingd.api.models import TrailRequest
from tradingd.api.models_orders import OrderRequest
from tradingd.api.routes_orders import keyed_order_id
from tradingd.cli import app

D = Decimal
EVERYTHING = {
    "kind": "percent", "value": "2", "activation_price": "105", "limit_offset": "0.1", "price_source": "mid",
    "break_even": "1", "decay": "10", "decay_floor": "0.5",
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    for each in open_desk(tmp_path):
        each.order(type="market", price=None)
        each.scene.settle_venue()
        yield each


def trailing_sell(desk: Desk, **trail: str) -> Any:
    return desk.order(
        side="sell", type="trailing", price=None, trail={"kind": "percent", "value": "2", **trail},
    )


def test_every_option_reaches_the_engine_and_is_shown_again(desk: Desk) -> None:
    made = desk.order(side="sell", type="trailing", price=None, trail=EVERYTHING)
    assert made["state"] == "PENDING"
    assert made["trail"] == {
        "kind": "percent", "distance": "0.02", "activation_price": "105", "limit_offset": "0.001",
        "price_source": "mid", "break_even": "0.01", "decay": "0.1", "decay_floor": "0.005",
    }
    order = desk.scene.runtime.engine.orders.get(made["id"])
    assert order is not None
    assert order.spec.trail == TrailSpec(
        "percent", D("0.02"), D(105), D("0.001"), "mid", D("0.01"), D("0.1"), D("0.005"),
    )


def test_a_trail_with_an_activation_price_sleeps_until_the_price_is_there(desk: Desk) -> None:
    made = trailing_sell(desk, activation_price="103")
    desk.scene.price(BTC, "97")
    assert desk.scene.told(OrderTriggered) == []
    desk.scene.price(BTC, "103.5")
    assert desk.client.get(f"/api/orders/{made['id']}")["trigger"] == "101.43"
    desk.scene.price(BTC, "101.4")
    assert [fact.client_order_id for fact in desk.scene.told(OrderTriggered)] == [made["id"]]


def test_a_trail_with_a_limit_offset_leaves_as_that_limit(desk: Desk) -> None:
    made = trailing_sell(desk, limit_offset="0.1")
    desk.scene.price(BTC, "97.9")
    sent = desk.scene.told(OrderSubmitted)[-1]
    trigger = desk.scene.told(OrderTriggered)[-1].trigger
    assert (sent.client_order_id, sent.wire_type) == (made["id"], "limit")
    assert abs(sent.price / trigger - D("0.999")) < D("0.0002")


def test_a_limit_offset_of_zero_is_a_limit_at_the_trigger(desk: Desk) -> None:
    assert trailing_sell(desk, limit_offset="0")["trail"]["limit_offset"] == "0"


def test_after_the_gain_for_break_even_the_trigger_is_not_below_the_start(desk: Desk) -> None:
    made = trailing_sell(desk, break_even="1")
    start = D(made["best"])
    desk.scene.price(BTC, str(start * D("1.011")))
    assert D(desk.client.get(f"/api/orders/{made['id']}")["trigger"]) >= start


def test_a_decaying_trail_comes_closer_down_to_its_floor(desk: Desk) -> None:
    made = trailing_sell(desk, decay="50", decay_floor="0.5")
    best, trigger = D(made["best"]), D(made["trigger"])
    for _ in range(60):
        desk.scene.second()
    order = desk.scene.runtime.engine.orders.get(made["id"])
    assert order is not None
    assert order.is_armed
    closer = desk.scene.runtime.engine.trigger_of(made["id"])
    assert closer is not None
    assert trigger < closer <= best * D("0.99")
    for _ in range(120):
        desk.scene.second()
    assert desk.scene.runtime.engine.trigger_of(made["id"]) == best * D("0.995")


def test_the_options_of_a_protection_are_those_of_its_armed_trail(desk: Desk) -> None:
    trail = {"kind": "absolute", "value": "3", "limit_offset": "0.2", "decay": "10", "decay_floor": "1"}
    entry = desk.order(type="market", price=None, quantity="2", protection={"trail": trail})
    assert entry["protection"]["trail"]["decay_floor"] == "1"
    desk.scene.settle_venue()
    child = desk.client.get(f"/api/orders/{entry['id']}-x")
    assert child["trail"] == entry["protection"]["trail"]
    assert child["trail"]["limit_offset"] == "0.002"


def test_a_change_puts_a_whole_trail_in_the_place_of_the_old_one(desk: Desk) -> None:
    made = trailing_sell(desk, limit_offset="0.1", break_even="1")
    trail = {"kind": "percent", "value": "1.5", "price_source": "bid_ask"}
    desk.client.call("PATCH", f"/api/orders/{made['id']}", {"trail": trail})
    after = desk.client.get(f"/api/orders/{made['id']}")["trail"]
    assert (after["distance"], after["limit_offset"], after["break_even"]) == ("0.015", None, None)
    assert after["price_source"] == "bid_ask"


@pytest.mark.parametrize(("trail", "field"), [
    ({"limit_offset": "100"}, "trail.limit_offset"),
    ({"limit_offset": "-1"}, "trail.limit_offset"),
    ({"limit_offset": 0.1}, "trail.limit_offset"),
    ({"activation_price": "0"}, "trail.activation_price"),
    ({"price_source": "index"}, "trail.price_source"),
    ({"break_even": "100"}, "trail.break_even"),
    ({"decay": "10"}, "trail.decay_floor"),
    ({"decay_floor": "1"}, "trail.decay_floor"),
    ({"decay": "101", "decay_floor": "1"}, "trail.decay"),
    ({"decay": "10", "decay_floor": "2.1"}, "trail.decay_floor"),
    ({"callback": "1"}, "trail.callback"),
])
def test_what_makes_no_sense_is_refused_with_the_name_of_its_field(desk: Desk, trail: Any, field: str) -> None:
    body = {"symbol": BTC, "side": "sell", "type": "trailing", "quantity": "1",
            "trail": {"kind": "percent", "value": "2", **trail}}
    error = desk.refused("POST", "/api/orders", body)
    assert (error.status, error.code) == (422, "INVALID_REQUEST")
    assert error.body["field"] == field
    made = trailing_sell(desk)
    changed = desk.refused("PATCH", f"/api/orders/{made['id']}", {"trail": body["trail"]})
    assert changed.body["field"] == field


def test_an_order_whose_time_is_over_is_told_so_in_dates(desk: Desk) -> None:
    body = {"symbol": BTC, "side": "buy", "type": "limit", "quantity": "1", "price": "95",
            "expire_at": "2020-01-01T00:00:00Z"}
    error = desk.refused("POST", "/api/orders", body)
    assert error.code == "INVALID_ORDER"
    assert "expire_at 2020-01-01T00:00:00Z, now is 2023-11-14T" in str(error)


@given(st.fixed_dictionaries({
    "kind": st.sampled_from(["percent", "absolute", "atr"]), "value": st.just("2"),
}, optional={
    "activation_price": st.just("3"), "limit_offset": st.sampled_from(["0", "0.5", "99.9"]),
    "price_source": st.sampled_from(["last", "mid", "bid_ask"]), "break_even": st.sampled_from(["0.1", "99"]),
    "decay": st.sampled_from(["0.1", "100"]), "decay_floor": st.sampled_from(["0.1", "2"]),
}))
def test_what_the_request_lets_pass_the_engine_finds_sound(fields: dict[str, str]) -> None:
    from orders.admission import trail_problems

    request = TrailRequest.model_validate(fields)
    if request.problem() is None:
        assert list(trail_problems(request.spec())) == []


def test_a_key_without_the_new_options_still_names_the_order_it_named_before() -> None:
    body = {"symbol": BTC, "side": "sell", "type": "trailing", "quantity": "1"}
    plain = OrderRequest.model_validate({**body, "trail": {"kind": "percent", "value": "2"}})
    # the id that this request had when a trail was no more than kind and value
    assert keyed_order_id("ann", "k", plain, BTC) == "td-kb13524fd0c14d4e119a57ffe"
    refined = OrderRequest.model_validate({**body, "trail": {"kind": "percent", "value": "2", "limit_offset": "0"}})
    assert keyed_order_id("ann", "k", refined, BTC) != keyed_order_id("ann", "k", plain, BTC)


# ---- the command line


class Caught:
    """A daemon's client that keeps what it is asked."""

    body: Any = None

    def post(self, _: str, body: Any) -> Any:
        self.body = body
        return {"id": "td-1", "side": "sell", "quantity": "1", "symbol": BTC, "type": "trailing", "state": "PENDING",
                "detail": "armed", "average_price": None, "trigger": "98"}

    def call(self, _: str, path: str, body: Any) -> Any:
        return self.post(path, body)


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> Caught:
    client = Caught()
    monkeypatch.setattr(cli_orders, "connect", lambda *_: client)
    return client


REFINED = ("--activation", "105", "--limit-offset", "0.1%", "--price-source", "bid-ask", "--break-even", "1%",
           "--decay", "10", "--decay-floor", "0.5%")
ASKED = {"activation_price": "105", "limit_offset": "0.1", "price_source": "bid_ask", "break_even": "1", "decay": "10",
         "decay_floor": "0.5"}


def test_the_command_line_says_all_of_a_trail(caught: Caught) -> None:
    result = CliRunner().invoke(app, ["order", "sell", BTC, "1", "--trail", "2%", *REFINED])
    assert result.exit_code == 0, result.output
    assert caught.body["trail"] == {"kind": "percent", "value": "2", **ASKED}
    result = CliRunner().invoke(app, ["modify", "td-1", "--trail", "2%", *REFINED])
    assert result.exit_code == 0, result.output
    assert caught.body["trail"] == {"kind": "percent", "value": "2", **ASKED}


def test_without_a_trail_of_its_own_the_options_are_those_of_the_protection(caught: Caught) -> None:
    result = CliRunner().invoke(app, ["order", "buy", BTC, "1", "--with-trail", "2%", *REFINED])
    assert result.exit_code == 0, result.output
    assert caught.body["protection"] == {"trail": {"kind": "percent", "value": "2", **ASKED}}


@pytest.mark.parametrize("arguments", [
    ["order", "sell", BTC, "1", "--price", "100", "--limit-offset", "0.1%"],
    ["modify", "td-1", "--price", "100", "--activation", "105"],
    ["order", "sell", BTC, "1", "--trail", "2%", "--break-even", "much"],
])
def test_options_that_belong_to_no_trail_or_are_no_number_are_said_so(caught: Caught, arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    assert caught.body is None
    assert getattr(result.exception, "code", exit_codes.USAGE) == exit_codes.USAGE
