"""What must be so before real money is traded: asked once at the start of live mode, before anything is connected.

The keys' rights are looked at when the account is opened (`exchanges.permissions`), and no entry is made before the
books agree with the venue's (the daemon's reconciliation).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from risk.limits import RiskLimits
from tradingd.kill_file_trial import why_no_kill_file
from tradingd.settings import Settings, VenueSettings
from tradingd.settings_errors import ConfigError
from tradingd.settings_loading import LIVE_CONSENT
from tradingd.venue_access import PRACTICE, dialect_of, is_loopback

_MUST_BIND: Final = ("max_drawdown", "kill_loss")
_ONE_OF: Final = ("daily_loss", "daily_drawdown")
"""Of these one must be less than 1, of the others each: a loss of everything is no limit."""


def check_live(
    settings: Settings, urls: VenueSettings, limits: RiskLimits, data_dir: Path,
    environ: Mapping[str, str] | None = None, *, stake: str = "",
) -> str:
    """Raises `ConfigError` with the first thing that is missing. The practice venue needs none of it.

    `stake`: what is open in the account. Over that, no kill file is no reason to watch over nothing (a full disk lets
    none be made): why there can be none is returned, else "".
    """
    if settings.venue == PRACTICE:
        return ""
    name = settings.venue
    consent = (os.environ if environ is None else environ).get(LIVE_CONSENT)
    if consent != "yes":
        raise ConfigError(
            f"{settings.where('mode')}: "
            f"it is live, but {LIVE_CONSENT}=yes is not in the environment. Real money needs both; "
            'set it, or write mode = "paper".'
        )
    if dialect_of(name, urls) == "ccxt":
        raise ConfigError(
            f"{settings.where('venue')}: "
            f"{name} is reached through ccxt's own streams, which lose and repeat events unseen: it is "
            'for paper trading only. Write mode = "paper", or trade on binance, binanceus or coinbase.'
        )
    no_kill_file = why_no_kill_file(data_dir) if stake else check_kill_file(data_dir)
    if not is_loopback(urls.rest_url):
        _check_limits(settings, limits)
    keys = settings.venues.get(name, VenueSettings())
    if not (keys.api_key.get_secret_value() and keys.api_secret.get_secret_value()):
        prefix = f"TRADINGD__VENUES__{name.upper()}__"
        raise ConfigError(
            f"{settings.where('mode')}: "
            f"it is live, but there are no keys of {name}. Set {prefix}API_KEY and {prefix}API_SECRET in "
            'the environment (or `tradingd secrets set`), or write mode = "paper".'
        )
    return no_kill_file


def check_kill_file(data_dir: Path) -> str:
    """Raises `ConfigError` when it could not be made; else ""."""
    if why := why_no_kill_file(data_dir):
        raise ConfigError(
            f"{why}: live trading needs this way to stop it. Give the daemon's user the folder, or name another one "
            "with --data-dir."
        )
    return ""


def _check_limits(settings: Settings, limits: RiskLimits) -> None:
    for key in _MUST_BIND:
        if getattr(limits, key) >= 1:
            where = settings.where("risk", key)
            raise ConfigError(f"{where}: 1 is no limit, and real money needs one. Write a smaller ratio.")
    if all(getattr(limits, key) >= 1 for key in _ONE_OF):
        raise ConfigError(
            f"{settings.where('risk', _ONE_OF[0])}"
            f" and risk.{_ONE_OF[1]} are both 1: nothing limits a day's loss of real money. "
            "Write a smaller ratio for one of them."
        )
