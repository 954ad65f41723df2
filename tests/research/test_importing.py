"""Files of candles as people and exchanges write them, into the history."""

import gzip
import json
import zipfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from research.history.importing import ImportOptions, ImportReport, find_files, import_file
from research.history.source_piece import SourceError
from research.history.symbol_names import archive_of, our_symbol, symbol_in
from store.candles import CandleStore, WriteResult
from tests.shared_data import shared_file

MS = 1_714_521_600_000  # 2024-05-01
BTC = "BTC/USDT"
ROWS = [
    (MS, "100.10", "101", "99.5", "100.5", "12.00500000"),
    (MS + 60_000, "100.5", "102", "100.5", "101.25", "3"),
    (MS + 120_000, "101.25", "101.25", "101.25", "101.25", "0"),
]
FIELDS = ("ts", "open", "high", "low", "close", "volume")
EXPECTED = [tuple(Decimal(cell) for cell in row[1:]) for row in ROWS]


def run(folder: Path, name: str, text: str | bytes, **options: object) -> tuple[CandleStore, ImportReport]:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    store = CandleStore(folder / "history")
    return store, import_file(store, path, ImportOptions(**options))  # type: ignore[arg-type]


def stored(store: CandleStore, symbol: str = BTC, interval: str = "1m") -> list[tuple[Decimal, ...]]:
    return [(each.open, each.high, each.low, each.close, each.volume) for each in store.iter_candles(symbol, interval)]


def csv(heading: str, lines: list[str]) -> str:
    return "\n".join([*([heading] if heading else []), *lines]) + "\n"


def prices(row: tuple[object, ...]) -> str:
    return ",".join(map(str, row[1:]))


