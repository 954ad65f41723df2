"""config.toml and environment -> one validated, frozen `Settings`; errors name file, key and remedy."""

import os
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

from tradingd.secret_sources import SecretSourceError, overlay_secrets, refuse_secrets_in_file
from tradingd.settings import LOOPBACK, Settings, VenueSettings
from tradingd.settings_errors import ConfigError, explain
from tradingd.settings_sources import sources_of
from tradingd.settings_variables import meant_for
from tradingd.venue_defaults import fill_in

ENV_PREFIX: Final = "TRADINGD__"
BUILT_IN: Final = "config.toml (built-in)"
"""Settings without a file: the defaults of the code alone."""
LIVE_CONSENT: Final = "TRADINGD_ALLOW_LIVE"
_LISTS: Final = frozenset({
    "symbols", "intervals", "blackouts", "quiet_hours", "to", "allow_users", "allowed_hosts", "trusted_proxies",
})
"""Keys whose value is a list: an environment variable separates it by commas."""


def load_settings(
    config: Path | None = None,
    *,
    overrides: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    unlock: bool = False,
) -> Settings:
    """File, then environment, then command line, each overriding the former; raises `ConfigError`.

    Without `config`: TRADINGD_CONFIG, then ./config.toml, then the defaults shipped with the package. `unlock`: also
    open the encrypted secrets file, which needs the master key; only who trades or sends needs that.
    """
    environ = dict(os.environ) if environ is None else environ
    path, text = _read_file(config, environ)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}. Mend the line it names.") from error
    from_env = _overlay_environment(data, environ)
    _merge(data, overrides or {})
    if "source" in data:
        raise ConfigError(f"{path}: unknown key source: remove it.")
    try:
        refuse_secrets_in_file(text, path)
        overlay_secrets(data, environ, _raw_data_dir(data, path, from_env, overrides), unlock=unlock)
    except SecretSourceError as error:
        raise ConfigError(str(error)) from error
    data["source"] = str(path)
    sources = sources_of(path, text, from_env, overrides)
    fill_in(data)
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(error, Settings, sources)) from error
    settings.note_sources(sources)
    _check_across(settings, environ)
    return settings.model_copy(update={"data_dir": _absolute(settings.data_dir, path, data, from_env, overrides)})


def check_variables(environ: dict[str, str]) -> None:
    """Raises `ConfigError` for a variable that was meant for a setting and sets none; values are not looked at."""
    told: dict[str, Any] = {}
    variables = _overlay_environment(told, environ)
    try:
        Settings.model_validate(told)
    except ValidationError as error:
        unknown = [
            InitErrorDetails(type=each["type"], loc=each["loc"], input=each["input"]) for each in error.errors()
            if each["type"] == "extra_forbidden"
        ]
        if unknown:
            unheard = ValidationError.from_exception_data("Settings", unknown)
            raise ConfigError(explain(unheard, Settings, sources_of(Path(), "", variables, None))) from error


def _read_file(config: Path | None, environ: dict[str, str]) -> tuple[Path, str]:
    named = config or (Path(environ["TRADINGD_CONFIG"]) if environ.get("TRADINGD_CONFIG") else None)
    if named is not None:
        try:
            return named, named.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{named}: cannot be read ({error}). Name an existing file with --config.") from error
    local = Path("config.toml")
    if local.is_file():
        return local, local.read_text(encoding="utf-8")
    packaged = resources.files("tradingd") / "config.toml"
    if packaged.is_file():
        return Path("config.toml (shipped)"), packaged.read_text(encoding="utf-8")
    return Path(BUILT_IN), ""


def _overlay_environment(data: dict[str, Any], environ: dict[str, str]) -> dict[tuple[str, ...], str]:
    """Put TRADINGD__A__B=value into data[a][b]; returns which keys came from which variable."""
    if (missed := meant_for(environ, Settings)) is not None:
        raise ConfigError(
            f"environment variable {missed[0]}: it sets nothing, for settings have two underscores after TRADINGD. "
            f"Write {missed[1]}, or unset it."
        )
    origin: dict[tuple[str, ...], str] = {}
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX):
            continue
        keys = tuple(part.lower() for part in name[len(ENV_PREFIX) :].split("__"))
        if not all(keys):
            raise ConfigError(f"environment variable {name}: write {ENV_PREFIX}SECTION__KEY.")
        value: Any = environ[name]
        if keys[-1] in _LISTS:
            value = [part.strip() for part in value.split(",") if part.strip()]
        place = data
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise ConfigError(f"environment variable {name}: {key} is not a section.")
        place[keys[-1]] = value
        origin[keys] = name
    return origin


def _merge(data: dict[str, Any], extra: dict[str, Any]) -> None:
    for key, value in extra.items():
        if isinstance(value, dict):
            _merge(data.setdefault(key, {}), value)
        else:
            data[key] = value


def _check_across(settings: Settings, environ: dict[str, str]) -> None:
    where = settings.where
    if settings.venue not in settings.venues and settings.venue != "practice":
        known = ", ".join(sorted({*settings.venues, "practice"}))
        raise ConfigError(f"{where('venue')}: {settings.venue!r} has no [venues.{settings.venue}]. Known: {known}.")
    if settings.candles.decision not in settings.candles.intervals:
        raise ConfigError(
            f"{where('candles', 'decision')}: {settings.candles.decision!r} is not among candles.intervals "
            f"{list(settings.candles.intervals)}. Add it there."
        )
    if settings.strategy.trail_min > settings.strategy.trail_max:
        raise ConfigError(f"{where('strategy', 'trail_min')}: it is above strategy.trail_max: lower it.")
    if not settings.symbols:
        raise ConfigError(f"{where('symbols')}: name at least one, such as BTC/USDT.")
    if settings.mode == "live" and environ.get(LIVE_CONSENT) != "yes" and settings.venue != "practice":
        raise ConfigError(
            f"{where('mode')}: it is live, but {LIVE_CONSENT}=yes is not in the environment. Real money needs both; "
            'set it, or write mode = "paper".'
        )
    practice = settings.venues.get("practice", VenueSettings())
    for key in ("rest_url", "ws_url", "ws_api_url", "ws_user_url"):
        url = getattr(practice, key)
        if url and urlsplit(url).hostname not in LOOPBACK:
            raise ConfigError(
                f"{where('venues', 'practice', key)}: "
                f"{url!r} is not on this machine. The practice venue trades without "
                "keys and consent, so it must be loopback; use [venues.binance] for a real exchange."
            )
    if settings.api.host not in LOOPBACK and not settings.api.allow_public_without_tls:
        raise ConfigError(
            f"{where('api', 'host')}: "
            f"{settings.api.host!r} can be reached by others without TLS. Use 127.0.0.1 behind a "
            "TLS proxy, or set api.allow_public_without_tls = true."
        )


def _raw_data_dir(
    data: dict[str, Any], path: Path, from_env: dict[tuple[str, ...], str], overrides: dict[str, Any] | None
) -> Path:
    """Where the data directory is, before the settings are checked."""
    return _absolute(Path(str(data.get("data_dir", "data"))), path, data, from_env, overrides)


def _absolute(
    data_dir: Path, path: Path, data: dict[str, Any], from_env: dict[tuple[str, ...], str],
    overrides: dict[str, Any] | None,
) -> Path:
    """Relative to the file that names it; relative to the working directory when env or command line did."""
    if data_dir.is_absolute():
        return data_dir
    named_elsewhere = ("data_dir",) in from_env or "data_dir" in (overrides or {}) or not path.is_file()
    return (Path.cwd() if named_elsewhere else path.resolve().parent) / data_dir
