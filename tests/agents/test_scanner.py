from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as some

from agents.agent import Emit
from agents.scanner import Scanner, ScannerConfig
from bus.ids import SessionId
from bus.messages.council import Candidate, CandidatesRanked, LeftOut, QuotesSampled, SampledQuote
from bus.messages.header import MessageMaker
from bus.messages.system import InstrumentChanged, TimerFired
from market.interval import SECOND_NS
from market.ticks import Candle
from tests.candle_paths import START_NS, Row, candle, candles

CONFIG = ScannerConfig(top=2, min_quote_volume=Decimal(0), max_spread=0.002, refresh_ns=5 * SECOND_NS, interval="1s")
END_NS = START_NS + 60 * SECOND_NS


def drifting(total_move: float, *, wick: float = 0.01, volumes: Sequence[float] = (1.0,) * 60) -> list[Row]:
    """Sixty candles around 100 that go `total_move` (in quote) in equal steps."""
    rows = []
    for index, volume in enumerate(volumes):
        open_ = 100.0 + total_move * index / len(volumes)
        close = 100.0 + total_move * (index + 1) / len(volumes)
        rows.append((open_, max(open_, close) + wick, min(open_, close) - wick, close, volume))
    return rows


class Room:
    def __init__(
        self, rows_by_symbol: Mapping[str, Sequence[Row]], config: ScannerConfig = CONFIG, halted: Sequence[str] = (),
    ) -> None:
        self.scanner = Scanner(config, list(rows_by_symbol), halted)
        self._maker = MessageMaker("engine", SessionId("s"))
        for symbol, rows in rows_by_symbol.items():
            for one in candles(rows, symbol=symbol):
                self.hear(replace(one, is_warmup=True), START_NS)

    def hear(self, body: object, ts: int) -> Sequence[Emit]:
        return self.scanner.handle(self._maker.make(body, ts))

    def ranking(self, ts: int = END_NS) -> CandidatesRanked:
        (emit,) = self.hear(TimerFired("second"), ts)
        assert isinstance(emit.body, CandidatesRanked)
        return emit.body

    def rank(self, ts: int = END_NS) -> tuple[Candidate, ...]:
        return self.ranking(ts).candidates

    def names(self, ts: int = END_NS) -> list[str]:
        return [one.symbol for one in self.rank(ts)]


def quotes(**touch: tuple[str, str]) -> QuotesSampled:
    """quotes(A=("100", "101")): bid and ask of A/USDT."""
    return QuotesSampled(tuple(
        SampledQuote(f"{name}/USDT", Decimal(bid), Decimal(ask)) for name, (bid, ask) in touch.items()
    ))


def test_the_symbol_that_moves_most_comes_first_with_plain_reasons() -> None:
    room = Room({"A/USDT": drifting(0.0), "B/USDT": drifting(0.8), "C/USDT": drifting(0.3)})
    ranked = room.rank()
    assert [one.symbol for one in ranked] == ["B/USDT", "C/USDT"]
    assert ranked[0].reasons[:2] == ("moved +0.80 % in a minute", "volume 1.0x average")
    assert 0 <= ranked[1].score < ranked[0].score <= 100


def test_fresh_volume_lifts_a_symbol() -> None:
    awake = (1.0,) * 55 + (3.0,) * 5
    room = Room({"A/USDT": drifting(0.1), "B/USDT": drifting(0.1, volumes=awake)})
    ranked = room.rank()
    assert ranked[0].symbol == "B/USDT"
    assert "volume 2.6x average" in ranked[0].reasons


def test_a_wilder_symbol_says_so() -> None:
    room = Room({"A/USDT": drifting(0.0), "B/USDT": drifting(0.0), "C/USDT": drifting(0.0, wick=0.05)})
    ranked = room.rank()
    assert ranked[0].symbol == "C/USDT"
    assert "ranges 5.0x those of the other symbols" in ranked[0].reasons


def test_equal_symbols_are_ranked_by_name_whatever_their_order_of_arrival() -> None:
    room = Room({name: drifting(0.2) for name in ("Z/USDT", "B/USDT", "M/USDT")})
    assert room.names() == ["B/USDT", "M/USDT"]


def test_a_listed_symbol_stays_until_another_is_clearly_better() -> None:
    rows = {"A/USDT": drifting(0.30), "B/USDT": drifting(0.28), "C/USDT": drifting(0.05)}
    room = Room(rows, replace(CONFIG, top=1))
    assert room.names() == ["A/USDT"]
    later = END_NS + 60 * SECOND_NS
    nearly = {"A/USDT": drifting(0.28), "B/USDT": drifting(0.30)}
    for symbol, fresh in nearly.items():
        for index, row in enumerate(fresh):
            room.hear(candle(row, 60 + index, symbol=symbol), END_NS)
    assert room.names(later) == ["A/USDT"]
    for index, row in enumerate(drifting(2.0)):
        room.hear(candle(row, 120 + index, symbol="B/USDT"), later)
        room.hear(candle(drifting(0.0)[index], 120 + index, symbol="A/USDT"), later)
    assert room.names(later + 60 * SECOND_NS) == ["B/USDT"]


