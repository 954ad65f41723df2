"""The REST API over a real socket: what is open, what is refused, and that commands reach the engine."""

import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bus.messages import orders, system
from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd.api.guard import MAX_BODY
from tradingd.api.server import MAX_CONNECTIONS, PortInUseError, bind_api
from tradingd.auth import Auth, mint_token
from tradingd.client import AnswerError, Client

MARKET = {"symbol": "BTC/USDT", "side": "buy", "type": "market", "quantity": "0.5"}


class Served:
    """A served daemon, with clients of each kind."""

    def __init__(self, daemon: SmallDaemon, url: str, data_dir: Path, password: str) -> None:
        self.daemon = daemon
        self.url = url
        self.password = password
        self.operator = Client(url, mint_token(data_dir))
        self.viewer = Client(url, mint_token(data_dir, "viewer", "viewer"))
        self.stranger = Client(url)

    def raw(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], Any]:
        """With headers a well-behaved client would not send (underscores become dashes)."""
        parts = urlsplit(self.url)
        link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        try:
            sent = {"Authorization": f"Bearer {self.operator.token}", "Content-Type": "application/json"}
            sent |= {name.replace("_", "-"): value for name, value in headers.items()}
            link.request(method, path, body, sent)
            answer = link.getresponse()
            text = answer.read()
            is_json = "json" in (answer.getheader("content-type") or "")
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, json.loads(text) if is_json else text
        finally:
            link.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    daemon = SmallDaemon(settings_in(tmp_path))
    auth = Auth.open(tmp_path)
    with served(daemon, auth) as url:
        yield Served(daemon, url, tmp_path, auth.take_new_password())


def refusal(call: Callable[[], Any]) -> AnswerError:
    with pytest.raises(AnswerError) as caught:
        call()
    assert set(caught.value.body) >= {"code", "message"}
    return caught.value


# ---- who may in ---------------------------------------------------------------------------------------


def test_health_is_open_and_says_why_it_is_not_ready(api: Served) -> None:
    assert api.stranger.get("/api/health")["status"] == "ready"
    api.daemon.is_ready = False
    error = refusal(lambda: api.stranger.get("/api/health"))
    assert error.status == 503
    assert error.body["reason"] == "the venue is being reconciled"


READS = (
    "status", "agents", "positions", "orders", "orders/x", "orders/x/trace", "trades", "performance",
    "execution-quality",
)
CHANGES = (
    ("POST", "trading/start"), ("POST", "trading/stop"), ("POST", "trading/pause"), ("POST", "trading/resume"),
    ("POST", "trading/kill"), ("POST", "trading/unlock"), ("POST", "orders"), ("DELETE", "orders/x"),
    ("PATCH", "orders/x"), ("POST", "positions/close-all"), ("POST", "positions/rebalance"),
    ("POST", "account/deposit"), ("POST", "account/withdraw"),
    ("POST", "positions/close"), ("POST", "shutdown"),
)


def test_everything_but_health_and_login_needs_a_token(api: Served) -> None:
    for method, path in (*(("GET", path) for path in READS), *CHANGES):
        error = refusal(lambda method=method, path=path: api.stranger.call(method, f"/api/{path}"))  # type: ignore[misc]
        assert (path, error.status, error.code) == (path, 401, "NOT_AUTHENTICATED")
    assert api.daemon.commands == []


def test_a_viewer_may_look_but_change_nothing(api: Served) -> None:
    assert api.viewer.get("/api/status")["state"] == "ACTIVE"
    for method, path in CHANGES:
        error = refusal(lambda method=method, path=path: api.viewer.call(method, f"/api/{path}", {}))  # type: ignore[misc]
        assert (path, error.status) == (path, 403)
    assert api.daemon.commands == []
    assert api.daemon.shutdown_reason == ""


def test_a_login_gives_a_token_for_a_day(api: Served) -> None:
    answer = api.stranger.post("/api/auth/login", {"username": "operator", "password": api.password})
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 86_400)
    assert Client(api.url, answer["access_token"]).get("/api/status")["pid"] == 4242


def test_the_sixth_wrong_login_is_locked_with_retry_after(api: Served) -> None:
    body = json.dumps({"username": "operator", "password": "guess"}).encode()
    answers = [api.raw("POST", "/api/auth/login", body) for _ in range(6)]
    assert [status for status, _, _ in answers] == [401] * 5 + [429]
    assert 0 < int(answers[-1][1]["retry-after"]) <= 60
    assert answers[-1][2]["code"] == "TOO_MANY_TRIES"


