"""What must be so before real money is traded."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bus.clock import LiveClock
from risk.limits import RiskLimits
from tradingd import composition
from tradingd.kill_file_trial import until_it_can_be_made
from tradingd.live_gate import check_live
from tradingd.settings import Settings, VenueSettings
from tradingd.settings_errors import ConfigError
from tradingd.settings_loading import load_settings
from tradingd.venue_access import check_addresses, dialect_of, make_live_venue, own_addresses

CONSENT = {"TRADINGD_ALLOW_LIVE": "yes"}
REAL = VenueSettings(rest_url="https://api.binance.com", ws_url="wss://stream.binance.com:9443/stream")
HERE = VenueSettings(rest_url="http://127.0.0.1:1", ws_url="ws://127.0.0.1:1/stream")


def live(venue: str = "binance", **more: Any) -> Settings:
    keys = {"api_key": "k", "api_secret": "s"}
    return Settings.model_validate({"mode": "live", "venue": venue, "venues": {venue: keys}} | more)


def gate(data_dir: Path, settings: Settings, urls: VenueSettings = REAL, environ: dict[str, str] | None = None) -> None:
    check_live(settings, urls, composition.make_limits(settings), data_dir, CONSENT if environ is None else environ)


def test_consent_kill_file_and_limits_open_the_gate(tmp_path: Path) -> None:
    gate(tmp_path, live())
    assert list(tmp_path.iterdir()) == []


def test_without_keys_it_stays_shut_before_anything_is_connected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TRADINGD__VENUES__BINANCE__API_KEY"):
        gate(tmp_path, live(venues={"binance": {}}))


@pytest.mark.parametrize("environ", [{}, {"TRADINGD_ALLOW_LIVE": "1"}])
def test_without_consent_in_the_environment_it_stays_shut_even_on_this_machine(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    for urls in (REAL, HERE):
        with pytest.raises(ConfigError, match="TRADINGD_ALLOW_LIVE"):
            gate(tmp_path, live(), urls, environ)


def test_the_practice_venue_needs_nothing(tmp_path: Path) -> None:
    gate(tmp_path / "absent", live("practice"), HERE, {})


def test_a_folder_where_no_kill_file_could_be_made_keeps_it_shut(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"KILL: the kill file could not be made"):
        gate(tmp_path / "absent", live())


def test_over_what_is_open_it_stays_open_and_says_why(tmp_path: Path) -> None:
    settings = live()
    limits = composition.make_limits(settings)
    assert check_live(settings, REAL, limits, tmp_path, CONSENT, stake="BTC/USDT") == ""
    why = check_live(settings, REAL, limits, tmp_path / "absent", CONSENT, stake="BTC/USDT")
    assert "KILL: the kill file could not be made" in why


async def test_it_is_told_when_a_kill_file_could_be_made_again(tmp_path: Path) -> None:
    told: list[str] = []
    trying = asyncio.create_task(until_it_can_be_made(tmp_path / "later", told.append, pause_s=0))
    await asyncio.sleep(0)
    assert told == []
    (tmp_path / "later").mkdir()
    await trying
    assert told == [""]


@pytest.mark.parametrize(("risk", "key"), [
    ({"max_drawdown": "1"}, "risk.max_drawdown"), ({"kill_loss": "1"}, "risk.kill_loss"),
    ({"daily_loss": "1", "daily_drawdown": "1"}, "risk.daily_loss"),
])
def test_a_limit_that_limits_nothing_keeps_it_shut_for_real_money_only(
    tmp_path: Path, risk: dict[str, str], key: str
) -> None:
    settings = live(risk=risk)
    with pytest.raises(ConfigError, match=key):
        gate(tmp_path, settings)
    gate(tmp_path, settings, HERE)


def test_one_daily_limit_is_enough(tmp_path: Path) -> None:
    gate(tmp_path, live(risk={"daily_drawdown": "1"}))


def test_the_limits_without_a_setting_pass(tmp_path: Path) -> None:
    check_live(live(), REAL, RiskLimits(), tmp_path, CONSENT)


def test_a_venue_reached_through_ccxt_is_for_paper(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="paper"):
        gate(tmp_path, live("kraken"))


# ---- the pace ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("venue", "risk", "pace"), [
    ({}, {}, 15), ({}, {"orders_per_second": 4}, 15), ({}, {"orders_per_second": 100}, 150),
    ({"private_per_s": 7}, {"orders_per_second": 100}, 7),
])
def test_private_requests_follow_the_pace_of_orders_unless_said_otherwise(
    venue: dict[str, int], risk: dict[str, int], pace: float
) -> None:
    settings = live(venues={"binance": venue}, risk=risk)
    made = make_live_venue(settings, HERE, LiveClock(), [], on_report=lambda _: None, on_problem=lambda _: None)
    assert made._config.private_per_s == pace  # type: ignore[attr-defined]


# ---- addresses -------------------------------------------------------------------------------------


def test_a_venue_is_known_by_its_name_or_says_what_is_spoken_there() -> None:
    spoken = {name: dialect_of(name, VenueSettings()) for name in ("practice", "binanceus", "coinbase", "kraken")}
    assert spoken == {"practice": "binance", "binanceus": "binance", "coinbase": "coinbase", "kraken": "ccxt"}
    assert dialect_of("mine", VenueSettings(protocol="coinbase")) == "coinbase"


@pytest.mark.parametrize(("change", "word"), [
    ({"rest_url": ""}, "missing"), ({"ws_url": ""}, "missing"), ({"rest_url": "http://api.binance.com"}, "https"),
    ({"ws_url": "ws://stream.binance.com"}, "wss"), ({"ws_api_url": "http://127.0.0.1"}, "wss"),
    ({"rest_url": "api.binance.com"}, "https"), ({"ws_user_url": "ws://example.org"}, "wss"),
])
def test_an_address_that_cannot_be_or_is_in_the_clear_is_refused(change: dict[str, str], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        check_addresses(live(), REAL.model_copy(update=change))


def test_on_this_machine_nothing_need_be_encrypted() -> None:
    check_addresses(live(), HERE.model_copy(update={"ws_api_url": "ws://localhost:1/ws-api/v3"}))
    check_addresses(live(), REAL)


def test_a_real_user_stream_beside_a_rest_address_on_this_machine_gives_way_to_one_here() -> None:
    mixed = HERE.model_copy(update={"ws_api_url": "wss://ws-api.binance.com/ws-api/v3", "ws_user_url": "ws://[::1]:2"})
    assert own_addresses(mixed, "binance").ws_api_url == "ws://127.0.0.1:1/ws-api/v3"
    assert own_addresses(mixed, "binance").ws_user_url == "ws://[::1]:2"
    shipped = HERE.model_copy(update={"ws_user_url": "wss://advanced-trade-ws-user.coinbase.com"})
    assert own_addresses(shipped, "coinbase").ws_user_url == shipped.ws_url
    far = shipped.model_copy(update={"ws_url": "wss://advanced-trade-ws.coinbase.com"})
    assert own_addresses(far, "coinbase").ws_user_url == ""
    real = REAL.model_copy(update={"ws_api_url": "wss://ws-api.binance.com/ws-api/v3"})
    assert own_addresses(real, "binance") == real


def test_the_user_stream_that_nobody_named_is_looked_for_beside_the_markets_on_this_machine() -> None:
    assert own_addresses(HERE, "binance").ws_api_url == "ws://127.0.0.1:1/ws-api/v3"
    assert own_addresses(HERE, "coinbase").ws_user_url == HERE.ws_url
    assert own_addresses(HERE, "ccxt") == HERE


@pytest.mark.parametrize("dialect", ["binance", "coinbase"])
def test_the_user_stream_that_was_said_to_be_absent_stays_so(dialect: Any) -> None:
    none = VenueSettings(rest_url=HERE.rest_url, ws_url=HERE.ws_url, ws_api_url="", ws_user_url="")
    assert own_addresses(none, dialect) == none


@pytest.mark.parametrize("far", [{"rest_url": REAL.rest_url}, {"ws_url": REAL.ws_url}])
def test_nothing_is_looked_for_where_a_half_of_the_venue_is_elsewhere(far: dict[str, str]) -> None:
    for dialect in ("binance", "coinbase"):
        found = own_addresses(VenueSettings.model_validate({"rest_url": HERE.rest_url, "ws_url": HERE.ws_url} | far),
                              dialect)  # type: ignore[arg-type]
        assert (found.ws_api_url, found.ws_user_url) == ("", "")


def test_a_live_venue_of_which_only_two_addresses_are_set_has_its_user_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no config.toml is
    settings = load_settings(environ={
        "TRADINGD__MODE": "live", "TRADINGD_ALLOW_LIVE": "yes", "TRADINGD__VENUE": "binance",
        "TRADINGD__VENUES__BINANCE__REST_URL": HERE.rest_url, "TRADINGD__VENUES__BINANCE__WS_URL": HERE.ws_url,
        "TRADINGD__VENUES__BINANCE__API_KEY": "k", "TRADINGD__VENUES__BINANCE__API_SECRET": "s",
    })
    made = make_live_venue(
        settings, settings.venues["binance"], LiveClock(), [], on_report=lambda _: None, on_problem=lambda _: None
    )
    assert made._config.ws_api_url == "ws://127.0.0.1:1/ws-api/v3"  # type: ignore[attr-defined]
