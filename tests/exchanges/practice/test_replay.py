"""Replays: the recorded frames of the subscribed streams, moved by whole days, the same at any speed."""

import asyncio
import gzip
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from exchanges.practice.config import PracticeConfig, PracticeError, PracticeUrls
from exchanges.practice.recording_files import open_session
from exchanges.practice.replay_time import DAY_NS, shift_days, shifted
from tests.exchanges.practice.running import ChildFailed, Rest, child, receive, running
from tests.shared_data import shared_file

DAY_MS = 86_400_000
BASE_MS = 1_723_161_254_000


def trade(number: int, price: str, at_ms: int, quantity: str = "0.5") -> str:
    return (
        f'{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{at_ms},"s":"BTCUSDT","t":{number},"p":"{price}",'
        f'"q":"{quantity}","T":{at_ms},"m":true,"M":true}}}}'
    )


def quote(number: int, bid: str, ask: str) -> str:
    return (
        f'{{"stream":"btcusdt@bookTicker","data":{{"u":{number},"s":"BTCUSDT","b":"{bid}","B":"1.00000",'
        f'"a":"{ask}","A":"2.00000"}}}}'
    )


def depth(first: int, last: int, bids: str, asks: str, at_ms: int) -> str:
    return (
        f'{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{at_ms},"s":"BTCUSDT","U":{first},"u":{last},'
        f'"b":{bids},"a":{asks}}}}}'
    )


def line(at_ms: int, text: str, direction: str = "<", extra_ns: int = 0) -> str:
    return f"{at_ms * 1_000_000 + extra_ns}\t{direction}\t{text}\n"


SMALL = [
    line(BASE_MS, depth(11, 12, '[["100.00","5.0"]]', "[]", BASE_MS)),
    line(BASE_MS + 1, 'depth_snapshot {"lastUpdateId":12,"bids":[["100.00","5.0"]],"asks":[["100.10","3.0"]]}', "="),
    line(BASE_MS + 2, quote(13, "100.00", "100.10")),
    line(BASE_MS + 2, trade(1, "100.10", BASE_MS), extra_ns=400),
    line(BASE_MS + 90, depth(13, 15, '[["100.00","0.0"],["99.50","1.0"]]', '[["100.20","4.0"]]', BASE_MS + 90)),
    line(BASE_MS + 91, '{"result":null,"id":1}'),
    line(BASE_MS + 95, trade(2, "99.40", BASE_MS + 95)),
]


def recording(tmp_path: Path, lines: list[str], name: str = "btcusdt.tsv") -> Path:
    path = tmp_path / name
    path.write_text("".join(lines))
    return path


def config(tmp_path: Path, *replay: Path, speed: float = 0.0) -> PracticeConfig:
    return PracticeConfig(tmp_path / "data", replay=replay, speed=speed)


async def play(urls: PracticeUrls, streams: list[str]) -> list[str]:
    """All texts until the end."""
    got: list[str] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(urls.ws_url, max_msg_size=0) as ws:
        await ws.send_json({"method": "SUBSCRIBE", "params": [*streams, "practice@clock"], "id": 1})
        assert await receive(ws) == {"result": None, "id": 1}
        while True:
            message = await asyncio.wait_for(ws.receive(), 30)
            got.append(message.data)
            if "practiceEnd" in message.data:
                return got


