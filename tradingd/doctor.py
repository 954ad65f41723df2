"""Is this machine fit to run the daemon? Each check says ok, warn or fail, and what to do about it."""

import importlib.util
import os
import shutil
import socket
import ssl
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from tradingd.settings import Settings

PACKAGES: Final = ("tradingd", "agents", "bus", "exchanges", "risk", "market", "orders", "store", "research")
DISTRIBUTION: Final = "tradingd"
LIBRARIES: Final = (
    "aiohttp", "argon2-cffi", "ccxt", "fastapi", "numpy", "orjson", "pydantic", "pyjwt", "redis", "structlog", "ta-lib",
    "typer", "uvicorn", "uvloop", "websockets",
)
_OLDEST_PYTHON: Final = (3, 11)
MEANT_CAPITAL: Final = (Decimal(1_000), Decimal(100_000))
"""In quote (T11): below, entries become too small to be sent; above, larger than many a book."""
_LOW_DISK: Final = 1_000_000_000
_NO_DISK: Final = 100_000_000
_ANY_PAGE: Final = "/"
_TIMEOUT_S: Final = 5.0
_CLOCK_OFF_S: Final = 2.0
_CLOCK_WRONG_S: Final = 30.0
_EARLIEST: Final = 1_735_689_600  # 2025-01-01: a clock before it was never set

Level = Literal["ok", "warn", "fail"]


class PackageOriginError(RuntimeError):
    """One of our package names would be imported from somewhere else; the text says from where."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the doctor."""

    name: str
    level: Level
    text: str


def check_package_origin() -> None:
    """Each of our top-level names must come from the tree this module lies in, and from no other distribution.

    The names are generic (another distribution also installs `agents`), so a wrong one must stop the start, not
    trade. Raises `PackageOriginError`.
    """
    root = Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise PackageOriginError(f"package {name} is missing from {root}. Install tradingd again, in its own venv.")
        found = Path(spec.origin).resolve().parents[1]
        if found != root:
            raise PackageOriginError(
                f"package {name} comes from {found}, but tradingd from {root}. Run tradingd in an environment of its "
                "own, and not in a folder that holds a package of this name."
            )


def check_package_owners() -> None:
    """No other installed distribution may bring one of our names; raises `PackageOriginError`. Reads all metadata."""
    owners = packages_distributions()
    for name in PACKAGES:
        others = sorted({owner for owner in owners.get(name, ()) if owner.lower() != DISTRIBUTION})
        if others:
            raise PackageOriginError(
                f"package {name} is also installed by {', '.join(others)}: whichever comes first on the path wins. "
                f"Uninstall it, or give tradingd an environment of its own (pip uninstall {others[0]})."
            )


def examine(
    config: Path | None, overrides: Mapping[str, object], environ: Mapping[str, str] | None = None
) -> list[CheckResult]:
    """All checks, in order. Those that need valid settings are left out when the settings are not."""
    from tradingd.settings import Settings  # pydantic is slow to import
    from tradingd.settings_errors import ConfigError
    from tradingd.settings_loading import load_settings

    env = dict(os.environ if environ is None else environ)
    results = [_python(), _origin(), _libraries()]
    try:
        settings: Settings = load_settings(config, overrides=dict(overrides), environ=env)
    except ConfigError as error:
        return [*results, CheckResult("config", "fail", str(error))]
    results.append(CheckResult("config", "ok", f"{settings.source}: {settings.mode} on {settings.venue}"))
    venue = settings.venues.get(settings.venue)
    rest_url = venue.rest_url if venue is not None else ""
    has_keys = venue is not None and bool(venue.api_key.get_secret_value() and venue.api_secret.get_secret_value())
    checks: list[Callable[[], CheckResult]] = [
        lambda: _data_dir(settings.data_dir),
        lambda: _daemon(settings.data_dir),
        lambda: _kill_file(settings.data_dir),
        lambda: _credentials(settings.data_dir),
        lambda: _disk(settings.data_dir),
        lambda: _alphas(settings),
        lambda: _strategies(settings),
        lambda: _symbols(settings),
        lambda: _capital(settings),
        lambda: _port(settings.api.host, settings.api.port, settings.data_dir),
        lambda: _redis(settings.bus.url),
    ]
    results += [check() for check in checks]
    results += _venue_and_clock(settings, rest_url)
    results.append(_live(settings.mode, settings.venue, has_keys=has_keys, consent=env.get("TRADINGD_ALLOW_LIVE")))
    return results