ISO = ("2024-05-01T00:00:00Z", "2024-05-01T00:01:00Z", "2024-05-01T00:02:00Z")
VARIANTS = {
    "the house's own": csv(
        "symbol,date,open,high,low,close,volume",
        [f"BTC/USDT,{at},{prices(row)}" for at, row in zip(ISO, ROWS, strict=True)],
    ),
    "milliseconds": csv("ts,open,high,low,close,volume", [f"{row[0]},{prices(row)}" for row in ROWS]),
    "seconds": csv("Unix Timestamp,Open,High,Low,Close,Volume", [f"{row[0] // 1000},{prices(row)}" for row in ROWS]),
    "microseconds": csv("open_time,open,high,low,close,volume", [f"{row[0] * 1000},{prices(row)}" for row in ROWS]),
    "seconds with a point": csv(
        "time,open,high,low,close,volume", [f"{row[0] // 1000}.0,{prices(row)}" for row in ROWS]
    ),
    "a zone": csv(
        "Date,Open,High,Low,Close,Volume",
        [f"2024-05-01 02:0{at}:00+02:00,{prices(row)}" for at, row in enumerate(ROWS)],
    ),
    "no zone": csv("datetime;o;h;l;c;v", [
        f"2024-05-01 00:0{at}:00;{prices(row).replace(',', ';')}" for at, row in enumerate(ROWS)
    ]),
    "a word before, both times, two volumes": "https://www.example.org\n" + csv(
        "unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT",
        [f"{row[0]},2024-05-01 00:0{at}:00,BTC/USDT,{prices(row)},99" for at, row in enumerate(ROWS)],
    ),
    "klines without heading": csv("", [f"{row[0]},{prices(row)},{row[0] + 59_999},1,7,1,1,0" for row in ROWS]),
    "line ends of Windows, quotes, blanks": csv(
        '"ts","open","high","low","close","volume"', [f'"{row[0]}",{prices(row)}' for row in ROWS]
    ).replace("\n", "\r\n") + "\r\n",
    "backwards": csv("ts,open,high,low,close,volume", [f"{row[0]},{prices(row)}" for row in reversed(ROWS)]),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_csv_in_many_writings_gives_the_same_candles(tmp_path: Path, variant: str) -> None:
    store, report = run(tmp_path, "BTCUSDT-1m-2024-05.csv", VARIANTS[variant])
    assert (report.problem, report.refused, report.interval, report.symbols) == ("", 0, "1m", (BTC,))
    assert stored(store) == EXPECTED


def test_a_byte_order_mark_and_gzip_are_no_hindrance(tmp_path: Path) -> None:
    text = "\ufeff" + VARIANTS["milliseconds"]
    store, report = run(tmp_path, "BTC_USDT-1m.csv.gz", gzip.compress(text.encode()), symbol=BTC)
    assert report.problem == ""
    assert stored(store) == EXPECTED


JSON = {
    "objects": json.dumps([dict(zip(FIELDS, row, strict=True)) for row in ROWS]),
    "numbers": json.dumps([[row[0], *map(float, row[1:])] for row in ROWS]),
    "klines": json.dumps([[*row, row[0] + 59_999, "1", 7, "1", "1", "0"] for row in ROWS]),
    "inside an object": json.dumps({"symbol": "x", "data": [list(row) for row in ROWS]}),
}


@pytest.mark.parametrize("kind", JSON)
def test_json_as_objects_and_arrays(tmp_path: Path, kind: str) -> None:
    store, report = run(tmp_path, "candles.json", JSON[kind], symbol=BTC)
    assert (report.problem, report.refused) == ("", 0)
    assert stored(store) == EXPECTED


def test_the_number_of_trades_is_kept_where_it_is_told(tmp_path: Path) -> None:
    store, _ = run(tmp_path, "BTCUSDT-1m-2024-05.json", JSON["klines"])
    assert [each.trades for each in store.iter_candles(BTC, "1m")] == [7, 7, 7]


def test_parquet_of_floats_and_times_gives_the_same_decimals(tmp_path: Path) -> None:
    table = pa.table({
        "symbol": [BTC] * 3, "date": pa.array([row[0] for row in ROWS]).cast(pa.timestamp("ms", "UTC")),
        **{name: [float(row[at]) for row in ROWS] for at, name in enumerate(FIELDS) if at},
    })
    pq.write_table(table, tmp_path / "some.parquet")
    store = CandleStore(tmp_path / "history")
    assert import_file(store, tmp_path / "some.parquet", ImportOptions()).is_whole
    assert stored(store) == EXPECTED


def test_a_zip_holds_one_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "BTCUSDT-1m-2024-05.zip", "w") as archive:
        archive.writestr("BTCUSDT-1m-2024-05.csv", VARIANTS["klines without heading"])
    store = CandleStore(tmp_path / "history")
    assert import_file(store, tmp_path / "BTCUSDT-1m-2024-05.zip", ImportOptions()).is_whole
    assert stored(store) == EXPECTED