def market_frames(texts: list[str]) -> list[str]:
    return [text for text in texts if '"practice@clock"' not in text]


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["ws1", "ws_spot_btcusdt_20240808", "ws_spot_btcusdt_20240809", "ws_spot_ethusdt_20240808"]
)
async def test_every_recorded_frame_is_sent_exactly_but_for_the_days(tmp_path: Path, name: str) -> None:
    path = shared_file(f"messages/binance/{name}.tsv.gz")
    with gzip.open(path, "rt") as lines:
        recorded = [text.rstrip("\n") for _, way, text in (row.split("\t", 2) for row in lines) if way == "<"]
    streams = sorted({text.split('"')[3] for text in recorded})
    async with running(config(tmp_path, path)) as urls, aiohttp.ClientSession() as session:
        days = (await Rest(session, urls).get("/practice/v1/info"))["shift_days"]
        got = market_frames(await play(urls, streams))
    assert len(got) == len(recorded)
    for sent, original in zip(got, recorded, strict=True):
        moved, was = orjson.loads(sent)["data"], orjson.loads(original)["data"]
        for frame, keys in ((moved, "ET"), (moved.get("k"), "tT")):
            for key in keys if frame is not None else "":
                if key in frame:
                    frame[key] -= days * DAY_MS
        assert moved == was
        if days == 0 or '"E"' not in original:
            assert sent == original


async def test_only_subscribed_streams_are_sent_and_the_clock_comes_first(tmp_path: Path) -> None:
    path = recording(tmp_path, SMALL)
    async with running(config(tmp_path, path)) as urls, aiohttp.ClientSession() as session:
        info = await Rest(session, urls).get("/practice/v1/info")
        got = [orjson.loads(text) for text in await play(urls, ["btcusdt@trade"])]
    shift = info["shift_days"] * DAY_NS
    assert [frame["stream"] for frame in got] == [
        "practice@clock", "practice@clock", "btcusdt@trade", "practice@clock", "practice@clock", "btcusdt@trade",
        "practice@clock",
    ]
    assert [frame["data"]["N"] for frame in got if frame["stream"] == "practice@clock"] == [
        (BASE_MS + ms) * 1_000_000 + shift for ms in (0, 2, 90, 95, 95)
    ]
    assert got[-1]["data"]["e"] == "practiceEnd"


async def test_speed_changes_nothing_but_the_pace(tmp_path: Path) -> None:
    path = recording(tmp_path, SMALL)
    results = []
    for speed in (0.0, 20.0):
        async with running(config(tmp_path, path, speed=speed)) as urls:
            results.append(await play(urls, ["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"]))
    assert results[0] == results[1]


async def test_several_subscribe_messages_all_count_before_the_first_frame(tmp_path: Path) -> None:
    path = recording(tmp_path, SMALL)
    async with (
        running(config(tmp_path, path)) as urls, aiohttp.ClientSession() as session,
        session.ws_connect(urls.ws_url) as ws,
    ):
        for number, stream in enumerate(("btcusdt@depth@100ms", "btcusdt@trade", "btcusdt@bookTicker")):
            await ws.send_json({"method": "SUBSCRIBE", "params": [stream], "id": number})
            assert await receive(ws) == {"result": None, "id": number}
        assert [(await receive(ws))["stream"] for _ in range(5)] == [
            "btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@trade", "btcusdt@depth@100ms", "btcusdt@trade",
        ]


async def test_the_rest_book_is_the_recorded_snapshot_first_and_what_was_sent_later(tmp_path: Path) -> None:
    path = recording(tmp_path, SMALL)
    async with running(config(tmp_path, path)) as urls, aiohttp.ClientSession() as session:
        rest = Rest(session, urls)
        assert await rest.get("/api/v3/depth", symbol="BTCUSDT") == {
            "lastUpdateId": 12, "bids": [["100.00", "5.0"]], "asks": [["100.10", "3.0"]],
        }
        listed = (await rest.get("/api/v3/exchangeInfo"))["symbols"][0]
        assert (listed["baseAsset"], listed["quoteAsset"]) == ("BTC", "USDT")
        filters = {f["filterType"]: f for f in listed["filters"]}
        assert (filters["PRICE_FILTER"]["tickSize"], filters["LOT_SIZE"]["stepSize"]) == ("0.10000000", "0.10000000")
        assert await rest.get("/api/v3/klines", symbol="BTCUSDT", interval="1m") == []
        assert await rest.get("/api/v3/trades", symbol="BTCUSDT") == []
        await play(urls, ["btcusdt@trade"])
        assert await rest.get("/api/v3/depth", symbol="BTCUSDT") == {
            "lastUpdateId": 15, "bids": [["99.50000000", "1.0"]],
            "asks": [["100.10000000", "3.0"], ["100.20000000", "4.0"]],
        }
        assert [t["id"] for t in await rest.get("/api/v3/trades", symbol="BTCUSDT")] == [1, 2]


