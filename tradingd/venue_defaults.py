"""Where the exchanges we know are: the same addresses as in the config.toml as shipped, for a file that names none."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

ADDRESSES: Final = ("rest_url", "ws_url", "ws_api_url", "ws_user_url")

KNOWN: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({
    "binance": {
        "rest_url": "https://api.binance.com",
        "ws_url": "wss://stream.binance.com:9443/stream",
        "ws_api_url": "wss://ws-api.binance.com:443/ws-api/v3",
    },
    "binanceus": {
        "rest_url": "https://api.binance.us",
        "ws_url": "wss://stream.binance.us:9443/stream",
        "ws_api_url": "",
    },
    "coinbase": {
        "rest_url": "https://api.coinbase.com",
        "ws_url": "wss://advanced-trade-ws.coinbase.com",
        "ws_user_url": "wss://advanced-trade-ws-user.coinbase.com",
    },
})


def fill_in(data: dict[str, Any]) -> None:
    """Put the known addresses of the chosen venue beside those of raw settings, which may give none.

    A venue of which any other address is written is left as it is: half of a test exchange and half of the real one
    would be the worst of both.
    """
    name, venues = data.get("venue"), data.setdefault("venues", {})
    if not isinstance(name, str) or name not in KNOWN or not isinstance(venues, dict):
        return
    section, known = venues.setdefault(name, {}), KNOWN[name]
    if isinstance(section, dict) and all(section[key] == known.get(key, "") for key in ADDRESSES if key in section):
        section.update(known)