BAD = {
    "open": (f"{MS},abc,101,99,100,1", "open", "abc"),
    "nan": (f"{MS},nan,101,99,100,1", "open", "nan"),
    "empty": (f"{MS},100,101,99,,1", "close", ""),
    "zero": (f"{MS},100,101,0,100,1", "low", "0"),
    "negative volume": (f"{MS},100,101,99,100,-1", "volume", "-1"),
    "high below close": (f"{MS},100,100.5,99,101,1", "high", "100.5"),
    "low above open": (f"{MS},100,105,101,104,1", "low", "101"),
    "no time": ("yesterday,100,101,99,100,1", "ts", "yesterday"),
    "off the grid": (f"{MS + 1000},100,101,99,100,1", "ts", str(MS + 1000)),
    "before 1970": ("-5,100,101,99,100,1", "ts", "-5"),
    "too many digits": (f"{MS},100.1234567890123456789,101,99,100,1", "open", "100.1234567890123456789"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_row_is_refused_by_line_and_field_and_the_rest_is_imported(tmp_path: Path, what: str) -> None:
    row, field, value = BAD[what]
    good = [f"{at},{prices(each)}" for at, *_ in ROWS for each in ROWS[:1]]
    text = csv("ts,open,high,low,close,volume", [good[1], "", row, good[2]])
    store, report = run(tmp_path, "BTCUSDT-1m-2024-05.csv", text)
    assert (report.rows, report.refused, report.written.added) == (3, 1, 2)
    refusal = report.refusals[0]
    assert (refusal.where, refusal.field, refusal.value) == ("line 4", field, value)
    assert len(refusal.remedy) > 10
    assert store.coverage(BTC, "1m").candles == 2


@pytest.mark.parametrize("above", ["", "Zeit,Anfang,Hoch,Tief,Ende,Menge\n", "https://www.cryptodatadownload.com\n"])
def test_a_bad_first_row_of_a_file_without_a_heading_is_told_like_any_other(tmp_path: Path, above: str) -> None:
    rows = [f"{MS + minute * 60_000},100,101,99,100,{'x' if minute < 2 else 1}" for minute in range(5)]
    text = above + "\n".join([*rows, f"{MS - 60_000},100,101,99,100,x"])
    _, report = run(tmp_path, "BTCUSDT-1m-2024-05.csv", text)
    first = 2 if above else 1
    assert [(each.where, each.field) for each in report.refusals] == [
        (f"line {line}", "volume") for line in (first, first + 1, first + 5)
    ]
    assert (report.rows, report.written.added) == (6, 3)


def test_a_line_of_too_few_fields_is_refused_by_its_number(tmp_path: Path) -> None:
    lines = [f"{row[0]},{prices(row)}" for row in ROWS]
    _, report = run(tmp_path, "BTCUSDT-1m-2024-05.csv", csv("ts,open,high,low,close,volume", [
        lines[0], "1,2,3", lines[1], f"{MS + 120_000},0,1,1,1,1"
    ]))
    assert [refusal.where for refusal in report.refusals] == ["line 3", "line 5"]
    assert (report.rows, report.refused, report.written.added) == (4, 2, 2)


def test_a_file_in_which_no_time_can_be_read_says_so_and_not_that_an_option_is_missing(tmp_path: Path) -> None:
    text = "date,time,open,high,low,close,volume\n" + "".join(f"2024-05-01,0{at}:00,1,1,1,1,1\n" for at in range(9))
    _, report = run(tmp_path, "btc.csv", text, symbol=BTC)
    assert "btc.csv: no row of it has a time: line 2, ts '00:00': " in report.problem
    assert "write an ISO date (UTC)" in report.problem


def test_text_of_two_bytes_a_letter_is_told(tmp_path: Path) -> None:
    _, report = run(tmp_path, "BTCUSDT-1m-2024-05.csv", VARIANTS["milliseconds"].encode("utf-16"))
    assert report.problem.endswith("BTCUSDT-1m-2024-05.csv: its text is UTF-16. Save it as UTF-8.")


def test_strictly_nothing_of_a_file_with_a_bad_row_is_imported(tmp_path: Path) -> None:
    text = VARIANTS["milliseconds"] + f"{MS},abc,1,1,1,1\n"
    store, report = run(tmp_path, "BTCUSDT-1m-2024-05.csv", text, is_strict=True)
    assert "1 rows refused" in report.problem
    assert store.series() == []


def test_importing_again_changes_nothing_and_a_correction_replaces(tmp_path: Path) -> None:
    run(tmp_path, "BTCUSDT-1m-2024-05.csv", VARIANTS["milliseconds"])
    _, again = run(tmp_path, "BTCUSDT-1m-2024-05.csv", VARIANTS["seconds"])
    assert again.written == WriteResult(0, 0, 3)
    store, mended = run(tmp_path, "BTCUSDT-1m-2024-05.csv", csv("ts,open,high,low,close,volume", [
        f"{MS},1,1,1,1,1", f"{MS},100,200,100,150,1"
    ]))
    assert (mended.duplicates, mended.written) == (1, WriteResult(0, 1, 0))
    assert stored(store)[0][3] == Decimal(150)


def test_times_that_name_the_end_are_moved_to_the_beginning(tmp_path: Path) -> None:
    text = csv("ts,open,high,low,close,volume", [f"{row[0] + 60_000},{prices(row)}" for row in ROWS])
    store, _ = run(tmp_path, "BTCUSDT-1m-2024-05.csv", text, stamps_are_closes=True)
    assert store.coverage(BTC, "1m").first_ns == MS * 1_000_000


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "begins 'nothing'"), ("a.csv", "hello\nworld\n", "no heading"),
        ("a.csv", "ts,open,high,low,close,volume\n", "holds no row"),
        ("a.csv", VARIANTS["milliseconds"], "give --symbol"),
        ("BTC-USDT-2024.csv", csv("ts,open,high,low,close", [f"{MS},1,1,1,1"]), "give --timeframe"),
        ("BTCUSDT-3m-2024-05.csv", csv("ts,open,high,low,close", [f"{MS + n * 180_000},1,1,1,1" for n in range(3)]),
         "give --timeframe"),
        ("a.json", "[", "not JSON"), ("a.json", "7", "expected a list"), ("a.json", '[{"a": 1}]', "Rename"),
        ("a.parquet", b"PAR1 no", "damaged"), ("a.zip", b"PK no", "damaged"), ("a.csv.gz", b"no", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_the_remedy(tmp_path: Path, name: str, text: str, said: str) -> None:
    store, report = run(tmp_path, name, text)
    assert said in report.problem
    assert str(tmp_path / name) in report.problem
    assert store.series() == []


def test_a_folder_is_searched_and_what_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.csv", "sub/a.json", "notes.md"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in find_files([tmp_path])] == ["b.csv", "a.json"]
    with pytest.raises(SourceError, match="no such file"):
        find_files([tmp_path / "absent.csv"])


@pytest.mark.parametrize(
    ("text", "symbol"),
    [("BTCUSDT", BTC), ("btc-usdt", BTC), ("BTC_USDT", BTC), (BTC, BTC), ("AAPL", "AAPL"), ("BRK.B", "BRK.B"),
     ("GBTC", "GBTC"), ("FIL/USDT:USDT", "FIL/USDT:USDT"), ("BTC-PERP(FTX)", "BTC-PERP(FTX)")],
)
def test_symbols_are_written_our_way_and_shares_are_left_alone(text: str, symbol: str) -> None:
    assert our_symbol(text) == symbol


@pytest.mark.parametrize("field", ["timestamp", "symbol", "open"])
def test_a_column_of_lists_fails_its_file_in_words(tmp_path: Path, field: str) -> None:
    columns = {"timestamp": [MS], "symbol": ["BTCUSDT"], **{key: [1.5] for key in FIELDS[1:]}}
    pq.write_table(pa.table({**columns, field: [[1]]}), tmp_path / "lists.parquet")
    report = import_file(CandleStore(tmp_path / "history"), tmp_path / "lists.parquet", ImportOptions("", "1m"))
    assert not report.is_whole
    assert report.refused or "lists.parquet: a column holds neither numbers nor texts" in report.problem


@pytest.mark.parametrize(("place", "value", "why"), [(6, 1, "password"), (8, 99, "compression")])
def test_a_zip_that_cannot_be_unpacked_is_told_with_the_remedy(
    tmp_path: Path, place: int, value: int, why: str
) -> None:
    path = tmp_path / "BTCUSDT-1m-2024-05.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("BTCUSDT-1m-2024-05.csv", VARIANTS["milliseconds"])
    data = bytearray(path.read_bytes())
    data[place] = data[data.rfind(b"PK\x01\x02") + place + 2] = value  # in both headers
    _, report = run(tmp_path, path.name, bytes(data))
    assert f"{path}: cannot be unpacked (" in report.problem
    assert why in report.problem


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.string(), pa.decimal128(38, 18)])
def test_prices_of_any_parquet_type_are_what_was_meant(tmp_path: Path, kind: pa.DataType) -> None:
    wanted = ["37123.7", "0.1"]
    told = {pa.string(): wanted, pa.decimal128(38, 18): [Decimal(each) for each in wanted]}
    numbers = pa.array(told.get(kind) or [float(each) for each in wanted], kind)
    times = pa.array([MS, MS + 60_000])
    table = pa.table({"timestamp": times, **dict.fromkeys(("open", "high", "low", "close", "volume"), numbers)})
    pq.write_table(table, tmp_path / "BTCUSDT-1m-2024-05.parquet")
    store = CandleStore(tmp_path / "history")
    import_file(store, tmp_path / "BTCUSDT-1m-2024-05.parquet", ImportOptions())
    assert stored(store) == [(Decimal(each),) * 5 for each in wanted]