async def test_without_a_recorded_snapshot_the_book_begins_empty_before_the_first_update(tmp_path: Path) -> None:
    path = recording(tmp_path, [SMALL[0], *SMALL[2:]])
    async with running(config(tmp_path, path)) as urls, aiohttp.ClientSession() as session:
        assert await Rest(session, urls).get("/api/v3/depth", symbol="BTCUSDT") == {
            "lastUpdateId": 10, "bids": [], "asks": [],
        }


async def test_orders_match_against_the_replayed_market(tmp_path: Path) -> None:
    path = recording(tmp_path, SMALL)
    async with running(config(tmp_path, path)) as urls, aiohttp.ClientSession() as session:
        rest = Rest(session, urls)
        _, resting = await rest.signed(
            "POST", "order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", price="99.50",
            quantity="0.3",
        )
        assert resting["status"] == "NEW"
        await play(urls, ["btcusdt@trade"])
        _, order = await rest.signed("GET", "order", symbol="BTCUSDT", orderId=resting["orderId"])
        assert (order["status"], order["cummulativeQuoteQty"]) == ("FILLED", "29.85000000")
        _, sold = await rest.signed("POST", "order", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.2")
        assert [(f["price"], f["qty"]) for f in sold["fills"]] == [("99.50000000", "0.20000000")]


async def test_a_replay_pauses_while_nobody_listens_and_goes_on_where_it_was(tmp_path: Path) -> None:
    lines = [line(BASE_MS + 400 * n, trade(n, "100.00", BASE_MS)) for n in range(1, 5)]
    slowly = config(tmp_path, recording(tmp_path, lines), speed=4.0)
    async with running(slowly) as urls, aiohttp.ClientSession() as session:
        url = f"{urls.ws_url}?streams=btcusdt@trade"
        async with session.ws_connect(url) as ws:
            first = [(await receive(ws))["data"]["t"] for _ in range(2)]
        async with session.ws_connect(url) as ws:
            rest = [(await receive(ws))["data"]["t"] for _ in range(2)]
        assert first + rest == [1, 2, 3, 4]


async def test_a_late_client_is_told_that_it_is_over(tmp_path: Path) -> None:
    async with running(config(tmp_path, recording(tmp_path, SMALL))) as urls:
        await play(urls, ["btcusdt@trade"])
        assert len(await play(urls, ["btcusdt@trade"])) == 1


async def test_files_are_merged_by_receive_time(tmp_path: Path) -> None:
    odd = recording(tmp_path, [line(BASE_MS + n, trade(n, "100.0", BASE_MS)) for n in (1, 3, 5)], "b.tsv")
    even = recording(tmp_path, [line(BASE_MS + n, trade(n, "100.0", BASE_MS)) for n in (0, 2, 4)], "a.tsv")
    for session in (open_session((odd, even)), open_session((tmp_path,))):
        assert [orjson.loads(frame.data)["t"] for frame in session.frames()] == [0, 1, 2, 3, 4, 5]


def bars(tmp_path: Path, rows: list[tuple[str, int, float, float, float, float, float]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = ("symbol", "ts", "open", "high", "low", "close", "volume")
    path = tmp_path / "candles.parquet"
    parquet.write_table(pyarrow.table({name: [row[i] for row in rows] for i, name in enumerate(names)}), path)
    return path


def test_a_candle_becomes_open_adverse_extreme_favourable_extreme_close_and_the_kline(tmp_path: Path) -> None:
    ts = 1_700_000_040_000
    path = bars(tmp_path, [
        ("BTC/USDT", ts, 100.0, 103.0, 99.0, 102.0, 4.0), ("BTC/USDT", ts + 60_000, 102.0, 102.5, 98.0, 99.5, 2.0),
        ("BTC/USDT", ts + 120_000, 99.5, 99.5, 99.5, 99.5, 0.0), ("ETH/USDT", ts, 10.0, 10.0, 10.0, 10.0, 1.0),
    ])
    session = open_session((path,))
    frames = list(session.frames())
    assert [frame.ns for frame in frames] == sorted(frame.ns for frame in frames)
    btc = [frame for frame in frames if frame.stream.startswith("btcusdt")]
    trades = [orjson.loads(frame.data) for frame in btc if frame.stream.endswith("trade")]
    assert [float(t["p"]) for t in trades] == [100, 99, 103, 102, 102, 102.5, 98, 99.5]
    assert sum(float(t["q"]) for t in trades[:4]) == 4.0
    assert [t["t"] for t in trades] == list(range(1, 9))
    assert all(ts <= t["T"] < ts + 60_000 for t in trades[:4])
    klines = [orjson.loads(frame.data)["k"] for frame in btc if "kline_1m" in frame.stream]
    assert [(k["t"], k["x"], float(k["c"])) for k in klines] == [
        (ts, True, 102.0), (ts + 60_000, True, 99.5), (ts + 120_000, True, 99.5),
    ]
    assert [pair.symbol for pair in session.pairs.values()] == ["BTC/USDT", "ETH/USDT"]


async def test_klines_of_a_candle_replay_never_look_ahead(tmp_path: Path) -> None:
    ts = 1_700_000_040_000
    path = bars(tmp_path, [("BTC/USDT", ts + n * 60_000, 100.0, 101.0, 99.0, 100.5, 1.0) for n in range(3)])
    async with running(config(tmp_path, path)) as urls, aiohttp.ClientSession() as session:
        rest = Rest(session, urls)
        assert await rest.get("/api/v3/klines", symbol="BTCUSDT", interval="1m") == []
        await play(urls, ["btcusdt@kline_1m"])
        assert len(await rest.get("/api/v3/klines", symbol="BTCUSDT", interval="1m")) == 3


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "frames", "symbol"),
    [("ticks/binance_spot_btcusdt_20240808_trades.parquet", 9_757, "BTC/USDT"),
     ("ticks/binance_spot_ethusdt_20240808_quotes.parquet", 24_077, "ETH/USDT"),
     ("ticks/binance_spot_XRP_ETH_trades.parquet", 12_477, "XRP/ETH")],
)
def test_tick_tables_are_read_whole(name: str, frames: int, symbol: str) -> None:
    session = open_session((shared_file(name),))
    assert session.facts.frames == frames == sum(1 for _ in session.frames())
    assert [pair.symbol for pair in session.pairs.values()] == [symbol]


@pytest.mark.shared
def test_recorded_trades_and_their_table_are_the_same_frames() -> None:
    table = open_session((shared_file("ticks/binance_spot_btcusdt_20240808_trades.parquet"),))
    lines = open_session((shared_file("messages/binance/ws_spot_btcusdt_20240808.tsv.gz"),))
    recorded = [orjson.loads(f.data) for f in lines.frames() if f.stream.endswith("@trade")]
    for frame, was in zip(table.frames(), recorded, strict=True):
        data = orjson.loads(frame.data)
        assert [data[key] for key in "tpqTm"] == [was[key] for key in "tpqTm"]


@pytest.mark.shared
def test_a_recorded_listing_is_used_where_it_is_there() -> None:
    names = ("messages/binance/ws1.tsv.gz", "messages/binance/rest_instruments.tsv.gz")
    session = open_session([shared_file(name) for name in names])
    assert sorted(session.pairs) == ["BLZETH", "LRCBTC", "NKNUSDT", "RUNEEUR"]
    assert all(pair.raw is not None and pair.tick > 0 for pair in session.pairs.values())


@pytest.mark.parametrize(
    ("first", "now", "not_before", "expected"),
    [(0, 0, 0, 0), (0, 7 * DAY_NS - 1, 0, 0), (0, 21 * DAY_NS, 0, 21), (0, 21 * DAY_NS - 1, 0, 14),
     (5, 15 * DAY_NS, 14 * DAY_NS + 5, 14), (5, 15 * DAY_NS, 14 * DAY_NS + 6, 21), (8 * DAY_NS, DAY_NS, 0, -7)],
)
def test_the_shift_is_whole_weeks_to_the_last_seven_days_but_not_too_early(
    first: int, now: int, not_before: int, expected: int
) -> None:
    assert shift_days(first, now, not_before) == expected


def test_shifting_moves_times_and_never_ids() -> None:
    data = '{"e":"trade","E":1723161255343,"s":"X","t":1723161255999,"p":"1","q":"1","T":1723161255342,"m":true}'
    moved: dict[str, Any] = orjson.loads(shifted("x@trade", data, 2))
    assert moved["t"] == 1723161255999
    assert (moved["E"], moved["T"]) == (1723161255343 + 2 * DAY_MS, 1723161255342 + 2 * DAY_MS)
    kline = '{"e":"kline","E":1723161255343,"k":{"t":1723161240000,"T":1723161299999,"c":"1"}}'
    assert orjson.loads(shifted("x@kline_1m", kline, -1))["k"]["t"] == 1723161240000 - DAY_MS
    micro = '{"e":"trade","E":1723161255343123,"T":1723161255342123}'
    assert orjson.loads(shifted("x@trade", micro, 1))["E"] == 1723161255343123 + DAY_MS * 1000


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([SMALL[0], "no tabs here\n"], r"x\.tsv:2: expected three tab-separated fields"),
        ([SMALL[0], "5\t?\t{}\n"], r"x\.tsv:2: the second field is '\?'"),
        ([SMALL[0], line(BASE_MS, '{"stream":"btcusdt@trade","data":{"e":"trade"')],
         r"x\.tsv:2: the frame is not JSON"),
        ([SMALL[0], line(BASE_MS, '{"stream":"a@trade","data":{"e":"trade"}}')],
         r"x\.tsv:2: not a Binance market frame"),
        ([SMALL[0], line(BASE_MS, "https://x/depth broken", "=")], r"x\.tsv:2: the recorded REST answer is not JSON"),
        ([], r"x\.tsv: no Binance market frame in it"),
    ],
)
def test_a_bad_recording_is_refused_with_file_and_line(tmp_path: Path, lines: list[str], text: str) -> None:
    with pytest.raises(PracticeError, match=text):
        open_session((recording(tmp_path, lines, "x.tsv"),))


