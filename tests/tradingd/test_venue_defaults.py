"""A configuration of one's own need not repeat where an exchange is."""

import tomllib
from pathlib import Path

import pytest

from tradingd.settings import VenueSettings
from tradingd.settings_loading import load_settings
from tradingd.venue_defaults import ADDRESSES, KNOWN

SHIPPED = Path(__file__).resolve().parents[2] / "config.toml"


def load(tmp_path: Path, text: str, **environ: str) -> VenueSettings:
    path = tmp_path / "own.toml"
    path.write_text(text)
    return load_settings(path, environ=environ).venues["binance"]


def test_the_built_in_addresses_are_those_of_the_configuration_as_shipped() -> None:
    shipped = tomllib.loads(SHIPPED.read_text())["venues"]
    told = {name: {key: section[key] for key in ADDRESSES if section.get(key)} for name, section in shipped.items()}
    assert {name: {key: url for key, url in urls.items() if url} for name, urls in KNOWN.items()} == {
        name: urls for name, urls in told.items() if urls}


@pytest.mark.parametrize("more", ["", "[venues.binance]\nrefresh_s = 60\n"])
def test_a_venue_that_the_file_gives_no_address_of_has_the_built_in_ones(tmp_path: Path, more: str) -> None:
    assert load(tmp_path, f'venue = "binance"\n{more}').rest_url == "https://api.binance.com"


def test_a_key_in_the_environment_is_no_address(tmp_path: Path) -> None:
    venue = load(tmp_path, 'venue = "binance"\n', TRADINGD__VENUES__BINANCE__API_KEY="k")
    assert (venue.ws_url, venue.api_key.get_secret_value()) == ("wss://stream.binance.com:9443/stream", "k")


def test_a_venue_with_an_address_of_its_own_gets_no_other_one(tmp_path: Path) -> None:
    venue = load(tmp_path, 'venue = "binance"\n[venues.binance]\nrest_url = "http://127.0.0.1:1"\n')
    assert (venue.rest_url, venue.ws_url, venue.ws_api_url) == ("http://127.0.0.1:1", "", "")


def test_the_known_addresses_written_again_bring_the_known_user_stream(tmp_path: Path) -> None:
    known = KNOWN["binance"]
    venue = load(tmp_path, f'venue = "binance"\n[venues.binance]\nrest_url = "{known["rest_url"]}"\n')
    assert (venue.ws_url, venue.ws_api_url) == (known["ws_url"], known["ws_api_url"])