def _python() -> CheckResult:
    found = ".".join(map(str, sys.version_info[:3]))
    if tuple(sys.version_info[:2]) < _OLDEST_PYTHON:
        return CheckResult("python", "fail", f"{found}: tradingd needs 3.11 or newer")
    return CheckResult("python", "ok", found)


def _origin() -> CheckResult:
    try:
        check_package_origin()
        check_package_owners()
    except PackageOriginError as error:
        return CheckResult("packages", "fail", str(error))
    return CheckResult("packages", "ok", f"{len(PACKAGES)} packages from {Path(__file__).resolve().parents[1]}")


def _libraries() -> CheckResult:
    found, missing = [], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return CheckResult("libraries", "fail", f"missing: {', '.join(missing)}. Install tradingd again.")
    return CheckResult("libraries", "ok", ", ".join(found))


def _data_dir(path: Path) -> CheckResult:
    if not path.exists():
        parent = next(folder for folder in path.parents if folder.exists())
        if not os.access(parent, os.W_OK):
            return CheckResult("data_dir", "fail", f"{path} cannot be made: {parent} is not writable. Use --data-dir.")
        return CheckResult("data_dir", "ok", f"{path} does not exist yet: the first start makes it")
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        return CheckResult("data_dir", "fail", f"{path} is not a folder you may write to. Use --data-dir.")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return CheckResult("data_dir", "warn", f"{path} can be read by others (mode {mode:o}). Run: chmod 700 {path}")
    return CheckResult("data_dir", "ok", f"{path} is writable and private")


def _kill_file(data_dir: Path) -> CheckResult:
    """One that was left behind is why a daemon never trades, and nobody thinks of it."""
    from tradingd.kill_file import KillFile, read_kill_file

    file = KillFile(data_dir)
    if not file.exists:
        return CheckResult("kill file", "ok", f"none; create {file.path} to lock trading at once")
    action, reason = read_kill_file(file.path)
    return CheckResult(
        "kill file", "warn", f"{action}: {reason}: trading is locked while {file.path} is there. Delete it, then "
        "`tradingd unlock`.",
    )


def _credentials(data_dir: Path) -> CheckResult:
    from tradingd.auth import CREDENTIALS_FILE, CredentialsError, read_credentials

    path = data_dir / CREDENTIALS_FILE
    if not path.exists():
        return CheckResult("credentials", "ok", "none yet: the first start makes them and shows the password once")
    try:
        users = read_credentials(path).users
    except CredentialsError as error:
        return CheckResult("credentials", "fail", str(error))
    return CheckResult("credentials", "ok", f"users: {', '.join(user.name for user in users)}")


def _alphas(settings: "Settings") -> CheckResult:
    """Those of the user and of packages, each loaded in a process of its own, as the daemon does."""
    from bus.clock import LiveClock
    from tradingd.plugins.plugins import Plugins

    plugins = Plugins(settings, LiveClock(), waits=True)
    try:
        plugins.launch()
        problems = [text for _, text in plugins.panel.problems()]
        names = [f"{alpha.name} {alpha.version}" for alpha in plugins.panel.roster()]
    finally:
        plugins.end()
    if problems:
        return CheckResult("alphas", "warn", " ".join(f"{text}." for text in problems))
    if not names:
        return CheckResult("alphas", "ok", "the built-in ones; `tradelab new-alpha NAME` begins one of your own")
    return CheckResult("alphas", "ok", f"the built-in ones and {', '.join(names)}")


def _strategies(settings: "Settings") -> CheckResult:
    from tradingd.settings_errors import ConfigError
    from tradingd.strategy_choice import chosen_strategies, untried

    try:
        names = ", ".join(each.name for each in chosen_strategies(settings)) or settings.strategy.rule
        note = untried(settings)
    except ConfigError as error:
        return CheckResult("strategies", "fail", str(error))
    return CheckResult("strategies", "warn" if note else "ok", f"{names}: {note}" if note else names)


