import asyncio
import gc
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bus.clock import FeedClock, LiveClock
from exchanges import long_bans
from exchanges.answers import NoAnswerError, TransportError, VenueError
from exchanges.binance.market_client import MarketClient
from exchanges.binance.rest import RestClient, _query
from exchanges.binance.weight_budget import WeightBudget
from exchanges.retry_after import retry_after_s
from tests.exchanges.binance.desk import BTC
from tests.exchanges.binance.loopback import Loopback

NOW_NS = 1_723_161_255_000_000_000


def client(server: Loopback, **options) -> RestClient:
    return RestClient(
        server.rest_url, options.pop("clock", LiveClock()), jitter=lambda: 0.5,
        **{"first_pause_s": 0.001, "timeout_s": 2.0, **options},
    )


def answers(server: Loopback, path: str, *statuses: tuple[int, dict[str, str]]) -> None:
    """One status after the other, then 200."""
    left = list(statuses)

    async def handler(request: web.Request) -> web.Response:
        status, headers = left.pop(0) if left else (200, {})
        return web.json_response({"fine": True}, status=status, headers=headers)

    server.handlers[("GET", path)] = handler


async def test_a_read_is_repeated_until_it_works(loopback: Loopback):
    answers(loopback, "/x", (503, {}), (502, {}), (500, {}), (504, {}))
    rest = client(loopback)
    assert (await rest.read("/x")).body == {"fine": True}
    assert len(loopback.requests) == 5
    await rest.close()


async def test_a_read_gives_up_after_five_attempts_and_says_what_to_do(loopback: Loopback):
    answers(loopback, "/x", *[(503, {})] * 9)
    rest = client(loopback)
    with pytest.raises(VenueError, match=r"after 5 attempts, last: HTTP 503.*config\.toml"):
        await rest.read("/x")
    assert len(loopback.requests) == 5
    await rest.close()


async def test_nobody_listening_is_a_venue_error_in_the_end():
    rest = RestClient("http://127.0.0.1:1", LiveClock(), jitter=lambda: 0.5, first_pause_s=0.001)
    with pytest.raises(VenueError, match=r"127\.0\.0\.1:1"):
        await rest.read("/x")
    with pytest.raises(TransportError):
        await rest.once("GET", "/x")
    await rest.close()


def test_an_empty_address_is_explained():
    with pytest.raises(VenueError, match="rest_url '' is not an http"):
        RestClient("", LiveClock())


async def test_retry_after_is_obeyed(loopback: Loopback):
    answers(loopback, "/x", (429, {"Retry-After": "1"}))
    rest = client(loopback)
    started = asyncio.get_running_loop().time()
    assert (await rest.read("/x")).is_ok
    assert asyncio.get_running_loop().time() - started >= 0.99
    await rest.close()


async def test_a_long_ban_is_told_and_nothing_is_sent_meanwhile(loopback: Loopback):
    answers(loopback, "/x", (418, {"Retry-After": "7200"}))
    rest = client(loopback)
    with pytest.raises(VenueError, match="no requests for another 7"):
        await rest.read("/x")
    assert rest.banned_for_s() > 7000
    with pytest.raises(VenueError):
        await rest.read("/x")
    assert len(loopback.requests) == 1
    await rest.close()


async def test_a_refusal_is_an_answer_and_not_repeated(loopback: Loopback):
    loopback.answer("GET", "/x", {"code": -1121, "msg": "Invalid symbol."}, status=400)
    rest = client(loopback)
    answer = await rest.read("/x")
    assert (answer.status, answer.code, answer.message, answer.is_ok) == (400, -1121, "Invalid symbol.", False)
    assert len(loopback.requests) == 1
    await rest.close()


async def test_a_signature_covers_exactly_what_is_sent(loopback: Loopback):
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.rel_url.raw_query_string)
        assert request.headers["X-MBX-APIKEY"] == "key"
        return web.json_response({})

    loopback.handlers[("GET", "/signed")] = handler
    rest = client(loopback, clock=FeedClock(NOW_NS), api_key="key", api_secret="secret")
    await rest.once("GET", "/signed", {"symbol": "BTCUSDT", "note": "a b&c/ü"}, signed=True)
    text, signature = seen[0].split("&signature=")
    assert signature == hmac.new(b"secret", text.encode(), hashlib.sha256).hexdigest()
    assert f"timestamp={NOW_NS // 1_000_000}" in text
    await rest.close()


