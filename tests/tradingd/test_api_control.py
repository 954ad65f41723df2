"""Weights, results, the glass, mode, settings, logout, idempotency and rate over a real socket."""

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from bus.ids import ClientOrderId
from bus.messages import council, ledger, orders, system
from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tests.tradingd.test_api import MARKET, Served, refusal
from tradingd.api import routes_agents
from tradingd.api.rate_limit import RateLimit
from tradingd.auth import Auth, Principal, mint_token
from tradingd.client import Client
from tradingd.redaction import redact
from tradingd.settings import ApiSettings, VenueSettings
from tradingd.settings_alerts import AlertsSettings
from tradingd.settings_view import HIDDEN, settings_view


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    daemon = SmallDaemon(settings_in(tmp_path))
    auth = Auth.open(tmp_path)
    with served(daemon, auth) as url:
        yield Served(daemon, url, tmp_path, auth.take_new_password())


# ---- alphas -------------------------------------------------------------------------------------------


def test_a_weight_is_set_by_an_operator_and_shown_with_who_set_it(api: Served) -> None:
    before = api.viewer.get("/api/agents/structure/weight")
    assert before == {
        "alpha": "structure", "weight": 0.0, "configured": 0.0, "source": "config", "by": None, "version": 0,
        "reason": "", "outcomes": 0, "right": 0, "changes": [],
    }
    after = api.operator.call("PUT", "/api/agents/structure/weight", {"weight": 0.5})
    assert (after["weight"], after["source"], after["by"]) == (0.5, "person", "operator")
    assert refusal(lambda: api.viewer.call("PUT", "/api/agents/structure/weight", {"weight": 1})).status == 403


def test_a_weight_is_posted_with_its_reason_taken_back_by_version_and_released(api: Served) -> None:
    path = "/api/agents/structure/weight"
    api.operator.post(path, {"weight": 0.5, "reason": "it was right all week"})
    second = api.operator.post(path, {"weight": 0.9})
    assert [(change["version"], change["weight"]) for change in second["changes"]] == [(2, 0.9), (1, 0.5)]
    assert second["changes"][1]["reason"] == "it was right all week"
    back = api.operator.post(path, {"version": 1})
    assert (back["weight"], back["version"], back["reason"]) == (0.5, 3, "back to version 1")
    released = api.operator.delete(path)
    assert (released["weight"], released["source"], released["version"]) == (0.0, "config", 4)
    assert refusal(lambda: api.viewer.delete(path)).status == 403


@pytest.mark.parametrize("body", [{}, {"weight": 0.5, "version": 1}])
def test_a_weight_and_a_version_are_one_of_the_two(api: Served, body: Any) -> None:
    assert refusal(lambda: api.operator.post("/api/agents/structure/weight", body)).code == "INVALID_WEIGHT"


def test_a_version_that_is_not_kept_is_named_with_those_that_are(api: Served) -> None:
    api.operator.post("/api/agents/structure/weight", {"weight": 0.5})
    error = refusal(lambda: api.operator.post("/api/agents/structure/weight", {"version": 7}))
    assert (error.status, error.code) == (404, "UNKNOWN_VERSION")
    assert "1 are" in error.message


def test_agents_lists_every_alpha_with_what_it_said_weighs_and_takes(api: Served) -> None:
    signal = council.AlphaSignal("momentum", "1", "BTC/USDT", "1s", 0, "trail_buy", 0.8, 1.0, 0.01, "high", "up")
    skipped = council.AlphaSkipped("structure", 0.5, "ALPHA_TIMEOUT", "no answer within 5 s")
    api.daemon.fact(council.AnalysisCompleted("BTC/USDT", "1s", 0, Decimal(100), "trending", (), (signal,), (skipped,)))
    api.operator.post("/api/agents/structure/weight", {"weight": 0.5})
    members = {each["name"]: each for each in api.viewer.get("/api/agents")}
    assert members["ceo"]["kind"] == "agent"
    assert members["ceo"]["alpha"] is None
    momentum = members["momentum"]
    assert (momentum["kind"], momentum["state"], momentum["timing"]["p99_us"]) == ("alpha", "active", 1000)
    assert momentum["alpha"]["last_signal"]["confidence"] == 0.8
    structure = members["structure"]
    assert (structure["state"], structure["error"]) == ("failing", "no answer within 5 s")
    assert (structure["alpha"]["weight"], structure["alpha"]["weight_source"]) == (0.5, "person")
    assert (structure["alpha"]["skipped"], structure["alpha"]["last_skip"]["code"]) == (1, "ALPHA_TIMEOUT")


