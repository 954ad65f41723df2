"""/openapi.json: what it names, that it says what the validators do, and who makes it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from pydantic import BaseModel, ValidationError

from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd.api.app import create_app
from tradingd.api.models_grids import GridRequest
from tradingd.api.models_orders import ModifyRequest, OrderRequest, ProtectionRequest
from tradingd.auth import Auth
from tradingd.client import Client

AMOUNTS = st.sampled_from(["0.10", "1", "99.9", "100", "100.5", "0", "-1", "1e3", "01", "", "7."])
TRAILS = st.none() | st.fixed_dictionaries(
    {"kind": st.sampled_from(["percent", "absolute", "atr", "x"]), "value": AMOUNTS},
    optional={
        "limit_offset": AMOUNTS, "break_even": AMOUNTS, "decay": AMOUNTS, "decay_floor": st.none() | AMOUNTS,
    },
)
PROTECTIONS = st.none() | st.fixed_dictionaries(
    {}, optional={"stop_percent": AMOUNTS, "take_profit_percent": AMOUNTS, "trail": TRAILS}
)
ORDERS = st.fixed_dictionaries(
    {
        "symbol": st.just("BTC/USDT"), "side": st.sampled_from(["buy", "sell"]),
        "type": st.sampled_from(["market", "limit", "stop", "take_profit", "trailing"]), "quantity": AMOUNTS,
    },
    optional={
        "price": st.none() | AMOUNTS, "stop_price": st.none() | AMOUNTS, "trail": TRAILS, "protection": PROTECTIONS,
        "ends_with_day": st.booleans(), "tag": st.sampled_from(["", "a tag", "<b>"]), "leverage": st.just("3"),
    },
)
CHANGES = st.fixed_dictionaries(
    {}, optional={"quantity": st.none() | AMOUNTS, "price": st.none() | AMOUNTS, "trail": TRAILS}
)
GRIDS = st.fixed_dictionaries(
    {"symbol": st.just("BTC/USDT"), "capital": AMOUNTS},
    optional={
        "spacing": st.just("auto") | AMOUNTS, "min_spacing": st.none() | AMOUNTS,
        "entry": st.sampled_from(["now", "x"]), "levels": st.integers(-1, 60),
    },
)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("state")
    made: dict[str, Any] = create_app(SmallDaemon(settings_in(path)), Auth.open(path)).openapi()
    return made


def test_it_names_what_this_daemon_knows(reference: dict[str, Any]) -> None:
    [symbol] = [each for each in reference["paths"]["/api/orders"]["get"]["parameters"] if each["name"] == "symbol"]
    assert symbol["schema"]["anyOf"][0]["enum"] == ["BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "DOGE/USDT"]
    [alpha, *_] = reference["paths"]["/api/agents/{agent_id}/weight"]["get"]["parameters"]
    assert alpha["schema"]["enum"] == ["momentum", "structure"]
    assert "x-values-of" not in json.dumps(reference)


def test_every_operation_says_what_the_doors_before_it_may_answer(reference: dict[str, Any]) -> None:
    for path, methods in reference["paths"].items():
        for method, operation in methods.items():
            assert {"400", "421", "431", "500"} <= operation["responses"].keys(), (method, path)
            if "requestBody" in operation:
                assert {"413", "415", "422"} <= operation["responses"].keys(), (method, path)
            for status in ("429", "503"):
                if status in operation["responses"]:
                    assert "Retry-After" in operation["responses"][status]["headers"]


def test_the_daemon_serves_the_same_made_by_another_process(tmp_path: Path) -> None:
    daemon = SmallDaemon(settings_in(tmp_path))
    with served(daemon, Auth.open(tmp_path)) as url:
        told = Client(url, timeout_s=60).get("/openapi.json")
    assert told == create_app(daemon, Auth.open(tmp_path)).openapi()


@pytest.mark.parametrize(("model", "bodies"), [
    (OrderRequest, ORDERS), (ModifyRequest, CHANGES), (GridRequest, GRIDS), (ProtectionRequest, PROTECTIONS),
])
def test_what_fits_the_reference_is_what_the_validator_takes(
    reference: dict[str, Any], model: type[BaseModel], bodies: Any
) -> None:
    schema = {"$ref": f"#/components/schemas/{model.__name__}", "components": reference["components"]}
    fits = Draft202012Validator(schema)
    seen: set[bool] = set()

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(bodies)
    def agree(body: Any) -> None:
        if body is None:
            return
        is_fit = fits.is_valid(body)
        seen.add(is_fit)
        taken = is_taken(model, body)
        # Of a grid the engine refuses more than the validator: there the reference follows the engine.
        assert is_fit == taken or (model is GridRequest and taken), body

    agree()
    assert seen == {True, False}


def is_taken(model: type[BaseModel], body: Any) -> bool:
    """By the fields' own rules and by those between fields, but for two numbers that are compared with each other."""
    try:
        made = model.model_validate(body)
    except ValidationError:
        return False
    if isinstance(made, GridRequest):
        return True
    if isinstance(made, ProtectionRequest):
        made = OrderRequest.model_validate(
            {"symbol": "BTC/USDT", "side": "buy", "type": "market", "quantity": "1", "protection": body}
        )
    assert isinstance(made, OrderRequest | ModifyRequest)
    problem = made.problem()
    return problem is None or "above the trail's own value" in problem[1]