async def test_the_documented_signature_example_is_reproduced():
    # developers.binance.com, "SIGNED Endpoint Examples for POST /api/v3/order", HMAC keys
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    text = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    )
    rest = RestClient("http://127.0.0.1:1", FeedClock(1499827319559 * 1_000_000), api_key="k", api_secret=secret)
    signed = rest.sign({
        "symbol": "LTCBTC", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "0.1",
    })
    assert signed == f"{text}&signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"


async def test_the_clock_offset_is_the_servers_time_minus_ours(loopback: Loopback):
    loopback.answer("GET", "/api/v3/time", {"serverTime": NOW_NS // 1_000_000 + 1500})
    rest = client(loopback, clock=FeedClock(NOW_NS))
    await rest.synchronise_clock()
    assert rest.clock_offset_ns == 1_500_000_000
    assert rest.timestamp_ms() == NOW_NS // 1_000_000 + 1500
    await rest.close()


async def test_a_refused_timestamp_leads_to_one_new_measurement(loopback: Loopback):
    left = [(400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}), (200, {"ok": 1})]

    async def handler(request: web.Request) -> web.Response:
        status, body = left.pop(0)
        return web.json_response(body, status=status)

    loopback.handlers[("GET", "/x")] = handler
    loopback.answer("GET", "/api/v3/time", {"serverTime": NOW_NS // 1_000_000 + 9000})
    rest = client(loopback, clock=FeedClock(NOW_NS), api_key="k", api_secret="s")
    assert (await rest.read("/x", signed=True)).is_ok
    assert rest.clock_offset_ns == 9_000_000_000
    await rest.close()


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.text(max_size=12)), max_size=6))
def test_the_quick_query_is_the_standard_librarys(parameters: dict[str, str | int]):
    assert _query(parameters) == urlencode(parameters)


async def test_a_ban_is_on_this_machine_and_every_client_of_the_address_keeps_silent(loopback: Loopback):
    answers(loopback, "/x", (418, {"Retry-After": "120"}))
    market, orders = client(loopback), client(loopback)
    with pytest.raises(VenueError, match="no requests for another"):
        await market.read("/x")
    assert orders.banned_for_s() > 100
    with pytest.raises(VenueError, match="no requests for another"):
        await orders.read("/x")
    assert len(loopback.requests) == 1
    for each in (market, orders):
        await each.close()


async def test_a_ban_that_the_orders_line_hears_of_while_it_is_kept_warm_is_obeyed(loopback: Loopback):
    answers(loopback, "/api/v3/ping", (418, {"Retry-After": "120"}))
    rest = client(loopback)
    await rest.keep_warm()
    assert rest.banned_for_s() > 100
    await rest.close()


@pytest.mark.parametrize(("text", "pause_s"), [
    ("30", 30.0), ("30.5", 30.5), ("Thu, 08 Aug 2024 23:54:45 GMT", 30.0), ("Thu, 08 Aug 2024 23:00:00 GMT", 0.0),
    ("", 0.0), ("soon", 0.0), ("-5", 0.0), ("nan", 0.0), ("inf", 0.0), ("9" * 400, 0.0), ("1e9", 0.0), ("\u0663", 0.0),
])
def test_retry_after_is_read_in_every_form_that_http_has(text: str, pause_s: float):
    assert retry_after_s(text, NOW_NS) == pytest.approx(pause_s)


async def test_a_request_of_no_weight_does_not_wait_behind_heavy_ones(loopback: Loopback):
    answers(loopback, "/x")
    rest = client(loopback)
    await rest.read("/x", weight=1000)
    heavy = asyncio.create_task(rest.read("/x", weight=100_000))
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        assert (await rest.read("/x", weight=0, method="GET")).is_ok
    heavy.cancel()
    await rest.close()


async def test_a_request_that_is_given_up_while_it_waits_leaves_its_weight_to_the_next(loopback: Loopback):
    answers(loopback, "/x")
    rest = client(loopback)
    await rest.read("/x", weight=1000)
    heavy = [asyncio.create_task(rest.read("/x", weight=100_000)) for _ in range(3)]
    await asyncio.sleep(0)
    for each in heavy:
        each.cancel()
    await asyncio.gather(*heavy, return_exceptions=True)
    async with asyncio.timeout(2):
        assert (await rest.read("/x", weight=8)).is_ok
    assert len(loopback.requests) == 2
    await rest.close()