def _symbols(settings: "Settings") -> CheckResult:
    from exchanges.practice.pairs import invented_note
    from tradingd.composition import practice_symbols
    from tradingd.settings_errors import ConfigError

    if settings.venue != "practice":
        return CheckResult("symbols", "ok", f"{', '.join(settings.symbols)} (`tradingd venue check` asks the venue)")
    try:
        practice_symbols(settings, is_replay=False)
    except ConfigError as error:
        return CheckResult("symbols", "fail", str(error))
    note = invented_note(settings.symbols)
    return CheckResult("symbols", "warn" if note else "ok", note or ", ".join(settings.symbols))


def _capital(settings: "Settings") -> CheckResult:
    """Whether the paper capital is of the size that the defaults are made for."""
    from market.money import to_text
    from risk.limits import resolve_limits
    from tradingd.risk_settings import written_limits

    account, share = settings.account, settings.strategy.position_size
    text = f"{account.capital:,f} {account.quote}"
    if settings.mode == "live":
        return CheckResult("capital", "ok", "live: what the account holds")
    least, most = MEANT_CAPITAL
    if least <= account.capital <= most:
        return CheckResult("capital", "ok", text)
    text = f"{text}: the defaults are meant for {least:,f} to {most:,f}"
    smallest = resolve_limits(account.risk_tolerance, settings.risk.preset, written_limits(settings)).min_notional
    if settings.risk.sizing == "confidence" and account.capital * share < smallest:
        text = (
            f"{text}. An entry is at most {to_text(share * 100)} % of it, less than the smallest order of "
            f"{to_text(smallest)} {account.quote}: nothing would be bought. Raise account.capital."
        )
    return CheckResult("capital", "warn", text)


def _daemon(path: Path) -> CheckResult:
    """Who holds the data directory."""
    from tradingd.data_dir import is_held, read_run_info, whereabouts

    info = read_run_info(path)
    if not is_held(path):
        gone = f"; the last one (pid {info.pid}) was killed, the next start takes up its orders" if info else ""
        return CheckResult("daemon", "ok", f"none runs on {path}{gone}")
    if info is None:
        return CheckResult("daemon", "warn", whereabouts(path))
    if not _answers(info.url):
        return CheckResult("daemon", "warn", f"{info.sentence()} holds {path}, but does not answer")
    return CheckResult("daemon", "ok", f"{info.sentence()} holds {path}")