def test_it_ranks_first_after_one_refresh_and_then_at_most_that_often() -> None:
    scanner, timer, maker = Scanner(CONFIG, ["A/USDT"]), TimerFired("second"), MessageMaker("x", SessionId("s"))
    series = candles(drifting(0.2), symbol="A/USDT")
    emitted = []
    for second, one in enumerate(series):
        emits = [*scanner.handle(maker.make(one, one.ts_init)), *scanner.handle(maker.make(timer, one.ts_init))]
        if emits:
            assert len(emits) == 1
            emitted.append(second)
    assert emitted == list(range(5, 60, 5))


def test_before_anything_is_heard_there_is_no_list_to_speak_of() -> None:
    room = Room({"A/USDT": []})
    assert room.hear(TimerFired("second"), START_NS) == ()
    assert room.hear(TimerFired("second"), END_NS) == ()
    assert room.scanner.status().status == "idle"


def test_too_little_turnover_keeps_a_symbol_off_the_list() -> None:
    rows = {"A/USDT": drifting(0.0), "B/USDT": drifting(0.8, volumes=(0.01,) * 60)}
    room = Room(rows, replace(CONFIG, min_quote_volume=Decimal(1000), quote="USDT"))
    told = room.ranking()
    assert [one.symbol for one in told.candidates] == ["A/USDT"]
    assert told.left_out == (
        LeftOut("B/USDT", "traded 60.2 USDT in a minute, at least 1k wanted (min_quote_volume)"),
    )


def test_when_every_symbol_is_filtered_out_the_list_is_empty() -> None:
    room = Room({"A/USDT": drifting(0.5)}, replace(CONFIG, min_quote_volume=Decimal(10**9)))
    assert room.names() == []
    assert "no symbol on the watch list" in room.scanner.status().message


def test_a_wide_spread_keeps_a_symbol_off_the_list_a_narrow_one_lifts_it() -> None:
    room = Room({"A/USDT": drifting(0.8), "B/USDT": drifting(0.2), "C/USDT": drifting(0.2)})
    room.hear(quotes(A=("100.00", "100.21"), C=("100.00", "100.01")), END_NS)
    told = room.ranking()
    ranked = told.candidates
    assert told.left_out == (LeftOut("A/USDT", "spread 0.210 %, at most 0.200 % wanted (max_spread)"),)
    assert [one.symbol for one in ranked] == ["C/USDT", "B/USDT"]
    assert "spread 0.010 %" in ranked[0].reasons
    assert not any("spread" in reason for reason in ranked[1].reasons)


def test_an_old_quote_is_forgotten() -> None:
    room = Room({"A/USDT": drifting(0.8)})
    room.hear(quotes(A=("100.00", "101.00")), END_NS - 31 * SECOND_NS)
    assert room.names() == ["A/USDT"]


def test_a_symbol_nobody_trades_any_more_leaves_the_list() -> None:
    room = Room({"A/USDT": drifting(0.8), "B/USDT": drifting(0.1)})
    assert room.names() == ["A/USDT", "B/USDT"]
    for index, row in enumerate(drifting(0.1)):
        room.hear(candle(row, 60 + index, symbol="B/USDT"), END_NS)
    assert room.names(END_NS + 62 * SECOND_NS) == ["B/USDT"]


def test_repeated_candles_other_intervals_and_strangers_change_nothing() -> None:
    room, twin = (Room({"A/USDT": drifting(0.8), "B/USDT": drifting(0.1)}) for _ in range(2))
    row = drifting(5.0)[3]
    for stray in (candle(row, 59, symbol="A/USDT"), candle(row, 70, symbol="A/USDT", interval="5s"),
                  candle(row, 70, symbol="X/USDT"), quotes(X=("1", "2"))):
        assert room.hear(stray, START_NS) == ()
    assert room.rank() == twin.rank()


def test_flat_symbols_without_volume_score_nothing() -> None:
    flat = [(100.0, 100.0, 100.0, 100.0, 0.0)] * 60
    (only,) = Room({"A/USDT": flat}).rank()
    assert (only.score, only.reasons) == (
        0.0, ("moved +0.00 % in a minute", "volume 0.0x average", "traded 0"),
    )


