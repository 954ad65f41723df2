"""Which results of a candle replay rest on what is assumed inside a bar."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.ids import ClientOrderId, SessionId
from bus.messages.header import MessageMaker
from bus.messages.orders import SubmitOrder, TrailingArmed, TrailSpec
from market.interval import SECOND_NS
from market.ticks import Candle
from tests.orders.trading import BTC, START, Bench, D
from tradingd.path_dependence import ArmedExit, PathDependence, PathReport, walk
from tradingd.read_model import ReadModel

MINUTE = 60 * SECOND_NS
BEGIN = START // MINUTE * MINUTE
STOP_ID, TRAIL_ID = ClientOrderId("td-s"), ClientOrderId("td-x")


def bar(number: int, opened: float, high: float, low: float, close: float) -> Candle:
    ts = BEGIN + number * MINUTE
    prices = (D(str(each)) for each in (opened, high, low, close))
    return Candle(BTC, "1m", ts, *prices, D(1), 4, ts + MINUTE)


def stop(price: str, number: int = 0, best: str = "100") -> ArmedExit:
    spec = SubmitOrder(STOP_ID, BTC, "sell", "stop", D(1), "protective", stop_price=D(price))
    return ArmedExit(TrailingArmed(STOP_ID, BTC, "sell", D(best), D(price)), spec, BEGIN + number * MINUTE)


def target(price: str) -> ArmedExit:
    above = stop(price)
    spec = replace(above.spec, client_order_id=TRAIL_ID)
    return ArmedExit(replace(above.fact, client_order_id=TRAIL_ID), spec, above.ts)


def trail(ratio: str, number: int = 0) -> ArmedExit:
    spec = SubmitOrder(TRAIL_ID, BTC, "sell", "trailing", D(1), "protective", trail=TrailSpec("percent", D(ratio)))
    fact = TrailingArmed(TRAIL_ID, BTC, "sell", D(100), D(100) * (1 - D(ratio)), D(ratio))
    return ArmedExit(fact, spec, BEGIN + number * MINUTE)


def both(candles: list[Candle], *exits: ArmedExit) -> tuple[tuple[int, str] | None, tuple[int, str] | None]:
    pessimistic, optimistic = (walk(candles, exits, each) for each in ("pessimistic", "optimistic"))  # type: ignore[arg-type]
    return tuple(  # type: ignore[return-value]
        None if each is None else ((each.ts_open - BEGIN) // MINUTE, str(each.price))
        for each in (pessimistic, optimistic)
    )


def test_a_stop_alone_is_met_at_the_same_price_on_either_path() -> None:
    assert both([bar(0, 100, 101, 99, 100), bar(1, 100, 103, 97, 102)], stop("98")) == ((1, "98"), (1, "98"))


def test_stop_and_target_in_one_bar_depend_on_the_path() -> None:
    assert both([bar(0, 100, 106, 97, 102)], stop("98"), target("105")) == ((0, "98"), (0, "105"))


def test_a_trail_that_rises_within_the_bar_depends_on_the_path() -> None:
    # low first: 97.02 is under 98; high first: 110 lifts the trigger to 107.8
    assert both([bar(0, 100, 110, 97, 100)], trail("0.02")) == ((0, "98.00"), (0, "107.80"))


def test_a_gap_at_the_open_is_met_there_on_either_path() -> None:
    assert both([bar(0, 100, 100, 100, 100), bar(1, 95, 96, 94, 95)], stop("98")) == ((1, "95"), (1, "95"))


def test_an_exit_counts_from_the_bar_after_its_arming() -> None:
    assert both([bar(0, 100, 100, 90, 99), bar(1, 99, 99, 97, 98)], stop("98", number=1)) == ((1, "98"), (1, "98"))


def test_nothing_fires_on_bars_that_stay_away() -> None:
    assert both([bar(0, 100, 101, 99, 100)] * 3, stop("98")) == (None, None)


class Told:
    """A bench whose facts, and bars of our own, go to the report."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.bench.now = BEGIN
        self.report = PathDependence("1m")
        self.maker = MessageMaker("market", SessionId("s1"))
        self.seen = 0

    def close(self, candle: Candle) -> None:
        self.facts()
        self.bench.now = max(self.bench.now, candle.ts_init)
        self.report.apply(self.maker.make(candle, candle.ts_init))

    def facts(self) -> None:
        for message in self.bench.journal[self.seen :]:
            self.report.apply(message)
        self.seen = len(self.bench.journal)

    def round_trip(self, name: str, stop_price: str, at: str) -> None:
        self.bench.hold("1", "100", client_order_id=name)
        self.bench.submit(f"{name}-s", "sell", "stop", "1", stop_price=stop_price)
        self.facts()
        self.close(bar(0, 100, 101, 99, 100))
        self.bench.trade(at)
        self.bench.accept(f"{name}-s")
        self.bench.fill(f"{name}-s", "1", at)
        self.facts()