def test_names_of_archives_and_exports_are_understood() -> None:
    assert archive_of("x/BTCUSDT-1m-2024-05.zip") == ("BTCUSDT", "1m", 2024, 5)
    assert archive_of("BTCUSDT-1m-2024-13.zip") is None
    assert archive_of("BTCUSDT-1m-2024-05-03.zip") is None  # a day's
    assert symbol_in("ETHBTC-1h-2024-05.csv") == "ETH/BTC"
    assert symbol_in("BTC_USDT_USDT-1m-futures.feather") == "BTC/USDT:USDT"


@pytest.mark.shared
def test_real_candles_import_whole_and_agree_with_their_source(tmp_path: Path) -> None:
    path = shared_file("candles/binance_spot_1m_BTC-ETH_2024-07_2024-08.parquet")
    store = CandleStore(tmp_path)
    report = import_file(store, path, ImportOptions())
    assert (report.is_whole, report.interval, report.written.added) == (True, "1m", 86_417)
    rows = pq.read_table(path).filter(pa.compute.field("symbol") == "ETH/USDT")
    assert store.load("ETH/USDT", "1m").close.tolist() == rows.column("close").to_pylist()


@pytest.mark.shared
def test_many_shares_in_one_file_are_told_apart(tmp_path: Path) -> None:
    path = shared_file("stocks/us_sp500_daily_2006_2021.parquet")
    few = pq.read_table(path, filters=[("symbol", "in", ["A", "AAPL", "BRK.B"])])
    pq.write_table(few, tmp_path / "few.parquet")
    store = CandleStore(tmp_path / "history")
    report = import_file(store, tmp_path / "few.parquet", ImportOptions())
    assert (report.interval, report.refused) == ("1d", 0)
    assert {symbol for symbol, _ in store.series()} == set(few.column("symbol").to_pylist())
    assert report.written.added == few.num_rows