def test_a_torn_end_is_no_fault(tmp_path: Path) -> None:
    torn = recording(tmp_path, [*SMALL, SMALL[3][:60]], "torn.tsv")
    assert open_session((torn,)).facts.frames == 5
    cut = tmp_path / "cut.tsv.gz"
    cut.write_bytes(gzip.compress("".join(SMALL * 50).encode())[:-9])
    assert open_session((cut,)).facts.frames > 0


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"not parquet")
    (tmp_path / "x.tsv.gz").write_bytes(b"not gzip")
    (tmp_path / "x.csv").write_text("a,b")
    for name, text in (("x.parquet", "not a readable parquet"), ("x.tsv.gz", "cannot be read"),
                       ("x.csv", "cannot be replayed"), ("absent.tsv", "no such file")):
        with pytest.raises(PracticeError, match=rf"{name}.*{text}"):
            open_session((tmp_path / name,))


async def test_the_command_says_what_is_wrong_in_one_line_and_exits_2(tmp_path: Path) -> None:
    bad = recording(tmp_path, [SMALL[0], "junk\n"], "bad.tsv")
    with pytest.raises(ChildFailed) as raised:
        await child(tmp_path, "--replay", str(bad))
    assert str(raised.value).startswith(f"exit 2: practice exchange: {bad}:2: expected three tab-separated fields")
    assert str(raised.value).count("\n") == 1