def test_a_forwarded_address_does_not_dodge_the_lock(api: Served) -> None:
    body = json.dumps({"username": "operator", "password": "guess"}).encode()
    statuses = [api.raw("POST", "/api/auth/login", body, X_Forwarded_For=f"10.0.0.{n}")[0] for n in range(6)]
    assert statuses[-1] == 429


# ---- the door -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""])
def test_a_request_for_another_host_is_refused(api: Served, host: str) -> None:
    status, _, body = api.raw("GET", "/api/health", Host=host)
    assert (status, body["code"]) == (421, "WRONG_HOST")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8080", "LOCALHOST:80"])
def test_the_loopback_names_are_ours(api: Served, host: str) -> None:
    assert api.raw("GET", "/api/health", Host=host)[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://[bad"])
def test_a_page_of_another_origin_changes_nothing(api: Served, origin: str) -> None:
    status, _, body = api.raw("POST", "/api/trading/pause", Origin=origin)
    assert (status, body["code"]) == (403, "WRONG_ORIGIN")
    assert api.daemon.commands == []


def test_our_own_origin_may_change_things(api: Served) -> None:
    assert api.raw("POST", "/api/trading/pause", Origin=api.url)[0] == 200


def test_every_answer_carries_the_security_headers(api: Served) -> None:
    for path in ("/api/health", "/api/nothing", "/docs"):
        _, headers, _ = api.raw("GET", path)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_a_body_over_the_limit_is_refused(api: Served) -> None:
    status, _, body = api.raw("POST", "/api/orders", b"x" * (MAX_BODY + 1))
    assert (status, body["code"]) == (413, "BODY_TOO_LARGE")


def test_a_chunked_body_over_the_limit_is_refused_too(api: Served) -> None:
    parts = urlsplit(api.url)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    chunks = (b"x" * 1024 for _ in range(MAX_BODY // 1024 + 2))
    headers = {"Authorization": f"Bearer {api.operator.token}", "Content-Type": "application/json"}
    link.request("POST", "/api/orders", chunks, headers, encode_chunked=True)
    assert link.getresponse().status == 413
    link.close()


def test_the_documentation_needs_no_network(api: Served) -> None:
    _, headers, page = api.raw("GET", "/docs")
    assert "script-src 'self'" in headers["content-security-policy"]
    assert b"http://" not in page
    assert b"https://" not in page
    for path in ("/docs/start.js", "/docs/assets/swagger-ui-bundle.js", "/docs/assets/swagger-ui.css", "/openapi.json"):
        assert api.raw("GET", path)[0] == 200
    assert api.raw("GET", "/docs/assets/../../auth.py")[0] == 404


def test_an_unknown_path_and_method_answer_in_our_shape(api: Served) -> None:
    assert refusal(lambda: api.operator.get("/api/nothing")).code == "NOT_FOUND"
    assert refusal(lambda: api.operator.delete("/api/status")).code == "METHOD_NOT_ALLOWED"
    assert api.raw("POST", "/api/orders/x")[1]["allow"] == "DELETE, GET, PATCH"


def test_a_failure_inside_is_told_without_its_details(api: Served) -> None:
    api.daemon.status = None  # type: ignore[assignment, method-assign]
    error = refusal(lambda: api.operator.get("/api/status"))
    assert (error.status, error.code) == (500, "INTERNAL")
    assert "NoneType" not in json.dumps(error.body)


def test_whoever_holds_sockets_open_does_not_keep_the_operator_out(api: Served) -> None:
    parts = urlsplit(api.url)
    with contextlib.ExitStack() as held:
        for _ in range(MAX_CONNECTIONS + 20):
            held.enter_context(socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10))
        for _ in range(5):
            assert api.operator.get("/api/status")["state"] == "ACTIVE"


# ---- looking ------------------------------------------------------------------------------------------


def test_status_tells_state_money_feeds_agents_and_problems(api: Served) -> None:
    status = api.operator.get("/api/status")
    assert (status["state"], status["equity"], status["uptime_s"]) == ("ACTIVE", "10000", 12.5)
    assert status["feeds"][0]["state"] == "connected"
    assert status["agents"][0]["progress"] == {"current": 1, "total": 3, "percent": 33.33, "message": "all well"}
    assert {each["id"] for each in status["agents"]} == {each["name"] for each in status["agents"]}
    assert [each["is_met"] for each in status["scorecard"] if each["name"] == "max_drawdown"] == [True]
    assert status["problems"][0]["text"] == "the moon is full"
    assert status["problems"][0]["since"].endswith("Z")


def test_an_order_its_trace_its_fill_and_its_position_can_be_looked_at(api: Served) -> None:
    made = api.operator.post("/api/orders", MARKET)
    assert api.viewer.get(f"/api/orders/{made['id']}") == made
    assert api.viewer.get("/api/orders?state=FILLED&symbol=btc-usdt&limit=5") == [made]
    assert api.viewer.get("/api/orders?state=PENDING") == []
    kinds = [entry["kind"] for entry in api.viewer.get(f"/api/orders/{made['id']}/trace")]
    assert kinds[0] == "OrderInitialized"
    assert "OrderFilled" in kinds
    assert api.viewer.get("/api/trades?limit=10&days=1")[0]["order_id"] == made["id"]
    assert api.viewer.get("/api/positions")[0]["quantity"] == "0.5"
    assert api.viewer.get("/api/performance")["fills"] == 1


def test_what_does_not_exist_is_404(api: Served) -> None:
    for path in ("/api/orders/td-x", "/api/orders/td-x/trace"):
        error = refusal(lambda path=path: api.operator.get(path))  # type: ignore[misc]
        assert (error.status, error.code) == (404, "UNKNOWN_ORDER")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=99999", "state=DONE"])
def test_a_wrong_filter_is_named(api: Served, query: str) -> None:
    error = refusal(lambda: api.operator.get(f"/api/orders?{query}"))
    assert (error.status, error.body["field"]) == (422, query.partition("=")[0])


# ---- trading state ------------------------------------------------------------------------------------


def test_pause_votes_reducing_and_resume_votes_active(api: Served) -> None:
    assert api.operator.post("/api/trading/pause")["state"] == "REDUCING"
    assert api.operator.post("/api/trading/resume")["state"] == "ACTIVE"
    votes = [body for body in api.daemon.commands if isinstance(body, system.VoteTradingState)]
    assert [(vote.voter, vote.state) for vote in votes] == [("operator", "REDUCING"), ("operator", "ACTIVE")]


def test_stop_pauses_and_cancels_the_entries_only(api: Served) -> None:
    api.operator.post("/api/orders", MARKET)
    entry = api.operator.post("/api/orders", {**MARKET, "type": "limit", "price": "90"})
    sell = {**MARKET, "side": "sell", "type": "trailing", "trail": {"kind": "percent", "value": "2"}}
    leave = api.operator.post("/api/orders", sell)
    answer = api.operator.post("/api/trading/stop")
    assert answer["state"] == "REDUCING"
    assert answer["cancelled"] == [entry["id"]]
    assert api.operator.get(f"/api/orders/{leave['id']}")["state"] == "PENDING"
    assert api.daemon.commands[-1] == orders.CancelAllOrders("entries", reason="stopped by operator")
    assert api.operator.post("/api/trading/start")["state"] == "ACTIVE"


def test_a_kill_latches_and_only_becomes_stricter(api: Served) -> None:
    def kill(action: str) -> Any:
        return api.operator.post("/api/trading/kill", {"action": action, "reason": "test"})

    first = kill("cancel")
    assert (first["state"], first["kill"]["action"], first["changed"]) == ("HALTED", "cancel", True)
    again = kill("halt")
    assert (again["kill"], again["changed"]) == (first["kill"], False)
    assert kill("flatten")["kill"]["action"] == "flatten"
    sent = [body.action for body in api.daemon.commands if isinstance(body, orders.EngageKillSwitch)]
    assert sent == ["cancel", "flatten"]


def test_unlock_releases_the_kill_switch_and_is_harmless_without_one(api: Served) -> None:
    assert api.operator.post("/api/trading/unlock", {"reason": "x", "confirm": "unlock"})["changed"] is False
    api.operator.post("/api/trading/kill", {"action": "halt", "reason": "test"})
    answer = api.operator.post("/api/trading/unlock", {"reason": "over", "confirm": "unlock"})
    assert (answer["kill"], answer["state"], answer["changed"]) == (None, "ACTIVE", True)


@pytest.mark.parametrize("body", [{}, {"action": "stop", "reason": "x"}, {"action": "halt"},
                                  {"action": "halt", "reason": ""}, {"action": "halt", "reason": "  "},
                                  {"action": "halt", "reason": "x", "more": 1}, [], "halt",
                                  {"action": "halt", "reason": "\x1b[31mred"}, {"action": "halt", "reason": "a\nb"},
                                  {"action": "halt", "reason": "\u202eb"}, {"action": "halt", "reason": "\x9b31m"}])
def test_a_malformed_kill_engages_nothing(api: Served, body: object) -> None:
    error = refusal(lambda: api.operator.post("/api/trading/kill", body))
    assert (error.status, error.code) == (422, "INVALID_REQUEST")
    assert api.daemon.commands == []


def test_shutdown_is_asked_for(api: Served) -> None:
    api.operator.post("/api/shutdown")
    assert api.daemon.shutdown_reason == "asked by operator"


def test_an_engine_that_does_not_answer_is_503_with_retry_after(api: Served) -> None:
    api.daemon.is_mute = True
    status, headers, body = api.raw("POST", "/api/trading/pause")
    assert (status, headers["retry-after"], body["code"]) == (503, "1", "NOT_READY")


# ---- orders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTCUSDT", "btc-usdt"])
def test_a_symbol_may_be_written_in_the_usual_ways(api: Served, symbol: str) -> None:
    assert api.operator.post("/api/orders", {**MARKET, "symbol": symbol})["symbol"] == "BTC/USDT"


def test_an_order_is_a_manual_command_with_exact_money(api: Served) -> None:
    body = {**MARKET, "type": "limit", "quantity": "0.10", "price": "61837.63", "tag": "mine"}
    made = api.operator.post("/api/orders", body)
    assert (made["state"], made["price"], made["tag"], made["origin"]) == ("SUBMITTED", "61837.63", "mine", "manual")
    [command] = api.daemon.commands
    assert isinstance(command, orders.SubmitOrder)
    assert (str(command.quantity), str(command.price), command.reduce_only) == ("0.10", "61837.63", False)


def test_a_sell_only_reduces(api: Served) -> None:
    api.operator.post("/api/orders", {**MARKET, "side": "sell"})
    [command] = api.daemon.commands
    assert isinstance(command, orders.SubmitOrder)
    assert command.reduce_only


def test_two_percent_is_a_ratio_of_two_hundredths(api: Served) -> None:
    trail = {"kind": "percent", "value": "2"}
    made = api.operator.post("/api/orders", {**MARKET, "type": "trailing", "trail": trail})
    assert (made["trail"]["distance"], made["trigger"], made["best"]) == ("0.02", "102", "100")
    made = api.operator.post("/api/orders", {**MARKET, "type": "trailing", "trail": {"kind": "atr", "value": "2"}})
    assert made["trail"]["distance"] == "2"


NONSENSE = (
    "Infinity", "-Infinity", "sNaN", "9" * 60, "9" * 19, "0." + "0" * 30 + "1", "1e400", "1E+999999", " 1", "1_000",
    "0x10", "\u0661", "1,5", "1.", ".5", "--1", "9" * 5_000,
)


def test_a_denial_names_code_family_rule_value_and_limit(api: Served) -> None:
    error = refusal(lambda: api.operator.post("/api/orders", {**MARKET, "quantity": "5"}))
    assert error.status == 422
    assert {key: error.body[key] for key in ("code", "family", "rule", "value", "limit")} == {
        "code": "MAX_ORDER", "family": "E006", "rule": "max_order_notional", "value": "5", "limit": "1",
    }
    kept = api.operator.get(f"/api/orders/{error.body['order_id']}")
    assert (kept["state"], kept["by"], kept["detail"]) == ("REJECTED", "us", "denied")


@pytest.mark.parametrize(("change", "field"), [
    ({"quantity": 0.5}, "quantity"), ({"quantity": 1}, "quantity"), ({"quantity": "0"}, "quantity"),
    ({"quantity": "-1"}, "quantity"), ({"quantity": "1e3"}, "quantity"), ({"quantity": "NaN"}, "quantity"),
    ({"quantity": None}, "quantity"), ({"quantity": ""}, "quantity"), ({"side": "short"}, "side"),
    ({"type": "iceberg"}, "type"), ({"price": "1"}, "price"), ({"type": "limit"}, "price"),
    ({"type": "stop"}, "stop_price"), ({"type": "trailing"}, "trail"), ({"leverage": "3"}, "leverage"),
    ({"type": "trailing", "trail": {"kind": "percent", "value": 2}}, "trail.value"),
    ({"type": "trailing", "trail": {"kind": "percent", "value": "100"}}, "trail.value"),
    ({"type": "trailing", "trail": {"kind": "percent", "value": "2", "x": 1}}, "trail.x"),
    ({"tag": "<script>"}, "tag"), ({"symbol": "GOLD/USDT"}, "symbol"), ({"symbol": 7}, "symbol"),
    *(({"quantity": nonsense}, "quantity") for nonsense in NONSENSE),
    *(({"type": "limit", "price": nonsense}, "price") for nonsense in NONSENSE),
    *(({"type": "trailing", "trail": {"kind": "absolute", "value": nonsense}}, "trail.value") for nonsense in NONSENSE),
])
def test_a_malformed_order_names_its_field_and_reaches_nobody(api: Served, change: dict[str, Any], field: str) -> None:
    error = refusal(lambda: api.operator.post("/api/orders", {**MARKET, **change}))
    assert (error.status, error.body["field"]) == (422, field)
    assert error.message
    assert api.daemon.commands == []


@pytest.mark.parametrize("body", [
    b'{"symbol":"BTC/USDT","side":"buy","side":"sell","type":"market","quantity":"0.1"}',
    b'{"symbol":"BTC/USDT","side":"sell","type":"trailing","quantity":"0.1",'
    b'"trail":{"kind":"percent","value":"9","value":"2"}}',
])
def test_a_key_that_stands_twice_orders_nothing(api: Served, body: bytes) -> None:
    status, _, answer = api.raw("POST", "/api/orders", body)
    assert (status, answer["code"], answer["field"]) == (422, "INVALID_REQUEST", "body")
    assert "stands twice" in answer["message"]
    assert api.daemon.commands == []


def test_a_body_that_is_not_json_is_422(api: Served) -> None:
    status, _, body = api.raw("POST", "/api/orders", b"{quantity")
    assert (status, body["code"]) == (422, "INVALID_REQUEST")


def test_the_same_key_and_body_order_once_and_answer_twice(api: Served) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = api.operator.post("/api/orders", MARKET, key)
    second = api.operator.post("/api/orders", {**MARKET, "symbol": "BTCUSDT"}, key)
    assert first == second
    assert len(api.daemon.commands) == 1
    assert len(first["id"]) <= 34


def test_the_same_key_with_another_body_is_a_conflict(api: Served) -> None:
    key = {"Idempotency-Key": "k-1"}
    api.operator.post("/api/orders", MARKET, key)
    error = refusal(lambda: api.operator.post("/api/orders", {**MARKET, "quantity": "0.4"}, key))
    assert (error.status, error.code) == (409, "IDEMPOTENCY_CONFLICT")
    assert len(api.daemon.commands) == 1


def test_a_denial_is_the_same_answer_too(api: Served) -> None:
    key, body = {"Idempotency-Key": "k-2"}, {**MARKET, "quantity": "5"}
    answers = [refusal(lambda: api.operator.post("/api/orders", body, key)).body for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(api.daemon.commands) == 1


def test_without_a_key_each_request_is_an_order(api: Served) -> None:
    assert api.operator.post("/api/orders", MARKET)["id"] != api.operator.post("/api/orders", MARKET)["id"]


def test_a_working_order_is_cancelled_once(api: Served) -> None:
    made = api.operator.post("/api/orders", {**MARKET, "type": "limit", "price": "90"})
    assert api.operator.delete(f"/api/orders/{made['id']}")["state"] == "CANCELLED"
    again = refusal(lambda: api.operator.delete(f"/api/orders/{made['id']}"))
    assert (again.status, again.code) == (409, "ALREADY_ENDED")
    assert refusal(lambda: api.operator.delete("/api/orders/td-x")).status == 404


def test_one_position_or_all_can_be_closed(api: Served) -> None:
    api.operator.post("/api/orders", MARKET)
    api.operator.post("/api/orders", {**MARKET, "symbol": "ETHUSDT"})
    first = api.operator.post("/api/positions/close", {"symbol": "BTCUSDT"})
    assert first["symbols"] == ["BTC/USDT"]
    assert api.operator.get(f"/api/orders/{first['orders'][0]}")["side"] == "sell"
    missing = refusal(lambda: api.operator.post("/api/positions/close", {"symbol": "BTCUSDT"}))
    assert (missing.status, missing.code) == (404, "NO_POSITION")
    assert api.operator.post("/api/positions/close")["symbols"] == ["ETH/USDT"]
    assert api.operator.get("/api/positions") == []


# ---- the socket -------------------------------------------------------------------------------------


def test_a_body_that_does_not_call_itself_json_is_refused_before_it_is_read(api: Served) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        status, _, body = api.raw("POST", "/api/trading/pause", b'{"a": 1}', Content_Type=kind)
        assert (status, body["code"]) == (415, "NOT_JSON")
    assert api.daemon.commands == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_comes_from_another_site_changes_nothing(api: Served, site: str) -> None:
    status, _, body = api.raw("POST", "/api/trading/pause", Sec_Fetch_Site=site)
    assert (status, body["code"]) == (403, "WRONG_ORIGIN")
    assert api.raw("GET", "/api/status", Sec_Fetch_Site=site)[0] == 200
    assert api.raw("POST", "/api/trading/pause", Sec_Fetch_Site="same-origin")[0] == 200


@pytest.mark.parametrize("twice", ["Host: evil.example", "Authorization: Bearer x", "Content-Type: text/plain"])
def test_a_header_that_decides_and_comes_twice_is_refused(api: Served, twice: str) -> None:
    parts = urlsplit(api.url)
    head = (
        f"POST /api/trading/pause HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {api.operator.token}\r\n"
        f"Content-Type: application/json\r\n{twice}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port), 5) as line:
        line.sendall(head.encode())
        answer = b"".join(iter(lambda: line.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400")
    assert api.daemon.commands == []


def spoken(api: Served, request: bytes) -> bytes:
    """Everything the server answers to these bytes, until it hangs up."""
    parts = urlsplit(api.url)
    with socket.create_connection((parts.hostname, parts.port), 5) as line, contextlib.suppress(OSError):
        line.sendall(request)
        return b"".join(iter(lambda: line.recv(65536), b""))
    return b""


@pytest.mark.parametrize(("request_line", "status", "code"), [
    (b"NONSENSE\r\n\r\n", 400, "BAD_REQUEST"),
    (b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 200 + b"\r\n", 431, "HEADERS_TOO_LARGE"),
    (b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 80_000 + b"\r\n\r\n", 431, "HEADERS_TOO_LARGE"),
    (b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 80_000, 431, "HEADERS_TOO_LARGE"),
    (
        b"POST /api/trading/kill HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 1_100_000, 431, "HEADERS_TOO_LARGE",
    ),
    (
        b"POST /api/trading/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        b"\r\n0\r\n\r\nGET /api/config HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "BAD_REQUEST",
    ),
])
def test_what_is_no_sound_request_is_refused_in_our_shape_and_ends_the_line(
    api: Served, request_line: bytes, status: int, code: str
) -> None:
    answer = spoken(api, request_line)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"nosniff" in head
    assert json.loads(body)["code"] == code
    assert api.daemon.commands == []
    assert api.stranger.get("/api/health")["status"] == "ready"


@pytest.mark.parametrize("moment", ["0065-09-01T02:26:39+13:09", "1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z"])
def test_an_expiry_that_no_clock_of_ours_can_hold_is_told(api: Served, moment: str) -> None:
    error = refusal(lambda: api.operator.post("/api/orders", {**MARKET, "expire_at": moment}))
    assert (error.status, error.body["field"]) == (422, "expire_at")
    assert api.daemon.commands == []


def test_a_taken_port_is_told_with_the_remedy() -> None:
    with bind_api("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"api\.port {port} .*--port"):
            bind_api("127.0.0.1", port)
        assert taken.proto == socket.IPPROTO_TCP


def test_an_address_that_is_not_ours_is_told_with_the_remedy() -> None:
    with pytest.raises(PortInUseError, match=r"api\.host"):
        bind_api("203.0.113.1", 0)
