"""Which parts the product is made of."""

from decimal import Decimal
from itertools import pairwise

import pytest

from agents.analyst import Analyst
from bus.ids import SessionId
from tests.orders.trading import instrument
from tradingd import composition
from tradingd.settings import (
    AccountSettings,
    CandleSettings,
    CouncilSettings,
    JournalSettings,
    PaperSettings,
    RiskSettings,
    Settings,
)
from tradingd.settings_errors import ConfigError

D = Decimal
SECOND = 1_000_000_000
OFFERED = [instrument("BTC/USDT"), instrument("ETH/USDT"), instrument("ETH/BTC")]


@pytest.mark.parametrize("name", ["BTC/USDT", "btc/usdt", " BTCUSDT ", "BTC-USDT"])
def test_a_symbol_is_found_as_people_write_it(name: str) -> None:
    chosen = composition.choose_instruments(Settings(symbols=(name,)), OFFERED, take_all=False)
    assert [each.symbol for each in chosen] == ["BTC/USDT"]


def test_one_symbol_written_in_two_ways_is_taken_once_in_the_order_named() -> None:
    settings = Settings(symbols=("ETH/USDT", "BTCUSDT", "BTC-USDT"))
    chosen = composition.choose_instruments(settings, OFFERED, take_all=False)
    assert [each.symbol for each in chosen] == ["ETH/USDT", "BTC/USDT"]


def test_what_the_venue_lacks_is_named_with_examples_in_the_account_currency() -> None:
    with pytest.raises(ConfigError, match=r"'NOPE/USDT'.*BTC/USDT, ETH/USDT\.$"):
        composition.choose_instruments(Settings(symbols=("NOPE/USDT",)), OFFERED, take_all=False)


def test_a_held_symbol_that_is_listed_no_more_does_not_keep_the_daemon_from_starting() -> None:
    settings = Settings(symbols=("NOPE/USDT", "BTC/USDT"))
    chosen = composition.choose_instruments(settings, OFFERED, take_all=False, held={"NOPE/USDT"})
    assert [each.symbol for each in chosen] == ["BTC/USDT"]


def test_what_may_be_left_out_is_noted_as_long_as_anything_remains() -> None:
    left_out: list[str] = []
    settings = Settings(symbols=("NOPE/USDT", "BTC/USDT"))
    chosen = composition.choose_instruments(settings, OFFERED, take_all=False, left_out=left_out)
    assert ([each.symbol for each in chosen], left_out) == (["BTC/USDT"], ["NOPE/USDT"])
    with pytest.raises(ConfigError, match="'NOPE/USDT'"):
        composition.choose_instruments(Settings(symbols=("NOPE/USDT",)), OFFERED, take_all=False, left_out=[])


@pytest.mark.parametrize(
    ("named", "quantity", "price", "is_refused"),
    [("BTC/USDT", "1", "100", True), ("ETH/USDT", "1", "100", False), ("BTC/USDT", "1", "0.0001", False),
     ("BTC/USDT", "0.0000000001", "100", False)],
    ids=["not named", "named", "worth less than may be sold", "less than may be sold"],
)
def test_what_is_held_and_can_be_sold_must_be_watched(
    named: str, quantity: str, price: str, is_refused: bool,
) -> None:
    settings = Settings(symbols=(named,))
    chosen = composition.choose_instruments(settings, OFFERED, take_all=False)
    held = {"ETH/USDT": (D(quantity), D(price)), "GONE/USDT": (D(1), D(100))}
    if is_refused:
        with pytest.raises(ConfigError, match=r"symbols: ETH/USDT is held, and nobody .*tradingd close ETH/USDT"):
            composition.require_watched(settings, OFFERED, chosen, held)
    else:
        composition.require_watched(settings, OFFERED, chosen, held)


def test_the_practice_market_lists_what_is_held_as_well() -> None:
    settings = Settings(symbols=("BTC/USDT",))
    listed = composition.practice_symbols(settings, is_replay=False, held={"ETH/USDT", "BTC/USDT"})
    assert listed == ("BTC/USDT", "ETH/USDT")


