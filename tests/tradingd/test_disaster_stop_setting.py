"""Where the stop at the venue is on, what the paper venue is given back, and what is said at the end."""

from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import ClientOrderId, SessionId
from bus.messages.orders import Protection
from exchanges.simulated import PaperConfig, SimulatedVenue
from market.ticks import TradeTick
from risk.limits import RiskLimits
from tests.orders.trading import BTC, START, WIDE, Bench, instrument, sent
from tradingd import banner, composition
from tradingd.paper_account import resting_orders
from tradingd.settings import Settings
from tradingd.settings_errors import ConfigError
from tradingd.settings_loading import load_settings

D = Decimal


@pytest.mark.parametrize(("mode", "word", "is_on"), [
    ("live", "live", True), ("paper", "live", False), ("paper", "always", True), ("live", "always", True),
    ("live", "never", False), ("paper", "never", False),
])
def test_the_setting_and_the_mode_decide(mode, word, is_on):
    settings = Settings.model_validate({"mode": mode, "orders": {"disaster_stop": word}})
    engine = composition.make_engine(settings, RiskLimits(), [instrument(BTC)], SessionId("s1"))
    assert engine._desk.config.disaster_stop is is_on


def test_another_word_is_refused_with_its_place(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text('[orders]\ndisaster_stop = "sometimes"\n')
    with pytest.raises(ConfigError, match=r"orders\.disaster_stop.*'live', 'always' or 'never'"):
        load_settings(file, environ={})


def test_a_stop_at_the_paper_venue_is_put_back_after_a_restart():
    bench = Bench(WIDE, disaster_stop=True)
    bench.hold("1", "100", protection=Protection(stop_ratio=D("0.02")))
    (call,) = sent(bench.second())
    bench.accept(call.approved.order.client_order_id)
    again = bench.restarted()
    (order,) = resting_orders(again.engine)
    assert (order.stop_price, order.price, order.remaining) == (D("97.02"), D("95.07"), 1)
    reports = []
    venue = SimulatedVenue(PaperConfig(use_book=False), [instrument(BTC)], reports.append)
    venue.restore([order])
    venue.on_market(TradeTick(BTC, D("97.02"), D(1), "sell", "1", START, START))
    venue.advance(START + 10**9)
    assert [(each.client_order_id, each.exec_type) for each in reports] == [(order.client_order_id, "fill")]
    assert order.client_order_id == ClientOrderId(call.approved.order.client_order_id)


def test_the_last_line_says_who_is_watched_and_who_is_not(tmp_path: Path):
    text = banner.farewell("signal SIGTERM", ["BTC/USDT", "ETH/USDT"], 3, tmp_path, {"BTC/USDT"})
    assert "1 position stays (BTC/USDT) open with a stop resting at the venue" in text
    assert "1 position stays (ETH/USDT) open, watched by nobody until the next start" in text
    assert "3 stops and trails" in text


def test_without_positions_the_last_line_speaks_of_none(tmp_path: Path):
    text = banner.farewell("signal SIGTERM", [], 0, tmp_path)
    assert "stays" not in text
    assert "stops and trails" not in text