@pytest.mark.parametrize("weight", [1.5, -0.1, "1", None, True, float("inf")])
def test_a_weight_outside_zero_to_one_changes_nothing(api: Served, weight: Any) -> None:
    error = refusal(lambda: api.operator.call("PUT", "/api/agents/structure/weight", {"weight": weight}))
    assert error.status == 422
    assert api.daemon.commands == []


def test_an_unknown_alpha_is_404_and_names_those_there_are(api: Served) -> None:
    error = refusal(lambda: api.operator.call("PUT", "/api/agents/ceo/weight", {"weight": 1}))
    assert (error.status, error.code) == (404, "UNKNOWN_AGENT")
    assert "momentum" in error.message
    assert refusal(lambda: api.viewer.get("/api/debug/agents/x/profile")).status == 404


def test_the_glass_shows_signal_result_times_and_memory_of_each_alpha(api: Served) -> None:
    signal = council.AlphaSignal("momentum", "1", "BTC/USDT", "1s", 0, "trail_buy", 0.8, 1.0, 0.01, "high", "up")
    api.daemon.fact(council.AnalysisCompleted("BTC/USDT", "1s", 0, Decimal(100), "trending", (), (signal,)))
    views = {view["alpha"]: view for view in api.viewer.get("/api/debug/alphas")}
    assert views["structure"]["state"] == "off"
    momentum = views["momentum"]
    assert (momentum["state"], momentum["last_signal"]["confidence"]) == ("active", 0.8)
    assert momentum["profile"]["mean_us"] == 1000
    assert momentum["profile"]["memory_bytes"] > 0


def test_events_are_given_again_after_the_last_one_that_is_known(api: Served) -> None:
    first = api.viewer.get("/api/debug/events")
    api.operator.post("/api/orders", MARKET)
    later = api.viewer.get(f"/api/debug/events?after={first[-1]['id']}")
    assert [event["kind"] for event in later][:2] == ["OrderInitialized", "OrderSubmitted"]
    fills = api.viewer.get("/api/debug/events?kind=OrderFilled")
    assert [event["data"]["quantity"] for event in fills] == ["0.5"]
    assert len(api.viewer.get("/api/debug/events?limit=1")) == 1


async def test_all_events_are_shown_a_few_at_a_time(tmp_path: Path) -> None:
    """Two thousand at once kept the loop that also trades for forty milliseconds."""
    daemon, viewer = SmallDaemon(settings_in(tmp_path)), Principal("ann", "viewer")
    for number in range(2_500):
        daemon.fact(system.AlertRaised("info", str(number), ""))
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(take_turns())
    answer = await routes_agents.events(daemon, viewer, limit=2_000)
    others.cancel()
    assert turns > 40
    assert [each["data"]["title"] for each in json.loads(bytes(answer.body))] == [str(n) for n in range(500, 2_500)]
    few = await routes_agents.events(daemon, viewer, limit=120)
    assert [each["data"]["title"] for each in json.loads(bytes(few.body))] == [str(n) for n in range(500, 620)]



# ---- results of alphas --------------------------------------------------------------------------------


def test_a_signal_is_judged_ten_candles_later_by_the_side_it_named(tmp_path: Path) -> None:
    daemon = SmallDaemon(settings_in(tmp_path))

    def candle(close: int, action: council.Action) -> None:
        said = council.AlphaSignal("momentum", "1", "BTC/USDT", "1s", 0, action, 0.8, 1.0, 0.01, "high", "x")
        daemon.fact(council.AnalysisCompleted("BTC/USDT", "1s", 0, Decimal(close), "trending", (), (said,)))

    for close, action in ((100, "trail_buy"), (100, "trail_sell"), (100, "hold"), *[(90, "hold")] * 10):
        candle(close, action)  # type: ignore[arg-type]
    result = daemon.read_model.alphas.result("momentum")
    assert (result.signals, result.holds, result.judged, result.success_rate) == (2, 11, 2, 0.5)


def test_the_profit_of_a_trade_is_its_leaders_and_shared_among_its_supporters(tmp_path: Path) -> None:
    daemon = SmallDaemon(settings_in(tmp_path))
    votes = (
        council.Vote("momentum", "trail_buy", 0.9, 1.0), council.Vote("structure", "trail_buy", 0.6, 0.5),
        council.Vote("technical", "hold", 0.5, 1.0),
    )
    order = orders.SubmitOrder(
        ClientOrderId("td-p1"), "BTC/USDT", "buy", "market", Decimal(1), "council", lead_alpha="momentum", votes=votes
    )
    daemon.fact(orders.OrderInitialized(order))
    daemon.fact(ledger.PositionOpened("BTC/USDT", Decimal(1), Decimal(100), ClientOrderId("td-p1")))
    daemon.fact(ledger.PositionClosed(
        "BTC/USDT", Decimal(1), Decimal(100), Decimal(112), Decimal(12), Decimal(0), 1, 2, ClientOrderId("td-x")
    ))
    results = {name: daemon.read_model.alphas.result(name) for name in ("momentum", "structure", "technical")}
    assert (results["momentum"].trades, results["momentum"].wins, results["momentum"].realized_pnl) == (1, 1, "12")
    assert results["structure"].trades == 0
    assert [results[name].contribution for name in results] == ["9", "3", "0"]