def test_a_venue_without_the_accounts_currency_says_which_it_has() -> None:
    settings = Settings(symbols=("BTC/USD",), account=AccountSettings(quote="USD"))
    with pytest.raises(ConfigError, match=r"nothing in USD: set account\.quote to one of BTC, USDT"):
        composition.choose_instruments(settings, OFFERED, take_all=False)


def test_a_replay_takes_all_that_the_recording_holds_sorted() -> None:
    chosen = composition.choose_instruments(Settings(symbols=("NOPE/USDT",)), OFFERED, take_all=True)
    assert [each.symbol for each in chosen] == ["BTC/USDT", "ETH/BTC", "ETH/USDT"]


def test_the_practice_market_wants_pairs_and_a_replay_does_not_ask() -> None:
    settings = Settings(symbols=("BTCUSDT",))
    with pytest.raises(ConfigError, match=r"symbols: 'BTCUSDT' is not a pair.*BTC/USDT"):
        composition.practice_symbols(settings, is_replay=False)
    assert composition.practice_symbols(settings, is_replay=True) == ("BTCUSDT",)


def test_seconds_become_ns_and_overrides_reach_the_limits() -> None:
    settings = Settings(risk=RiskSettings(stale_after_s=D("1.5"), duplicate_window_s=D(2), max_positions=1))
    limits = composition.make_limits(settings)
    assert (limits.stale_after_ns, limits.duplicate_window_ns) == (3 * SECOND // 2, 2 * SECOND)
    assert limits.max_positions == 1


def test_without_overrides_the_tolerance_decides_and_less_tolerance_is_never_looser() -> None:
    by_tolerance = [
        composition.make_limits(Settings(account=AccountSettings(risk_tolerance=tolerance)))
        for tolerance in ("conservative", "moderate", "aggressive")
    ]
    for low, high in pairwise(by_tolerance):
        assert low.exposure_total <= high.exposure_total
        assert low.max_positions <= high.max_positions
        assert low.daily_drawdown <= high.daily_drawdown


def test_the_engine_gets_the_candles_and_the_snapshot_of_the_settings() -> None:
    candles = CandleSettings(intervals=("5s", "1m"), decision="5s")
    settings = Settings(candles=candles, journal=JournalSettings(snapshot_s=7))
    engine = composition.make_engine(settings, composition.make_limits(settings), OFFERED[:2], SessionId("s1"))
    assert engine._desk.config.intervals == ("5s", "1m")
    assert engine._desk.config.decision_interval == "5s"
    assert engine._desk.config.snapshot_ns == 7 * SECOND


def test_there_are_six_agents_and_each_begins_anew_as_another_object() -> None:
    settings = Settings()
    makers = composition.make_agents(settings, composition.make_limits(settings), OFFERED, SessionId("s1"))
    assert set(makers) == {"ceo", "scanner", "analyst", "strategy", "risk", "trader"}
    for name, make in makers.items():
        first, second = make(), make()
        assert first is not second
        assert first.name == name


def test_only_alphas_with_a_weight_are_asked() -> None:
    settings = Settings(council=CouncilSettings(weights={"momentum": 1.0, "technical": 0.0}))
    makers = composition.make_agents(settings, composition.make_limits(settings), OFFERED, SessionId("s1"))
    assert makers["analyst"]()


def test_the_analyst_waits_longer_than_a_foreign_alpha_may_take() -> None:
    settings = Settings(council=CouncilSettings(plugin_timeout_s=30))
    made = composition.make_agents(settings, composition.make_limits(settings), OFFERED, SessionId("s1"))["analyst"]()
    assert isinstance(made, Analyst)
    assert made._config.patience_ns == 35 * SECOND


def test_paper_settings_reach_the_paper_venue() -> None:
    config = composition.paper_config(Settings(paper=PaperSettings(fee=D("0.001"), latency_ms=7, use_book=False)))
    assert (config.fee, config.latency_ns, config.use_book) == (D("0.001"), 7_000_000, False)
