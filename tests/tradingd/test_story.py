"""The story: which messages are worth a line, and lines that no reader and no venue can abuse."""

import io
import json
import threading
from decimal import Decimal

import pytest

from bus.ids import ClientOrderId, ProposalId, SessionId, TradeId, VenueOrderId
from bus.messages import council, ledger, orders, system
from bus.messages.header import MessageMaker
from tradingd.alerts.alert_rules import AlertRules
from tradingd.story import BackgroundWriter, ConsoleWriter, JsonWriter, Story, StoryLine, make_writer, money, price

D = Decimal
SECOND = 1_000_000_000
BTC = "BTC/USDT"
ID = ClientOrderId("td-1")


class Teller:
    """A story and the lines it wrote."""

    def __init__(self) -> None:
        self.lines: list[StoryLine] = []
        self._story = Story(self.lines.append, "USDT")
        self._maker = MessageMaker("engine", SessionId("s1"))
        self.second = 0

    def tell(self, body: object, after_s: int = 1) -> list[StoryLine]:
        self.second += after_s
        before = len(self.lines)
        self._story.tell(self._maker.make(body, self.second * SECOND))
        return self.lines[before:]


def signal(confidence: float = 0.8, action: council.Action = "trail_buy", weight: float = 1.0) -> council.AlphaSignal:
    return council.AlphaSignal("momentum", "1", BTC, "1s", 0, action, confidence, weight, 0.01, "low", "RSI 71")


def order(order_type: orders.OrderType = "market", origin: orders.Origin = "manual") -> orders.OrderInitialized:
    limit = D(100) if order_type == "limit" else None
    spec = orders.SubmitOrder(ID, BTC, "buy", order_type, D("0.5"), origin, price=limit)
    return orders.OrderInitialized(spec)


def fill(side: orders.Side = "buy") -> orders.OrderFilled:
    half = D("0.5")
    return orders.OrderFilled(
        ID, BTC, side, TradeId("1"), half, D("64250.1"), D("3.2"), "USDT", half, True, False, True
    )


def advanced(best: str, trigger: str, count: int = 1) -> orders.TrailingAdvanced:
    return orders.TrailingAdvanced(BTC, "sell", "last", D(best), count, ID, D(trigger))


def test_only_signals_that_matter_are_told_and_each_once_in_a_while() -> None:
    teller = Teller()
    assert not teller.tell(signal(confidence=0.69))
    assert not teller.tell(signal(action="hold"))
    assert not teller.tell(signal(weight=0.0))
    (line,) = teller.tell(signal())
    assert (line.kind, line.symbol, line.text) == ("SIGNAL", BTC, "momentum trail-buy 0.80: RSI 71")
    assert not teller.tell(signal(), after_s=19)
    assert teller.tell(signal(action="trail_sell"), after_s=0)
    assert teller.tell(signal(), after_s=1)


def test_a_trail_is_told_when_it_has_moved_far_enough_and_not_too_often() -> None:
    teller = Teller()
    teller.tell(order("trailing"))
    (armed,) = teller.tell(orders.TrailingArmed(ID, BTC, "sell", D(100), D(99), D("0.01")))
    assert armed.kind == "ARMED"
    assert "sell trail armed, fires at 99.0000" in armed.text
    assert not teller.tell(advanced("100.01", "99.01"), after_s=5)
    (line,) = teller.tell(advanced("101", "99.99"), after_s=5)
    assert "new high 101.0000, sell trigger now 99.9900" in line.text
    assert not teller.tell(advanced("105", "103.95"), after_s=1)
    (many,) = teller.tell(advanced("106", "104.94", count=3), after_s=2)
    assert "and 2 more" in many.text


def test_a_stop_is_called_a_stop() -> None:
    teller = Teller()
    teller.tell(order("stop"))
    (line,) = teller.tell(orders.TrailingArmed(ID, BTC, "sell", D(100), D(99)))
    assert "sell stop armed" in line.text


def test_held_orders_are_told_when_armed_and_the_others_when_born() -> None:
    teller = Teller()
    assert not teller.tell(order("trailing"))
    assert not teller.tell(order("stop"))
    (line,) = teller.tell(order("limit"))
    assert line.text == "limit buy 0.5 at 100.0000 (td-1)"


def test_a_stop_rests_at_the_venue_when_the_venue_has_taken_it_and_not_before() -> None:
    teller = Teller()
    spec = orders.SubmitOrder(
        ID, BTC, "sell", "stop", D("0.5"), "protective", price=D(94), stop_price=D(95), tag="disaster",
    )
    assert not teller.tell(orders.OrderInitialized(spec))
    (line,) = teller.tell(orders.OrderAccepted(ID, BTC, VenueOrderId("7")))
    assert (line.kind, line.text) == ("STOP", "0.5 rest at the venue, to be sold at 95.0000 (td-1)")
    assert not teller.tell(orders.OrderAccepted(ID, BTC, VenueOrderId("7")))


@pytest.mark.parametrize(("reason", "text"), [
    ("no money", "td-1, by the venue: no money"),
    ("not sent: the venue wants no requests", "td-1, not sent: the venue wants no requests"),
    ("never arrived at the venue", "td-1, never arrived at the venue"),
])
def test_a_rejection_is_the_venues_only_where_the_venue_has_spoken(reason: str, text: str) -> None:
    (line,) = Teller().tell(orders.OrderRejected(ID, BTC, reason))
    assert (line.kind, line.text) == ("REJECTED", text)
    told = AlertRules("USDT").of(MessageMaker("engine", SessionId("s1")).make(orders.OrderRejected(ID, BTC, reason), 1))
    assert told is not None
    assert ("by the venue" in told.title) == ("by the venue" in text)