# ---- mode and settings --------------------------------------------------------------------------------


def test_the_mode_it_has_already_changes_nothing(api: Served) -> None:
    answer = api.operator.post("/api/trading/mode", {"mode": "paper"})
    assert (answer["changed"], api.daemon.shutdown_reason) == (False, "")


def test_live_is_refused_when_the_configuration_says_paper(api: Served) -> None:
    error = refusal(lambda: api.operator.post("/api/trading/mode", {"mode": "live", "confirm": "live"}))
    assert (error.status, error.code) == (409, "MODE_NOT_ALLOWED")
    assert refusal(lambda: api.viewer.post("/api/trading/mode", {"mode": "live"})).status == 403


def test_the_settings_are_shown_without_a_secret(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    venue = VenueSettings(api_key=SecretStr("canary-1"), api_secret=SecretStr("canary-2"))
    bus = settings.bus.model_copy(update={"url": "redis://me:canary-3@cache:6379/0"})
    store = settings.store.model_copy(update={"url": "postgresql://me:canary-4@db/x"})
    shown = settings_view(settings.model_copy(update={"venues": {"binance": venue}, "bus": bus, "store": store}))
    assert "canary" not in str(shown)
    assert shown["bus"]["url"] == f"redis://{HIDDEN}@cache:6379/0"
    assert shown["api"]["token_hours"] == 24
    assert shown["account"]["quote"] == "USDT"


def test_the_address_of_a_webhook_is_shown_without_what_in_it_is_a_key(tmp_path: Path) -> None:
    url = "https://hooks.example.org/in/canaryOfAWebhook1/x?key=canary-in-a-query&v=1"
    alerts = AlertsSettings.model_validate({"team": {"service": "webhook", "api_url": url}})
    shown = settings_view(settings_in(tmp_path).model_copy(update={"alerts": alerts}))
    assert shown["alerts"]["team"]["api_url"] == "https://hooks.example.org/in/***/x?key=***&v=1"


def test_a_secret_that_somebody_pastes_into_a_reason_reaches_no_journal(api: Served) -> None:
    redact.learn("canary-pasted-into-a-reason")
    api.operator.post("/api/trading/kill", {"action": "halt", "reason": "key canary-pasted-into-a-reason leaked"})
    assert api.daemon.commands[-1] == orders.EngageKillSwitch("halt", "key *** leaked", "operator")


# ---- doors --------------------------------------------------------------------------------------------


def test_a_token_is_void_after_its_logout_and_others_stay(api: Served, tmp_path: Path) -> None:
    assert api.operator.post("/api/auth/logout")["user"] == "operator"
    assert refusal(lambda: api.operator.get("/api/status")).status == 401
    assert Client(api.url, mint_token(tmp_path)).get("/api/status")["pid"] == 4242


def test_a_logout_that_cannot_be_written_down_says_how_long_it_holds(api: Served, tmp_path: Path) -> None:
    (tmp_path / "revoked-tokens.json" / "in the way").mkdir(parents=True)
    error = refusal(lambda: api.operator.post("/api/auth/logout"))
    assert (error.status, "only until the daemon starts anew" in error.message) == (503, True)
    assert refusal(lambda: api.operator.get("/api/status")).status == 401


@pytest.mark.parametrize("path", ["positions/close-all", "trading/pause", "trading/stop"])
def test_any_act_with_the_same_key_is_done_once_and_answered_twice(api: Served, path: str) -> None:
    key = {"Idempotency-Key": "k-9"}
    first = api.operator.post(f"/api/{path}", None, key)
    count = len(api.daemon.commands)
    assert api.operator.post(f"/api/{path}", None, key) == first
    assert len(api.daemon.commands) == count
    assert refusal(lambda: api.operator.delete("/api/trading/pause")).status == 405
    error = refusal(lambda: api.operator.post(f"/api/{path}", {"more": 1}, key))
    assert (error.status, error.code) == (409, "IDEMPOTENCY_CONFLICT")


def test_a_kill_counts_whatever_its_key_was_used_for_before(api: Served) -> None:
    """An answer from before an unlock would say that trading is locked, and it is not."""
    key, body = {"Idempotency-Key": "panic"}, {"action": "halt", "reason": "news"}
    api.operator.post("/api/trading/kill", body, key)
    api.operator.post("/api/trading/unlock", {"reason": "over", "confirm": "unlock"})
    assert api.operator.post("/api/trading/kill", body, key)["state"] == "HALTED"
    assert api.operator.get("/api/status")["state"] == "HALTED"
    told = api.operator.post("/api/trading/kill", {"action": "flatten", "reason": "more news"}, key)
    assert told["kill"]["action"] == "flatten"


def test_a_deposit_is_booked_once_and_another_user_has_other_keys(api: Served, tmp_path: Path) -> None:
    key, body = {"Idempotency-Key": "k-1"}, {"amount": "5"}
    other = Client(api.url, mint_token(tmp_path, "bob", "operator"))
    for who in (api.operator, api.operator, other):
        who.post("/api/account/deposit", body, key)
    assert len(api.daemon.commands) == 2


def test_what_was_not_carried_out_may_be_asked_again_with_the_same_key(api: Served) -> None:
    key = {"Idempotency-Key": "k-1"}
    api.daemon.is_mute = True
    assert refusal(lambda: api.operator.post("/api/trading/pause", None, key)).status == 503
    api.daemon.is_mute = False
    assert api.operator.post("/api/trading/pause", None, key)["state"] == "REDUCING"


def test_a_viewer_cannot_spoil_an_operators_key(api: Served) -> None:
    key = {"Idempotency-Key": "k-1"}
    assert refusal(lambda: api.viewer.post("/api/trading/pause", None, key)).status == 403
    assert api.operator.post("/api/trading/pause", None, key)["state"] == "REDUCING"


def test_whoever_asks_too_often_waits_but_the_kill_switch_never_does(tmp_path: Path) -> None:
    settings = settings_in(tmp_path).model_copy(update={"api": ApiSettings(requests_per_second=1)})
    daemon, auth = SmallDaemon(settings), Auth.open(tmp_path)
    with served(daemon, auth) as url:
        client = Client(url, mint_token(tmp_path))
        for _ in range(2):
            client.get("/api/positions")
        error = refusal(lambda: [client.get("/api/positions") for _ in range(8)])
        assert (error.status, error.code) == (429, "RATE_LIMITED")
        assert client.post("/api/trading/kill", {"action": "halt", "reason": "flood"})["state"] == "HALTED"
        assert client.get("/api/health")["status"] == "ready"


def test_a_bucket_fills_again_with_time_and_an_address_has_one_of_its_own() -> None:
    now = [0.0]
    limit = RateLimit(10, clock=lambda: now[0])
    assert [limit.wait_s("a", b"one") for _ in range(20)] == [0.0] * 20
    assert limit.wait_s("a", b"one") == pytest.approx(0.1)
    assert limit.wait_s("a", b"two") == 0.0
    assert limit.wait_s("b", b"one") == 0.0
    now[0] += 0.1
    assert limit.wait_s("a", b"one") == 0.0
    assert any(limit.wait_s("a", bytes([number])) for number in range(80))  # a new name each time does not help


def test_a_name_of_a_proxy_is_ours_when_it_is_allowed(tmp_path: Path) -> None:
    settings = settings_in(tmp_path).model_copy(update={"api": ApiSettings(allowed_hosts=("trade.example.com",))})
    with served(SmallDaemon(settings), Auth.open(tmp_path)) as url:
        api = Served(SmallDaemon(settings), url, tmp_path, "")
        assert api.raw("GET", "/api/health", Host="Trade.example.com")[0] == 200
        assert api.raw("GET", "/api/health", Host="example.com")[0] == 421
        page = "https://trade.example.com"
        assert api.raw("POST", "/api/trading/pause", Host="trade.example.com", Origin=page)[0] == 200
        assert api.raw("POST", "/api/trading/pause", Host="trade.example.com", Origin="https://evil.example")[0] == 403


@pytest.mark.parametrize(
    ("trusted", "seen_as"), [((), "127.0.0.1"), (("127.0.0.0/8",), "203.0.113.9"), (("10.1.2.3",), "127.0.0.1")],
)
def test_the_address_that_a_proxy_names_is_believed_of_a_trusted_one_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trusted: tuple[str, ...], seen_as: str,
) -> None:
    settings = settings_in(tmp_path).model_copy(update={"api": ApiSettings(trusted_proxies=trusted)})
    with served(SmallDaemon(settings), Auth.open(tmp_path)) as url:
        api = Served(SmallDaemon(settings), url, tmp_path, "")
        wrong = {"username": "admin", "password": "wrong"}
        forwarded = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9"}
        assert api.raw("POST", "/api/auth/login", json.dumps(wrong).encode(), **forwarded)[0] == 401
    assert f"a login from {seen_as} was refused" in caplog.text


def test_a_trusted_proxy_that_is_no_address_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValidationError, match=r"'proxy\.example' is no address and no network: write 127\.0\.0\.1"):
        ApiSettings(trusted_proxies=("proxy.example",))
