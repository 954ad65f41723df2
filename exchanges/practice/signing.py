"""Signed requests: time window always, key and signature only when keys are configured."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final

from exchanges.practice.market_view import MarketView
from exchanges.practice.rest_market import VenueRefusal, needed, whole

_DEFAULT_WINDOW_MS: Final = 5_000
_LONGEST_WINDOW_MS: Final = 60_000


class Signing:
    """Checks what the real venue checks; with no keys configured any key and signature will do."""

    def __init__(
        self, view: MarketView, secrets: tuple[tuple[str, str], ...], skew_ms: Callable[[], int] = lambda: 0
    ) -> None:
        self._view = view
        self._skew_ms = skew_ms
        self._secrets = dict(secrets)

    def check(self, params: Mapping[str, str], key: str, payload: str) -> None:
        """Refuse a stale, unsigned or wrongly signed request; `payload` is the text that was signed."""
        stamp = needed(params, "timestamp")
        stamp_ms = whole(params, "timestamp")
        window = whole(params, "recvWindow")
        if window is not None and window > _LONGEST_WINDOW_MS:
            raise VenueRefusal(-1131, "recvWindow must be less than 60000.")
        if stamp_ms is not None and len(stamp) > 15:
            stamp_ms //= 1000  # microseconds
        window = _DEFAULT_WINDOW_MS if window is None else window
        if stamp_ms is None or not self._view.accepts_stamp(stamp_ms - self._skew_ms(), window):
            raise VenueRefusal(-1021, "Timestamp for this request is outside of the recvWindow.")
        if not self._secrets:
            return
        secret = self._secrets.get(key)
        if secret is None:
            raise VenueRefusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        expected = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, needed(params, "signature")):
            raise VenueRefusal(-1022, "Signature for this request is not valid.")