async def test_a_long_ban_is_a_trouble_of_the_moment_that_a_start_waits_out(loopback: Loopback):
    answers(loopback, "/x", (418, {"Retry-After": "120"}))
    rest = client(loopback)
    with pytest.raises(NoAnswerError, match="no requests for another"):
        await rest.read("/x")
    await rest.close()


async def test_the_clock_is_not_asked_for_while_the_venue_wants_no_requests(loopback: Loopback):
    answers(loopback, "/api/v3/time", *[(418, {"Retry-After": "120"})] * 3)
    rest = client(loopback)
    for _ in range(3):
        with pytest.raises(TransportError):
            await rest.synchronise_clock()
    assert len(loopback.requests) == 1
    await rest.close()


async def test_what_waits_for_its_weight_is_not_sent_when_the_venue_bans_us_meanwhile(loopback: Loopback):
    answers(loopback, "/x")
    rest = client(loopback)
    await rest.read("/x", weight=1000)
    waiting = asyncio.create_task(rest.read("/x", weight=4))  # for 50 ms
    await asyncio.sleep(0)
    rest.keep_silent(120.0)
    with pytest.raises(NoAnswerError, match="no requests for another"):
        await waiting
    assert len(loopback.requests) == 1
    await rest.close()


async def test_a_ban_that_is_lengthened_is_waited_out_to_its_new_end(loopback: Loopback):
    answers(loopback, "/x")
    rest = client(loopback)
    rest.keep_silent(0.02)
    waiting = asyncio.create_task(rest.read("/x", weight=0))
    await asyncio.sleep(0)
    rest.keep_silent(120.0)
    with pytest.raises(NoAnswerError, match="no requests for another"):
        await waiting
    assert loopback.requests == []
    await rest.close()


async def test_all_clients_of_an_address_use_up_one_budget(loopback: Loopback):
    market, orders, elsewhere = client(loopback), client(loopback), RestClient("http://127.0.0.1:9", LiveClock())
    assert market._address.budget is orders._address.budget is not elsewhere._address.budget
    for each in (market, orders, elsewhere):
        await each.close()


async def test_what_traders_wait_for_does_not_wait_behind_books(loopback: Loopback):
    answers(loopback, "/api/v3/depth")
    loopback.answer("GET", "/api/v3/ticker/bookTicker", [])
    market = MarketClient("binance", loopback.rest_url, LiveClock(), lambda: 0.5, is_replay=False)
    market._rest._address.budget.spend(800)
    book = asyncio.create_task(market.snapshot(BTC))
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        await market.quotes([BTC])
    assert [path for _, path, _ in loopback.requests] == ["/api/v3/ticker/bookTicker"]
    book.cancel()
    await market.close()


@pytest.mark.parametrize(("status", "words", "least_s", "most_s"), [
    (418, "Way too many requests; IP banned until {ms}. Please use WebSocket.", 85.0, 90.0),
    (429, "Too much request weight used; IP banned until {ms}.", 85.0, 90.0),
    (418, "I am a teapot", 29.0, 30.0), (429, "Too many requests.", 0.5, 1.0),
    (418, "IP banned until 1559146400000", 29.0, 30.0), (418, "IP banned until 9959146400000", 29.0, 30.0),
])
async def test_a_ban_without_retry_after_is_obeyed_by_its_words(
    loopback: Loopback, status: int, words: str, least_s: float, most_s: float,
):
    until_ms = LiveClock().now() // 1_000_000 + 90_000
    loopback.answer("GET", "/x", {"code": -1003, "msg": words.format(ms=until_ms)}, status=status)
    rest = client(loopback)
    assert (await rest.once("GET", "/x")).code == -1003
    assert least_s < rest.banned_for_s() <= most_s
    await rest.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """Where this process keeps long bans."""
    long_bans.of_this_process.keep_in(tmp_path)
    yield tmp_path
    long_bans.of_this_process.keep_in(None)