def _disk(path: Path) -> CheckResult:
    folder = next(folder for folder in (path, *path.parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free at {folder}"
    if free < _NO_DISK:
        return CheckResult("disk", "fail", f"{text}: the journal needs room. Free some, or move data_dir.")
    return CheckResult("disk", "warn" if free < _LOW_DISK else "ok", text)


def _port(host: str, port: int, data_dir: Path) -> CheckResult:
    from tradingd.data_dir import read_run_info

    info = read_run_info(data_dir)
    if info is not None and (port == 0 or urlsplit(info.url).port == port) and _answers(info.url):
        return CheckResult("port", "ok", f"our daemon (pid {info.pid}) answers at {info.url}")
    if port == 0:
        return CheckResult("port", "ok", "0: a free one is picked at start")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return CheckResult(
                "port", "fail", f"{host}:{port} cannot be used ({error.strerror}). Choose another with --port."
            )
    return CheckResult("port", "ok", f"{host}:{port} is free")


def _answers(url: str) -> bool:
    try:
        with urlopen(Request(f"{url}/api/health"), timeout=_TIMEOUT_S) as answer:  # noqa: S310 - http URL of run.json
            return bool(answer.status)
    except HTTPError:
        return True  # 503: it answers
    except (OSError, ValueError):
        return False


def _redis(url: str) -> CheckResult:
    """One PING by hand: only `bus` may use the redis library."""
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return CheckResult("redis", "ok", "not configured: the council talks in memory")
    try:
        port = parts.port or 6379
    except ValueError as error:
        return CheckResult("redis", "fail", f"bus.url: {error}. Write redis://host:port/db.")
    shown = f"{parts.scheme}://{parts.hostname or parts.path}:{port}"
    try:
        with _redis_socket(parts.scheme, parts.hostname or "", port, parts.path) as link:
            link.sendall(b"PING\r\n")
            answer = link.recv(64)
    except OSError as error:
        return CheckResult(
            "redis", "fail", f'{shown} does not answer ({error}). Start it, or set bus.url = "memory://".'
        )
    if answer.startswith((b"+PONG", b"-NOAUTH", b"-WRONGPASS")):
        return CheckResult("redis", "ok", f"{shown} answers")
    return CheckResult("redis", "fail", f"{shown} answers, but not like Redis. Mend bus.url.")


def _redis_socket(scheme: str, host: str, port: int, path: str) -> socket.socket:
    if scheme == "unix":
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(_TIMEOUT_S)
        link.connect(path)
        return link
    link = socket.create_connection((host, port), timeout=_TIMEOUT_S)
    if scheme == "rediss":
        return ssl.create_default_context().wrap_socket(link, server_hostname=host)
    return link


def _venue_and_clock(settings: "Settings", rest_url: str) -> Iterator[CheckResult]:
    venue = settings.venue
    now = time.time()
    if now < _EARLIEST:
        yield CheckResult("clock", "fail", "the machine's clock was never set. Set it (timedatectl set-ntp true).")
        return
    if venue == "practice" and not rest_url:
        yield CheckResult("venue", "ok", f"{venue}: the daemon starts its own practice exchange")
        yield CheckResult("clock", "ok", "not compared: no outside venue")
        return
    path = _ping_path(settings)
    if not rest_url:
        yield CheckResult("venue", "ok", f"{venue}: not asked here; `tradingd venue check {venue}` does")
        yield CheckResult("clock", "ok", "not compared")
        return
    url = f"{rest_url}{path}"
    try:
        with urlopen(Request(url), timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the configured venue
            date = answer.headers.get("Date")
    except HTTPError as error:
        if path == _ANY_PAGE:
            yield CheckResult("venue", "ok", f"{venue} answers at {rest_url}; `tradingd venue check {venue}` says more")
            yield _clock(error.headers.get("Date"), (now + time.time()) / 2)
            return
        yield CheckResult("venue", "fail", f"{url} answers HTTP {error.code}. Mend venues.{venue}.rest_url.")
        return
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        yield CheckResult("venue", "fail", f"{url} does not answer ({reason}). Check the network and rest_url.")
        return
    yield CheckResult("venue", "ok", f"{venue} answers at {rest_url}")
    yield _clock(date, (now + time.time()) / 2)


def _ping_path(settings: "Settings") -> str:
    """A public page of the venue, any where only ccxt knows one."""
    from tradingd.settings import VenueSettings
    from tradingd.venue_access import dialect_of

    dialect = dialect_of(settings.venue, settings.venues.get(settings.venue, VenueSettings()))
    return {"binance": "/api/v3/ping", "coinbase": "/api/v3/brokerage/time"}.get(dialect, _ANY_PAGE)


def _clock(date: str | None, now: float) -> CheckResult:
    try:
        theirs = parsedate_to_datetime(date or "").timestamp() + 0.5  # the header has whole seconds
    except (ValueError, TypeError):
        return CheckResult("clock", "warn", "the venue sent no date to compare the clock with")
    off = now - theirs
    text = f"{off:+.1f} s against the venue"
    if abs(off) > _CLOCK_WRONG_S:
        return CheckResult("clock", "fail", f"{text}: orders would be refused. Run: timedatectl set-ntp true")
    return CheckResult("clock", "warn" if abs(off) > _CLOCK_OFF_S else "ok", text)


def _live(mode: str, venue: str, *, has_keys: bool, consent: str | None) -> CheckResult:
    if mode != "live":
        return CheckResult("live", "ok", "paper: no order leaves this machine's simulated venue")
    if venue == "practice":
        return CheckResult("live", "ok", "live on the practice venue: no real money")
    if consent != "yes":
        return CheckResult("live", "fail", "mode is live without TRADINGD_ALLOW_LIVE=yes in the environment")
    if not has_keys:
        prefix = f"TRADINGD__VENUES__{venue.upper()}__"
        return CheckResult("live", "fail", f"mode is live without keys: set {prefix}API_KEY and {prefix}API_SECRET")
    return CheckResult("live", "warn", f"orders go to {venue} with real money")