def test_a_round_trip_whose_exit_is_the_same_on_both_paths_is_counted_and_does_not_depend() -> None:
    told = Told()
    told.round_trip("td-a", "98", "97")
    told.close(bar(1, 100, 101, 96, 99))
    assert told.report.report() == PathReport(1, 0)
    assert told.report.report().share == 0.0


def test_a_round_trip_that_the_bars_cannot_tell_depends() -> None:
    told = Told()
    told.round_trip("td-a", "98", "97")  # the bar in which it ended was never told
    assert told.report.report() == PathReport(1, 1)
    assert "1 of 1 round trips (100 %)" in told.report.report().sentence("1m")


def test_a_position_closed_by_hand_is_not_counted() -> None:
    told = Told()
    told.bench.hold("1", "100", client_order_id="td-a")
    told.bench.submit("td-sell", "sell", "market", "1")
    told.bench.accept("td-sell")
    told.bench.fill("td-sell", "1", "101")
    told.facts()
    assert told.report.report() == PathReport(0, 0)
    assert told.report.report().share is None
    assert "none depends" in told.report.report().sentence("1m")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-30, 30)] * 4), min_size=1, max_size=20), st.integers(5, 60))
def test_a_lone_stop_never_depends_on_the_path_and_a_pessimist_never_sells_a_trail_later(
    moves: list[tuple[int, int, int, int]], distance: int,
) -> None:
    price, candles = Decimal(1_000), []
    for number, (a, b, c, d) in enumerate(moves):
        points = [price, price + a, price + b, price + c, price + d]
        candles.append(bar(number, *(float(each) for each in (points[0], max(points), min(points), points[-1]))))
        price = points[-1]
    start = stop(str(1_000 - distance), best="1000")
    assert len(set(both(candles, start))) == 1
    far = replace(trail(str(Decimal(distance) / 1_000)), fact=TrailingArmed(
        TRAIL_ID, BTC, "sell", D(1_000), D(1_000 - distance), Decimal(distance) / 1_000))
    low_first, high_first = (walk(candles, [far], each) for each in ("pessimistic", "optimistic"))  # type: ignore[arg-type]
    if low_first is not None and high_first is not None and low_first.ts_open == high_first.ts_open:
        assert low_first.price <= high_first.price


def test_asking_in_between_changes_nothing_of_what_is_told_later() -> None:
    told = Told()
    told.round_trip("td-a", "98", "97")
    assert told.report.report() == told.report.report() == PathReport(1, 1)  # its bar is not over: judged as it stands
    told.close(bar(1, 100, 101, 96, 99))
    assert told.report.report() == PathReport(1, 0)


def test_performance_tells_the_share_while_a_replay_runs_and_from_the_journal_afterwards() -> None:
    told = Told()
    told.round_trip("td-a", "98", "97")
    model = ReadModel("USDT")
    assert (model.performance().path_dependent_trades, model.performance().path_dependent_share) == (None, None)
    model.paths = told.report
    assert (model.performance().path_dependent_trades, model.performance().path_dependent_share) == (1, 1.0)
    later = ReadModel("USDT")
    later.apply(told.maker.make(told.report.noted(), told.bench.now))
    assert (later.performance().path_dependent_trades, later.performance().path_dependent_share) == (1, 1.0)