async def test_the_next_process_asks_nothing_before_a_long_ban_is_over(loopback: Loopback, kept: Path):
    answers(loopback, "/x", (418, {"Retry-After": "120"}))
    rest = client(loopback)
    await rest.once("GET", "/x")
    await rest.close()
    del rest
    gc.collect()  # and with it what this process knew
    long_bans.of_this_process.keep_in(kept)
    after = client(loopback)
    assert 100 < after.banned_for_s() <= 120
    with pytest.raises(NoAnswerError, match="no requests for another"):
        await after.read("/x")
    assert len(loopback.requests) == 1
    await after.close()


async def test_a_short_ban_and_one_of_another_address_are_not_kept(loopback: Loopback, kept: Path):
    answers(loopback, "/x", (429, {"Retry-After": "5"}))
    rest = client(loopback)
    await rest.once("GET", "/x")
    await rest.close()
    assert not (kept / long_bans.FILE).exists()
    long_bans.of_this_process.note("http://127.0.0.1:1", 60.0, LiveClock().now())
    assert long_bans.of_this_process.left_s(rest.rest_url, LiveClock().now()) == 0


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"http://x": "soon"}', b'{"http://x": 99999999999999999999}'])
def test_a_file_of_bans_that_says_nothing_sensible_bans_nothing(kept: Path, content: bytes):
    (kept / long_bans.FILE).write_bytes(content)
    long_bans.of_this_process.keep_in(kept)
    assert long_bans.of_this_process.left_s("http://x", LiveClock().now()) == 0


LIMITS = {"rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1200}]}
HALF_PAST_NS = 1_723_161_270_000_000_000  # thirty seconds into a minute


async def test_the_budget_of_all_clients_follows_what_the_venue_says_that_it_grants(loopback: Loopback):
    loopback.answer("GET", "/api/v3/exchangeInfo", {**LIMITS, "symbols": []})
    market = MarketClient("binance", loopback.rest_url, LiveClock(), lambda: 0.5, is_replay=False)
    orders = client(loopback)
    await market.instruments()
    budget, now = orders._address.budget, asyncio.get_running_loop().time()
    assert budget.wait_s(now, 150) == 0.0
    assert budget.wait_s(now, 196) == pytest.approx(1.0, abs=0.2)  # 200 at once and 16 a second, and 20 are used
    await market.close()
    await orders.close()


async def test_what_another_process_has_used_up_is_waited_for(loopback: Loopback):
    loopback.answer("GET", "/api/v3/exchangeInfo", LIMITS, headers={"X-MBX-USED-WEIGHT-1M": "1100"})
    rest = client(loopback, clock=FeedClock(HALF_PAST_NS))
    await rest.read("/api/v3/exchangeInfo", weight=20)
    await rest.read("/api/v3/exchangeInfo", weight=0)  # by now it is known what is granted
    assert rest._address.budget.wait_s(asyncio.get_running_loop().time(), 1) > 20.0
    await rest.close()


async def test_an_orders_answer_tells_what_is_used_too_and_the_order_counts(loopback: Loopback):
    loopback.answer("POST", "/api/v3/order", {}, headers={"X-MBX-USED-WEIGHT-1M": "5000"})
    rest = client(loopback, clock=FeedClock(HALF_PAST_NS), api_key="k", api_secret="s")
    await rest.once("POST", "/api/v3/order", {}, signed=True)
    assert rest._address.budget.wait_s(asyncio.get_running_loop().time(), 1) > 15.0
    loopback.answer("POST", "/api/v3/order", {})
    level = rest._address.budget._level
    await rest.once("POST", "/api/v3/order", {}, signed=True)
    assert rest._address.budget._level == pytest.approx(level - 1)
    await rest.close()


async def test_at_the_beginning_of_a_minute_the_used_weight_may_be_of_the_one_before(loopback: Loopback):
    loopback.answer("GET", "/x", {}, headers={"X-MBX-USED-WEIGHT-1M": "6000"})
    rest = client(loopback, clock=FeedClock(HALF_PAST_NS - 29_000_000_000), timeout_s=2.0)
    await rest.read("/x")
    assert rest._address.budget.wait_s(asyncio.get_running_loop().time(), 900) == 0.0
    await rest.close()


async def test_a_ban_that_another_process_was_told_of_is_obeyed_while_we_run(loopback: Loopback, kept: Path):
    answers(loopback, "/x")
    rest = client(loopback)
    assert (await rest.read("/x")).is_ok
    beside = long_bans.LongBans()  # as a backfill with the same data directory has it
    beside.keep_in(kept)
    beside.note(rest.rest_url, 120.0, LiveClock().now())
    with pytest.raises(NoAnswerError, match="no requests for another"):
        await rest.read("/x")
    assert len(loopback.requests) == 1
    await rest.close()


async def test_a_probe_is_not_sent_into_a_ban_that_another_process_was_told_of(loopback: Loopback, kept: Path):
    rest = client(loopback)
    beside = long_bans.LongBans()
    beside.keep_in(kept)
    beside.note(rest.rest_url, 120.0, LiveClock().now())
    assert await rest.probe() == ""
    assert rest.banned_for_s() > 100  # nor is an order from now on
    assert loopback.requests == []
    await rest.close()


def test_what_two_processes_note_of_bans_is_kept_of_both(tmp_path: Path):
    now, one, other, later = LiveClock().now(), *(long_bans.LongBans() for _ in range(3))
    for each in (one, other):
        each.keep_in(tmp_path)
    one.note("http://a", 60.0, now)
    other.note("http://b", 90.0, now)
    one.note("http://c", 30.0, now)
    later.keep_in(tmp_path)
    assert [round(later.left_s(f"http://{name}", now)) for name in "abc"] == [60, 90, 30]


async def test_a_server_that_counts_on_for_ever_keeps_nothing_waiting(loopback: Loopback):
    clock = FeedClock(HALF_PAST_NS)
    rest = client(loopback, clock=clock)
    for second, used in ((20, "5000"), (42, "5001"), (60, "5002")):
        rest._address.budget = WeightBudget()
        clock.advance(HALF_PAST_NS + second * 1_000_000_000)
        loopback.answer("GET", "/x", {}, headers={"X-MBX-USED-WEIGHT-1M": used})
        await rest.read("/x")
        waits = rest._address.budget.wait_s(asyncio.get_running_loop().time(), 900) > 0
        assert waits == (second == 20)  # a first figure cannot be known to be none of a minute
    await rest.close()


REFUSED_STAMP = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}