@settings(max_examples=40, deadline=None)
@given(
    some.lists(
        some.tuples(some.integers(1, 10**6), some.integers(0, 10**6), some.integers(0, 9)), min_size=2, max_size=70
    )
)
def test_scores_stay_between_0_and_100(path: list[tuple[int, int, int]]) -> None:
    room = Room({"A/USDT": [], "B/USDT": drifting(0.2)})
    for index, (price, wick, volume) in enumerate(path):
        one = Candle(
            "A/USDT", "1s", START_NS + index * SECOND_NS, Decimal(price), Decimal(price + wick), Decimal(price),
            Decimal(price), Decimal(volume), 1, END_NS,
        )
        room.hear(one, START_NS)
    for ranked in room.rank():
        assert 0.0 <= ranked.score <= 100.0


def test_the_status_names_the_list() -> None:
    room = Room({"A/USDT": drifting(0.8), "B/USDT": drifting(0.1)})
    room.rank()
    status = room.scanner.status()
    assert (status.status, status.message) == ("running", "A/USDT, B/USDT on the watch list of 2 symbols")
    assert status.percent == 100.0


def test_those_that_did_not_make_the_list_are_told_with_their_scores_best_first() -> None:
    moves = {"A/USDT": 0.1, "B/USDT": 0.4, "C/USDT": 0.3, "D/USDT": 0.2}
    told = Room({symbol: drifting(move) for symbol, move in moves.items()}).ranking()
    assert [one.symbol for one in told.candidates] == ["B/USDT", "C/USDT"]
    assert [one.symbol for one in told.runners_up] == ["D/USDT", "A/USDT"]
    assert told.runners_up[0].score < told.candidates[-1].score
    assert told.runners_up[0].reasons


def test_a_young_symbol_is_left_out_until_it_is_known_for_long_enough() -> None:
    hour = 3600 * SECOND_NS
    config = replace(CONFIG, min_age_ns=2 * hour)
    rows = {"A/USDT": drifting(0.8), "B/USDT": drifting(0.1)}
    room = Room(rows, config)
    for back in range(3):  # longer candles, fetched at the start, tell the age as well
        old = candle(drifting(0.1)[0], 0, symbol="B/USDT", interval="1h")
        room.hear(replace(old, ts_open=START_NS - back * hour, is_warmup=True), START_NS)
    told = room.ranking()
    assert [one.symbol for one in told.candidates] == ["B/USDT"]
    assert told.left_out == (LeftOut("A/USDT", "known for a minute, at least 2 hours wanted (min_age_h)"),)


def test_a_halted_symbol_is_left_out_and_comes_back() -> None:
    room = Room({"A/USDT": drifting(0.8), "B/USDT": drifting(0.1)})
    halt = InstrumentChanged("A/USDT", *([Decimal(1)] * 7), is_trading=False, reason="halted")
    room.hear(halt, START_NS)
    told = room.ranking()
    assert [one.symbol for one in told.candidates] == ["B/USDT"]
    assert told.left_out == (LeftOut("A/USDT", "the venue has halted it"),)
    room.hear(replace(halt, is_trading=True), END_NS)
    assert room.names(END_NS + 5 * SECOND_NS) == ["A/USDT", "B/USDT"]


def test_a_symbol_that_was_halted_before_the_start_is_left_out_until_it_trades() -> None:
    room = Room({"A/USDT": drifting(0.8), "B/USDT": drifting(0.1)}, halted=("A/USDT",))
    assert room.names() == ["B/USDT"]
    resumed = InstrumentChanged("A/USDT", *([Decimal(1)] * 7), is_trading=True, reason="trading again")
    room.hear(resumed, END_NS)
    assert room.names(END_NS + 5 * SECOND_NS) == ["A/USDT", "B/USDT"]


def test_more_turnover_than_the_other_symbols_lifts_a_symbol() -> None:
    rows = {"A/USDT": drifting(0.1), "B/USDT": drifting(0.1, volumes=(50.0,) * 60), "C/USDT": drifting(0.1)}
    ranked = Room(rows).rank()
    assert ranked[0].symbol == "B/USDT"
    assert "traded 300k" in ranked[0].reasons


def test_five_hundred_symbols_are_ranked_and_every_one_is_accounted_for() -> None:
    rows = {f"S{number:03d}/USDT": drifting(number / 1000) for number in range(499)}
    told = Room({**rows, "DEAD/USDT": []}, replace(CONFIG, top=10)).ranking()
    assert (len(told.candidates), len(told.runners_up)) == (10, 20)
    assert told.candidates[0].symbol == "S498/USDT"
    assert told.left_out == (LeftOut("DEAD/USDT", "fewer than 2 candles in the window: it does not trade"),)
    assert sorted((one.score for one in told.candidates), reverse=True) == [one.score for one in told.candidates]
