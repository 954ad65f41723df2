"""config.toml and environment: the shipped file and the defaults agree, and every error names place and remedy."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.e2e.process import ROOT
from tradingd.settings import Settings, VenueSettings
from tradingd.settings_alerts import AlertChannelSettings
from tradingd.settings_errors import ConfigError
from tradingd.settings_loading import load_settings

SHIPPED = ROOT / "config.toml"
COMMENTED = re.compile(r"^# ([a-z_]+) = ")


def shipped() -> dict[str, Any]:
    return tomllib.loads(SHIPPED.read_text())


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return file


def load(tmp_path: Path, text: str = "", **environ: str) -> Settings:
    return load_settings(written(tmp_path, text), environ=environ)


def leaves(model: BaseModel, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    found: dict[tuple[str, ...], object] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        found.update(leaves(value, (*path, name)) if isinstance(value, BaseModel) else {(*path, name): value})
    return found


def written_paths(
    data: dict[str, Any], whole: set[tuple[str, ...]], before: tuple[str, ...] = (),
) -> set[tuple[str, ...]]:
    """The path of every key; the tables named in `whole` are values of their own."""
    found: set[tuple[str, ...]] = set()
    for key, value in data.items():
        path = (*before, key)
        found |= written_paths(value, whole, path) if isinstance(value, dict) and path not in whole else {path}
    return found


def commented_keys(text: str) -> set[tuple[str, ...]]:
    """The path of every key that is there as a comment only."""
    found, section = set(), ()
    for line in text.splitlines():
        if heading := re.match(r"\[([a-z_.]+)\]", line):
            section = tuple(heading[1].split("."))
        elif key := COMMENTED.match(line):
            found.add((*section, key[1]))
    return found


# ---- the shipped file -------------------------------------------------------------------------------


def test_the_shipped_file_says_the_built_in_defaults() -> None:
    from_file, built_in = leaves(load_settings(SHIPPED, environ={})), leaves(Settings())
    for key in (("source",), ("data_dir",), ("venues",), ("council", "weights")):
        del from_file[key], built_in[key]
    assert from_file == built_in


def test_the_shipped_file_names_every_setting() -> None:
    known = {path for path in leaves(Settings()) if path[0] not in ("source", "venues")}
    data = shipped()
    tables = {("council", "weights"), ("strategy", "param"), ("strategy", "selection")}
    named = {path for path in written_paths(data, tables) if path[0] != "venues"}
    commented = commented_keys(SHIPPED.read_text())
    assert commented
    assert known - named - commented == set()
    assert commented - known == set()


def test_a_commented_limit_can_be_uncommented(tmp_path: Path) -> None:
    text = re.sub(r"^# ([a-z_]+ = )", r"\1", SHIPPED.read_text(), flags=re.MULTILINE)
    settings = load(tmp_path, text)
    assert settings.risk.max_positions == 3
    assert str(settings.risk.stop_loss) == "0.02"


def test_every_line_of_the_shipped_file_says_why() -> None:
    lines = SHIPPED.read_text().splitlines()
    bare = [
        line for line, before in zip(lines, ["", *lines], strict=False)
        if re.match(r"[a-z_]+ =", line) and "#" not in line
        and not line.startswith(("trail_m", "rest_url", "ws_url", "ws_api_url")) and "#" not in before
    ]
    assert bare == []


def test_the_shipped_file_trades_on_paper_on_this_machine() -> None:
    settings = load_settings(SHIPPED, environ={})
    assert (settings.mode, settings.venue, settings.api.host) == ("paper", "practice", "127.0.0.1")
    assert set(settings.council.weights) == {
        "momentum", "mean_reversion", "structure", "volatility", "volume_profile", "regime", "technical",
    }


# ---- environment and command line -------------------------------------------------------------------

OTHER_VALUES = {
    "TRADINGD__MODE": ("mode", "paper"), "TRADINGD__SEED": ("seed", "11"),
    "TRADINGD__ACCOUNT__CAPITAL": ("account.capital", "500"), "TRADINGD__API__PORT": ("api.port", "9000"),
    "TRADINGD__BUS__URL": ("bus.url", "redis://127.0.0.1:6379/0"),
    "TRADINGD__CANDLES__WARMUP": ("candles.warmup", "60"), "TRADINGD__SCANNER__TOP": ("scanner.top", "2"),
    "TRADINGD__COUNCIL__THRESHOLD": ("council.threshold", "0.7"),
    "TRADINGD__STRATEGY__POSITION_SIZE": ("strategy.position_size", "0.01"),
    "TRADINGD__RISK__MAX_POSITIONS": ("risk.max_positions", "1"),
    "TRADINGD__ORDERS__DAY_END": ("orders.day_end", "21:30"),
    "TRADINGD__PAPER__LATENCY_MS": ("paper.latency_ms", "5"),
    "TRADINGD__JOURNAL__SNAPSHOT_S": ("journal.snapshot_s", "30"), "TRADINGD__TAPE__ENABLED": ("tape.enabled", "False"),
    "TRADINGD__ALERTS__DIGEST": ("alerts.digest", "21:30"), "TRADINGD__METRICS__ACCESS": ("metrics.access", "token"),
    "TRADINGD__SECRETS__ROTATE_AFTER_DAYS": ("secrets.rotate_after_days", "30"),
    "TRADINGD__HISTORY__ENABLED": ("history.enabled", "False"), "TRADINGD__STORE__URL": ("store.url", "off"),
    "TRADINGD__TUNING__AT": ("tuning.at", "04:30"), "TRADINGD__RESEARCH__WAITING": ("research.waiting", "3"),
    "TRADINGD__LOG__LEVEL": ("log.level", "debug"), "TRADINGD__PRACTICE__VOLATILITY": ("practice.volatility", "2.0"),
}


def test_the_environment_reaches_every_section() -> None:
    sections = {name for name, field in Settings.model_fields.items() if isinstance(field.default, BaseModel)}
    assert sections <= {key.split(".")[0] for key, _ in OTHER_VALUES.values()}


@pytest.mark.parametrize("name", sorted(OTHER_VALUES))
def test_the_environment_overrides_the_file(name: str) -> None:
    key, text = OTHER_VALUES[name]
    value: Any = load_settings(SHIPPED, environ={name: text})
    for part in key.split("."):
        value = getattr(value, part)
    assert str(value) == text


def lists_in(model: type[BaseModel], *keys: str) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from lists_in(inner, *keys, name)
        elif "tuple[" in str(inner):
            yield (*keys, name)


EVERY_LIST = [
    *lists_in(Settings), *lists_in(VenueSettings, "venues", "binance"),
    *lists_in(AlertChannelSettings, "alerts", "phone"),
]
CHANNEL = '[alerts.phone]\nservice = "email"\napi_url = "smtps://mail.example.org"\nsender = "a@example.org"\n'
MEANT = {
    "symbols": "BTC/USDT,ETH/USDT", "intervals": "5s,1m", "allowed_hosts": "desk.example,lab.example",
    "trusted_proxies": "127.0.0.1/32,10.0.0.0/8", "to": "ann@example.org,bob@example.org", "allow_users": "1,2",
}


@pytest.mark.parametrize("keys", EVERY_LIST, ids=".".join)
def test_every_list_may_be_given_by_commas_in_the_environment(tmp_path: Path, keys: tuple[str, ...]) -> None:
    text = MEANT.get(keys[-1], "08:00-08:30,21:00-23:30")
    given = {f"TRADINGD__{'__'.join(keys).upper()}": text, "TRADINGD__CANDLES__DECISION": "1m"}
    if "phone" in keys:
        given = {"TRADINGD__ALERTS__PHONE__TO": "ann@example.org", **given}
    settings = load_settings(written(tmp_path, CHANNEL if "phone" in keys else ""), environ=given)
    value: object = settings
    for key in keys:
        value = settings.alerts.channels[key] if key == "phone" else getattr(value, key)
    assert value == tuple(text.split(","))


@pytest.mark.parametrize(("text", "name"), [
    ('[store]\nurl = "postgresql://bob:hunter2secret@db/trading"', "store.url"),
    ('[bus]\nurl = "redis://:hunter2secret@db:6379/0"', "bus.url"),
])
def test_an_address_with_a_password_in_the_file_is_refused_and_the_password_not_repeated(
    tmp_path: Path, text: str, name: str
) -> None:
    with pytest.raises(ConfigError, match=f"{name} holds a password.*tradingd secrets set {name}") as refused:
        load(tmp_path, text)
    assert "hunter2secret" not in str(refused.value)


def test_symbols_of_the_environment_are_separated_by_commas(tmp_path: Path) -> None:
    assert load(tmp_path, TRADINGD__SYMBOLS="BTC/USDT, ETH/USDT,").symbols == ("BTC/USDT", "ETH/USDT")


@pytest.mark.parametrize(("name", "text"), [
    ("TRADINGD__ORDERS__BLACKOUTS", "08:00-08:30,noon"), ("TRADINGD__ORDERS__DAY_END", "24:00"),
])
def test_hours_that_are_none_are_refused_with_what_to_write(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=r'in UTC'):
        load(tmp_path, **{name: text})


def test_blackouts_of_the_environment_are_separated_by_commas(tmp_path: Path) -> None:
    settings = load(tmp_path, TRADINGD__ORDERS__BLACKOUTS="08:00-08:30, fri 21:00-23:30")
    assert settings.orders.blackouts == ("08:00-08:30", "fri 21:00-23:30")


def test_a_key_of_the_environment_reaches_its_venue_and_is_never_shown(tmp_path: Path) -> None:
    settings = load(tmp_path, TRADINGD__VENUES__BINANCE__API_KEY="very-secret-key")
    assert settings.venues["binance"].api_key.get_secret_value() == "very-secret-key"
    assert "very-secret-key" not in repr(settings)
    assert "very-secret-key" not in settings.model_dump_json()


def test_the_command_line_overrides_the_environment(tmp_path: Path) -> None:
    settings = load_settings(
        written(tmp_path, "[api]\nport = 1\n"), overrides={"api": {"port": 3}}, environ={"TRADINGD__API__PORT": "2"}
    )
    assert settings.api.port == 3


def test_other_variables_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, TRADINGD_CONFIG="", PATH="/bin", TRADINGDX="1").seed == 7


def test_a_data_directory_lies_beside_the_file_that_names_it(tmp_path: Path) -> None:
    assert load(tmp_path, 'data_dir = "here"').data_dir == tmp_path / "here"
    assert load(tmp_path, TRADINGD__DATA_DIR="there").data_dir == Path.cwd() / "there"
    assert load(tmp_path, 'data_dir = "/somewhere"').data_dir == Path("/somewhere")


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    settings = load(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.api.port = 1


# ---- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[risk]\nmax_positions = -1", ("risk.max_positions", "greater than or equal to 1", "'-1'")),
        ("[council]\nthreshold = 2", ("council.threshold", "less than or equal to 1")),
        ("[council]\nweights = { momentum = 1.5 }", ("council.weights", "momentum is 1.5", "from 0 to 1")),
        ("colour = 1", ("colour", "unknown key", "Remove it or mend its spelling")),
        ("[api]\nprt = 1", ("api.prt", "unknown key")),
        ('source = "x"', ("unknown key source", "remove it")),
        ('mode = "dry"', ("mode", "'paper' or 'live'", "'dry'")),
        ('symbols = ["A/B", "A/B"]', ("symbols", "named twice")),
        ("symbols = []", ("symbols", "name at least one")),
        ('[candles]\nintervals = ["1q"]', ("candles.intervals", "1q")),
        ('[candles]\ndecision = "1h"', ("candles.decision", "Add it there")),
        ("[strategy]\ntrail_min = 0.02\ntrail_max = 0.01", ("strategy.trail_min", "lower it")),
        ('[api]\nhost = "0.0.0.0"', ("api.host", "TLS", "allow_public_without_tls")),
        ('[venues.practice]\nrest_url = "https://api.binance.com"', ("venues.practice.rest_url", "loopback")),
        ('[venues.practice]\nrest_url = "http://127.0.0.1.evil.example"', ("venues.practice.rest_url", "loopback")),
        ('venue = "nowhere"', ("venue", "[venues.nowhere]", "Known: practice")),
        ('[account]\ncapital = "0"', ("account.capital", "greater than 0")),
        ('[account]\ncapital = "nan"', ("account.capital",)),
        ('[bus]\nurl = "http://x"', ("bus.url",)),
        ("[[api]]", ("api",)),
        ("seed = \nmode = 1", ("not valid TOML", "line 1")),
    ],
)
def test_a_bad_setting_is_refused_with_its_place_and_remedy(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text)
    for word in (str(tmp_path / "mine.toml"), *words):
        assert word in str(refused.value)


def test_a_bad_variable_is_named_instead_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, TRADINGD__API__PORT="seventy")
    assert "environment variable TRADINGD__API__PORT" in str(refused.value)
    assert "mine.toml" not in str(refused.value)


@pytest.mark.parametrize(("overrides", "flag"), [
    ({"symbols": []}, "--symbols: name at least one"), ({"venue": "nope"}, "--venue: 'nope' has no [venues.nope]"),
    ({"api": {"port": 99_999}}, "--port (api.port): "), ({"seed": -1}, "--seed: "), ({"seed": 2**63}, "--seed: "),
    ({"log": {"format": "xml"}}, "--log (log.format): "),
])
def test_a_bad_option_is_named_instead_of_the_file_and_of_a_variable_that_it_overrides(
    tmp_path: Path, overrides: dict[str, Any], flag: str,
) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(written(tmp_path, "seed = 1\n"), overrides=overrides, environ={"TRADINGD__API__PORT": "1"})
    assert str(refused.value).startswith(flag)
    assert "mine.toml" not in str(refused.value)
    assert "TRADINGD__API" not in str(refused.value)


@pytest.mark.parametrize(("text", "place"), [
    ("# a\nseed = -1\n", "line 2: seed: "), ("[api]\n\nport = 70000\n", "line 3: api.port: "),
    ("[risk.protections]\ncooldown_s = -1", "line 2: risk.protections.cooldown_s: "),
    ("[council]\nweights = { momentum = 2 }", "line 2: council.weights: "),
    ("api.port = 70000", "line 1: api.port: "), ("\n[nonsense]\nx = 1", "line 2: nonsense: unknown key"),
    ("[risk]\nmax_postions = 3", "line 2: risk.max_postions: unknown key. Is it 'max_positions'?"),
])
def test_the_line_of_the_file_is_named(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'mine.toml'}, {place}")


def test_what_is_found_wrong_later_is_told_with_its_source_too(tmp_path: Path) -> None:
    settings = load(tmp_path, "[account]\nquote = 'EUR'\n", TRADINGD__VENUE="practice")
    assert settings.where("account", "quote").endswith("mine.toml, line 2: account.quote")
    assert settings.where("venue") == "environment variable TRADINGD__VENUE"
    assert settings.where("risk", "collar").endswith("mine.toml: risk.collar")
    assert settings.model_copy().where("venue") == settings.where("venue")
    assert Settings().where("venue") == "defaults: venue"


@pytest.mark.parametrize("name", ["TRADINGD__", "TRADINGD__API__", "TRADINGD____PORT"])
def test_a_misspelt_variable_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*TRADINGD__SECTION__KEY"):
        load(tmp_path, **{name: "1"})


@pytest.mark.parametrize(
    ("name", "hint"), [("ACOUNT__CAPITAL", "Is it 'account'?"), ("RISK__COLAR", "Is it 'collar'?")],
)
def test_a_key_that_only_the_environment_knows_is_told_as_the_environments(
    tmp_path: Path, name: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, "[account]\nquote = 'EUR'\n", **{f"TRADINGD__{name}": "5"})
    assert str(refused.value).startswith(f"environment variable TRADINGD__{name}")
    assert "unknown key" in str(refused.value)
    assert hint in str(refused.value)
    assert "mine.toml" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("BUS__URL", "redi://here", "write memory://, or a Redis: redis://HOST:6379/0"),
        ("BUS__NAMESPACE", "a b", "write 1 to 40 letters, digits, dots"),
        ("STORE__URL", "mysql://here/db", "write auto, off, sqlite:///FILE or postgresql://"),
        ("TUNING__AT", "25:00", "write a time of the day (UTC), such as 00:10"),
        ("METRICS__OTLP_URL", "here", "write http://HOST:4318"),
        ("STRATEGY__RULE", "My rule", "write the name of a strategy"),
    ],
)
def test_what_may_be_written_is_told_in_words(tmp_path: Path, name: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, **{f"TRADINGD__{name}": value})
    assert f"environment variable TRADINGD__{name}" in str(refused.value)
    assert allowed in str(refused.value)
    assert "pattern" not in str(refused.value)


def test_a_variable_below_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mode is not a section"):
        load(tmp_path, 'mode = "paper"', TRADINGD__MODE__X="1")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read .*--config"):
        load_settings(tmp_path / "none.toml", environ={})
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        load_settings(environ={"TRADINGD_CONFIG": str(tmp_path / "none.toml")})


@pytest.mark.parametrize("key", ["api_key", "api_secret"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, f'[venues.binance]\n{key} = "hunter2hunter2"')
    assert f"TRADINGD__VENUES__BINANCE__{key.upper()}" in str(refused.value)
    assert "hunter2hunter2" not in str(refused.value)


LIVE = 'mode = "live"\nvenue = "binance"\n[venues.binance]\nrest_url = "https://api.binance.com"\n'


@pytest.mark.parametrize("consent", ["", "no", "YES", "1", "true"])
def test_live_without_the_exact_consent_is_refused(tmp_path: Path, consent: str) -> None:
    with pytest.raises(ConfigError, match=r'TRADINGD_ALLOW_LIVE=yes is not in the environment.*mode = "paper"'):
        load(tmp_path, LIVE, TRADINGD_ALLOW_LIVE=consent)


def test_live_with_consent_or_on_the_practice_venue_is_a_valid_setting(tmp_path: Path) -> None:
    assert load(tmp_path, LIVE, TRADINGD_ALLOW_LIVE="yes").mode == "live"
    assert load(tmp_path, 'mode = "live"').venue == "practice"


def test_the_consent_cannot_come_from_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, "TRADINGD_ALLOW_LIVE = 'yes'\n" + LIVE)


def test_a_venue_without_keys_shows_none() -> None:
    assert VenueSettings().api_key.get_secret_value() == ""
