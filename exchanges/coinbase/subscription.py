"""Asking Coinbase for channels, and knowing when each one flows. Pure: messages in, messages out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import orjson

from exchanges.coinbase.parser import Envelope, confirmed_channels
from market.instrument import Instrument

MARKET_CHANNELS: Final = ("heartbeats", "market_trades", "ticker", "level2")
USER_CHANNELS: Final = ("heartbeats", "user")
_DATA_NAMES: Final = {"l2_data": "level2"}


def wish(
    kind: str, channel: str, product_ids: Sequence[str], token: Callable[[], str] | None = None
) -> str:
    """A "subscribe" or "unsubscribe" message; `token` gives a fresh JWT, which lives two minutes."""
    message: dict[str, object] = {"type": kind, "channel": channel, "product_ids": list(product_ids)}
    if token is not None:
        message["jwt"] = token()
    return orjson.dumps(message).decode()


def products(asked: Mapping[str, Instrument], symbols: Iterable[str]) -> list[str]:
    """The venue's names of these, without those that were left out meanwhile."""
    return [asked[symbol].venue_symbol for symbol in symbols if symbol in asked]


class Confirmations:
    """Which of the channels asked for are known to flow: named by the venue, or heard of by their own frames."""

    def __init__(self, channels: Iterable[str]) -> None:
        self._missing = set(channels)

    @property
    def missing(self) -> list[str]:
        """What nobody has confirmed yet."""
        return sorted(self._missing)

    def take(self, envelope: Envelope) -> None:
        """Learn from one frame; raises `FrameError` when it is a confirmation without a table."""
        if envelope.channel == "subscriptions":
            self._missing -= confirmed_channels(envelope)
        else:
            self._missing.discard(_DATA_NAMES.get(envelope.channel, envelope.channel))