def test_a_history_can_be_imported_into_another(tmp_path: Path) -> None:
    store, _ = run(tmp_path, "BTCUSDT-1m-2024-05.csv", VARIANTS["milliseconds"])
    other = CandleStore(tmp_path / "other")
    reports = [import_file(other, path, ImportOptions()) for path in find_files([tmp_path / "history"])]
    assert [report.is_whole for report in reports] == [True]
    assert other.fingerprint(BTC, "1m") == store.fingerprint(BTC, "1m")


def test_a_symbol_of_a_file_of_many_is_taken_alone(tmp_path: Path) -> None:
    text = "symbol,date,open,high,low,close,volume\n" + "".join(
        f"{name},2024-01-01 00:0{minute}:00,{price},{price},{price},{price},1\n"
        for minute in range(3) for name, price in (("ETHUSDT", 2), ("BTCUSDT", 40000), ("XRPUSDT", 1))
    )
    store, report = run(tmp_path, "many.csv", text, symbol=BTC)
    assert (report.problem, report.symbols, report.duplicates) == ("", (BTC,), 0)
    assert [row[0] for row in stored(store)] == [Decimal(40000)] * 3
    assert store.series() == [(BTC, "1m")]
    _, refused = run(tmp_path, "many.csv", text, symbol="SOL/USDT")
    assert "no row is of SOL/USDT: it holds 3 symbols" in refused.problem