def test_a_veto_and_a_denial_tell_their_code_and_reason() -> None:
    teller = Teller()
    (veto,) = teller.tell(council.ProposalVetoed(ProposalId("p"), BTC, "MAX_POSITIONS", (), "3 of 3 are open."))
    assert (veto.kind, veto.text) == ("VETO", "3 of 3 are open. [MAX_POSITIONS] (p)")
    denial = orders.OrderDenied(ID, BTC, "NO_VERDICT", "E001", "verdict", "none", "yes", "Silence is no.")
    (denied,) = teller.tell(denial)
    assert (denied.kind, denied.text) == ("DENIED", "Silence is no. [NO_VERDICT] td-1")


def test_a_fill_and_a_round_trip_are_told_with_price_and_profit() -> None:
    teller = Teller()
    (filled,) = teller.tell(fill())
    assert filled.kind == "FILL"
    assert "64,250.10" in filled.text
    assert "paper" in filled.text
    closed = ledger.PositionClosed(BTC, D(1), D(100), D(101), D("0.9"), D("0.1"), 1, 2, ID)
    (profit,) = teller.tell(closed)
    assert (profit.kind, profit.text) == ("PROFIT", "+0.90 USDT after 0.10 fees: in at 100.0000, out at 101.0000")
    (loss,) = teller.tell(ledger.PositionClosed(BTC, D(1), D(100), D(100), D("-0.1"), D("0.1"), 1, 2, ID))
    assert loss.kind == "LOSS"


def test_a_cancelled_protection_is_no_news_but_a_cancelled_order_is() -> None:
    teller = Teller()
    teller.tell(order("limit", origin="protective"))
    assert not teller.tell(orders.OrderCancelled(ID, BTC, "us", "the other leg fired"))
    teller.tell(order("limit"))
    assert teller.tell(orders.OrderCancelled(ID, BTC, "us", "enough"))


def test_the_state_and_the_mandate_are_told_when_they_change() -> None:
    teller = Teller()
    active = system.TradingStateChanged("ACTIVE", (), "all is well")
    assert teller.tell(active)
    assert not teller.tell(active)
    assert teller.tell(system.TradingStateChanged("REDUCING", (), "paused"))
    assert teller.tell(council.MandateIssued("risk_on", "calm", 1))
    assert not teller.tell(council.MandateIssued("risk_on", "still calm", 2))


def test_what_nobody_needs_to_read_is_not_told() -> None:
    teller = Teller()
    assert not teller.tell(system.Heartbeat("ceo"))
    assert not teller.tell(system.TimerFired("second"))
    assert teller.lines == []


@pytest.mark.parametrize(
    ("value", "text"), [("64250.126", "64,250.13"), ("2.20071", "2.2007"), ("0.0712347", "0.071235"), ("-5", "-5.0000")]
)
def test_a_price_has_the_digits_its_size_needs(value: str, text: str) -> None:
    assert price(D(value)) == text


def test_money_has_two_decimals_and_separators() -> None:
    assert money(D("1234567.891")) == "1,234,567.89"


LINE = StoryLine(3_600 * SECOND, "risk", "VETO", BTC, "no \x1b[31mred\x1b[0m\r\n\x07 words", "risk.s1.9")


def test_the_console_gets_one_clean_line() -> None:
    out = io.StringIO()
    ConsoleWriter(out)(LINE)
    assert out.getvalue() == "01:00:00  risk     VETO      BTC/USDT   no ?[31mred?[0m ? words\n"


def test_machines_get_one_json_object_a_line() -> None:
    out = io.StringIO()
    JsonWriter(out)(LINE)
    assert out.getvalue().count("\n") == 1
    assert json.loads(out.getvalue()) == {
        "ts": "1970-01-01T01:00:00.000+00:00", "who": "risk", "kind": "VETO", "symbol": BTC, "text": LINE.text,
        "id": "risk.s1.9",
    }


def test_a_stalled_reader_costs_lines_and_never_time() -> None:
    entered, go = threading.Event(), threading.Event()

    def stalled(line: StoryLine) -> None:
        entered.set()
        go.wait(10)

    writer = BackgroundWriter(stalled, limit=5)
    writer(LINE)
    assert entered.wait(5)
    for _ in range(100):
        writer(LINE)
    assert writer.dropped == 95
    go.set()
    writer.close()


def test_what_waits_is_written_before_the_end() -> None:
    written: list[StoryLine] = []
    writer = BackgroundWriter(written.append)
    for _ in range(50):
        writer(LINE)
    writer.close()
    assert len(written) == 50


@pytest.mark.parametrize("error", [BrokenPipeError, ValueError])
def test_a_reader_that_left_is_no_failure(error: type[Exception]) -> None:
    def gone(line: StoryLine) -> None:
        raise error

    writer = BackgroundWriter(gone)
    for _ in range(10):
        writer(LINE)
    writer.close()


def test_the_format_chooses_the_writer() -> None:
    for log_format, begins in (("json", "{"), ("console", "01:00:00")):
        out = io.StringIO()
        writer = make_writer(log_format, out)
        writer(LINE)
        writer.close()
        assert out.getvalue().startswith(begins)