def judges_stamps(server: Loopback, path: str, *first: int) -> None:
    """Statuses first, then what a venue says whose clock is nine seconds ahead of `NOW_NS`."""
    left = list(first)

    async def handler(request: web.Request) -> web.Response:
        if left:
            return web.Response(status=left.pop(0))
        is_late = NOW_NS // 1_000_000 + 9_000 - int(request.query["timestamp"]) > int(request.query["recvWindow"])
        return web.json_response(REFUSED_STAMP if is_late else {"fine": True}, status=400 if is_late else 200)

    server.handlers[("GET", path)] = handler


async def test_a_clock_that_cannot_be_set_at_once_is_set_at_the_next_attempt(loopback: Loopback):
    left = [503]

    async def tells(_: web.Request) -> web.Response:
        status = left.pop() if left else 200
        return web.json_response({"serverTime": NOW_NS // 1_000_000 + 9_000}, status=status)

    judges_stamps(loopback, "/x")
    loopback.handlers[("GET", "/api/v3/time")] = tells
    rest = client(loopback, clock=FeedClock(NOW_NS), api_key="k", api_secret="s")
    assert (await rest.read("/x", signed=True)).is_ok
    await rest.close()


async def test_a_clock_that_can_never_be_set_is_a_trouble_of_the_moment(loopback: Loopback):
    judges_stamps(loopback, "/x")
    loopback.answer("GET", "/api/v3/time", {}, status=503)
    rest = client(loopback, clock=FeedClock(NOW_NS), api_key="k", api_secret="s")
    with pytest.raises(NoAnswerError, match=r"after 5 attempts, last: GET /api/v3/time: HTTP 503"):
        await rest.read("/x", signed=True)
    await rest.close()


async def test_a_clock_that_is_found_wrong_after_another_trouble_is_set_too(loopback: Loopback):
    judges_stamps(loopback, "/x", 503)
    loopback.answer("GET", "/api/v3/time", {"serverTime": NOW_NS // 1_000_000 + 9_000})
    rest = client(loopback, clock=FeedClock(NOW_NS), api_key="k", api_secret="s")
    assert (await rest.read("/x", signed=True)).is_ok
    await rest.close()
