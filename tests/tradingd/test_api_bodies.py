"""Bodies that are no JSON, or too long, over a real socket: each is refused as such and nothing is done."""

import http.client
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tests.tradingd.test_api import Served
from tradingd.api.guard import MAX_BODY
from tradingd.auth import Auth

NO_JSON = {"cut off": b'{"reason": "x"', "a brace": b"{", "no UTF-8": b'"\xff"', "too deep": b'["' + b'",[' * 60_000}
BODYLESS = ["trading/pause", "trading/stop", "positions/close-all", "tuning/run"]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    daemon = SmallDaemon(settings_in(tmp_path))
    auth = Auth.open(tmp_path)
    with served(daemon, auth) as url:
        yield Served(daemon, url, tmp_path, auth.take_new_password())


@pytest.mark.parametrize("path", BODYLESS)
@pytest.mark.parametrize("kind", NO_JSON)
def test_a_body_that_is_no_json_is_refused_where_none_is_needed_too(api: Served, path: str, kind: str) -> None:
    status, _, answer = api.raw("POST", f"/api/{path}", NO_JSON[kind][:MAX_BODY])
    assert (status, answer["code"], answer["field"]) == (422, "INVALID_REQUEST", "body")
    assert "not valid JSON" in answer["message"]
    assert api.daemon.commands == []


def test_a_body_that_is_no_json_is_refused_alike_where_one_is_read(api: Served) -> None:
    _, _, bodyless = api.raw("POST", "/api/trading/pause", NO_JSON["cut off"])
    _, _, reading = api.raw("POST", "/api/orders", NO_JSON["cut off"])
    assert bodyless == reading


def test_a_stranger_cannot_fill_the_log_with_bodies_that_are_no_json(
    api: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        status, _, _ = api.raw("POST", "/api/trading/pause", NO_JSON["cut off"], Authorization="Bearer nobody's")
    assert status in (401, 422)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("body", [b"", b"{}", b"null"])
def test_an_empty_body_is_taken_where_none_is_needed(api: Served, body: bytes) -> None:
    status, _, answer = api.raw("POST", "/api/trading/pause", body)
    assert (status, answer["state"]) == (200, "REDUCING")


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k-1"}], ids=["no key", "a key"])
def test_a_chunked_body_over_the_limit_is_refused_with_and_without_a_key(api: Served, key: dict[str, str]) -> None:
    parts = urlsplit(api.url)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    chunks = (b"x" * 1024 for _ in range(MAX_BODY // 1024 + 2))
    headers = {"Authorization": f"Bearer {api.operator.token}", "Content-Type": "application/json", **key}
    link.request("POST", "/api/trading/kill", chunks, headers, encode_chunked=True)
    answer = link.getresponse()
    assert (answer.status, json.load(answer)["code"]) == (413, "BODY_TOO_LARGE")
    link.close()
    assert api.daemon.commands == []


@pytest.mark.parametrize("token", [{}, {"Authorization": "Bearer nobody's"}], ids=["none", "a false one"])
def test_a_strangers_large_body_is_refused_before_it_is_read(
    api: Served, monkeypatch: pytest.MonkeyPatch, token: dict[str, str],
) -> None:
    """Parsing one costs the loop that also trades up to fifteen milliseconds."""
    parsed: list[int] = []
    loads = json.loads
    monkeypatch.setattr("tradingd.api.proper_json.json.loads", lambda text, **how: parsed.append(len(text)) or loads(
        text, **how,
    ))
    body = b'{"closes": [' + b"1," * 30_000 + b"1]}"
    for path, size in (("/api/grids", 60_000), ("/api/trading/kill", 60_000), ("/api/orders", 4_097)):
        parts = urlsplit(api.url)
        line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
        line.request("POST", path, body[:size], {"Content-Type": "application/json", **token})
        answer = line.getresponse()
        assert (answer.status, loads(answer.read())["code"]) == (401, "NOT_AUTHENTICATED")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        line.request("POST", path, iter([body[:size]]), {"Content-Type": "application/json", **token})
        assert line.getresponse().status == 413  # a chunked one tells its size too late
        line.close()
    assert parsed == []
    status, _, answer_body = api.raw("POST", "/api/grids", body)
    assert (status, answer_body["code"]) == (422, "INVALID_REQUEST")
