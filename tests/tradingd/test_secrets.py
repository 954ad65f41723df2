"""Secrets: encrypted at rest, taken from three places in one order, refused in the file, hidden in every text."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from typer.testing import CliRunner

from tradingd import exit_codes, logs
from tradingd.cli import app
from tradingd.redaction import Redactor, redact, secrets_in
from tradingd.secret_sources import is_secret_name, secret_variables, wipe_environment
from tradingd.secrets import (
    MasterKey,
    SecretEntry,
    SecretsError,
    WrongKeyError,
    due_for_rotation,
    find_master_key,
    open_secrets,
    read_entries,
    seal,
    unseal,
)
from tradingd.settings import Settings, VenueSettings
from tradingd.settings_alerts import AlertsSettings
from tradingd.settings_errors import ConfigError
from tradingd.settings_loading import load_settings
from tradingd.story import JsonWriter, StoryLine

KEY = "a master key that is long enough"
CANARY = "canary-7f3a9c51e2"
NAME = "venues.binance.api_key"
DAY = 86_400


def key() -> MasterKey:
    return MasterKey(bytearray(KEY.encode()), "test")


def sealed(path: Path, **values: str) -> Path:
    named = {name.replace("__", "."): value for name, value in values.items()}
    seal(path, key(), named, tuple(SecretEntry(name, 1_700_000_000) for name in named))
    return path


# ---- the file ----------------------------------------------------------------------------------------


def test_what_is_sealed_is_unsealed_and_not_readable_in_between(tmp_path: Path) -> None:
    path = sealed(tmp_path / "s.json", venues__binance__api_key=CANARY, alerts__phone__token="ü\n2")
    assert unseal(path, key()) == {NAME: CANARY, "alerts.phone.token": "ü\n2"}
    assert CANARY not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in read_entries(path)] == ["alerts.phone.token", NAME]


def test_the_same_content_is_never_sealed_the_same(tmp_path: Path) -> None:
    one, two = sealed(tmp_path / "1", bus__url="x"), sealed(tmp_path / "2", bus__url="x")
    parts = [json.loads(path.read_text()) for path in (one, two)]
    assert all(parts[0][name] != parts[1][name] for name in ("salt", "nonce", "sealed"))


def test_a_wrong_key_opens_nothing(tmp_path: Path) -> None:
    path = sealed(tmp_path / "s.json", bus__url="x")
    with pytest.raises(WrongKeyError, match="does not open it"):
        unseal(path, MasterKey(bytearray(b"another key, long enough"), "test"))


@pytest.mark.parametrize("change", [
    lambda data: data["entries"][0].update(name="venues.binance.api_secret"),
    lambda data: data["entries"][0].update(set_at=1_900_000_000),
    lambda data: data.update(entries=[]),
    lambda data: data.update(sealed=data["sealed"][:-8] + "AAAAAAA="),
    lambda data: data["kdf"].update(n=2),
    lambda data: data["kdf"].update(n=2**30),
    lambda data: data.update(format=2),
    lambda data: data.pop("salt"),
])
def test_a_file_that_somebody_changed_is_refused(tmp_path: Path, change: Any) -> None:
    path = sealed(tmp_path / "s.json", venues__binance__api_key="x")
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(SecretsError):
        unseal(path, key())


def test_the_key_is_overwritten_after_use() -> None:
    used = key()
    used.wipe()
    assert set(used.value) == {0}


def test_the_master_key_is_found_in_order_and_must_be_private(tmp_path: Path) -> None:
    file, folder = tmp_path / "own.key", tmp_path / "creds"
    file.write_text(KEY + " file\n")
    file.chmod(0o600)
    folder.mkdir()
    (folder / "tradingd.master-key").write_text(KEY + " systemd")
    environ = {"TRADINGD_MASTER_KEY": KEY, "CREDENTIALS_DIRECTORY": str(folder), "TRADINGD_MASTER_KEY_FILE": str(file)}
    assert bytes(find_master_key(environ).value).decode() == KEY
    del environ["TRADINGD_MASTER_KEY"]
    assert bytes(find_master_key(environ).value).decode() == KEY + " systemd"
    del environ["CREDENTIALS_DIRECTORY"]
    assert bytes(find_master_key(environ).value).decode() == KEY + " file"
    file.chmod(0o644)
    with pytest.raises(SecretsError, match="chmod 600"):
        find_master_key(environ)
    with pytest.raises(SecretsError, match="no master key"):
        find_master_key({"HOME": str(tmp_path)})
    with pytest.raises(SecretsError, match="shorter than"):
        find_master_key({"TRADINGD_MASTER_KEY": "short"})


def test_old_secrets_are_due() -> None:
    entries = (SecretEntry("new", 100 * DAY), SecretEntry("older", 5 * DAY), SecretEntry("old", 9 * DAY))
    assert [entry.name for entry in due_for_rotation(entries, 100 * DAY + 1, 90)] == ["older", "old"]
    assert due_for_rotation(entries, 100 * DAY, 0) == ()


# ---- where they come from ----------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """An environment, a folder of credentials and an encrypted file that all know the key."""
    sealed(tmp_path / "secrets.json", venues__binance__api_key="of the file", venues__binance__api_secret="of the file")
    folder = tmp_path / "creds"
    folder.mkdir()
    (folder / NAME).write_text("of systemd\n")
    (folder / "something.else").write_text("x")
    return {"TRADINGD_MASTER_KEY": KEY, "CREDENTIALS_DIRECTORY": str(folder), "TRADINGD__DATA_DIR": str(tmp_path)}


def loaded(tmp_path: Path, environ: dict[str, str], *, unlock: bool = True) -> VenueSettings:
    config = tmp_path / "mine.toml"
    config.write_text('[venues.binance]\nrest_url = "https://api.binance.com"\n')
    return load_settings(config, environ=environ, unlock=unlock).venues["binance"]


def test_environment_before_systemd_before_the_file(tmp_path: Path, places: dict[str, str]) -> None:
    venue = loaded(tmp_path, places)
    assert venue.api_key.get_secret_value() == "of systemd"
    assert venue.api_secret.get_secret_value() == "of the file"
    venue = loaded(tmp_path, {**places, "TRADINGD__VENUES__BINANCE__API_KEY": "of the environment"})
    assert venue.api_key.get_secret_value() == "of the environment"


def test_who_only_looks_needs_no_master_key(tmp_path: Path, places: dict[str, str]) -> None:
    del places["TRADINGD_MASTER_KEY"]
    assert loaded(tmp_path, places, unlock=False).api_secret.get_secret_value() == ""
    with pytest.raises(ConfigError, match="no master key"):
        loaded(tmp_path, {**places, "HOME": str(tmp_path)})


def test_a_start_in_our_own_place_needs_no_master_key(tmp_path: Path, places: dict[str, str]) -> None:
    config = tmp_path / "mine.toml"
    config.write_text('[alerts.telegram]\nto = 1\n')
    before = load_settings(config, environ={**places, "TRADINGD__ALERTS__TELEGRAM__TOKEN": "t" * 9}, unlock=True)
    again = {"TRADINGD__DATA_DIR": str(tmp_path), "HOME": str(tmp_path), **secret_variables(before)}
    after = load_settings(config, environ=again, unlock=True)
    assert (after.venues, after.alerts) == (before.venues, before.alerts)


@pytest.mark.parametrize("text", [
    '[venues.binance]\napi_key = "{}"', '[venues.binance]\napi_secret = "{}"',
    '[alerts.telegram]\nto = 1\ntoken = "{}"',
    '[bus]\nurl = "redis://user:{}@127.0.0.1/0"',
])
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    config = tmp_path / "mine.toml"
    config.write_text(text.format(CANARY))
    with pytest.raises(ConfigError, match="do not belong into a file") as caught:
        load_settings(config, environ={})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(("variable", "value"), [
    ("TRADINGD__ALERTS__PHONE", CANARY), ("TRADINGD__ALERTS__PHONE__TOKENS", CANARY),
    ("TRADINGD__ALERTS__PHONE__SERVICE", CANARY), ("TRADINGD__VENUES__BINANCE", CANARY),
    ("TRADINGD__VENUES__BINANCE__API_KEYS", CANARY), ("TRADINGD__BUS__URL", f"rediss:/u:{CANARY}@h"),
    ("TRADINGD__BUS__URL", f"redis://:{CANARY}@h:99999/0"), ("TRADINGD__BUS__URL", f"redis://h:{CANARY}/0"),
    ("TRADINGD__STORE__URL", f"postgresql://u:{CANARY}@[bad/db"),
    ("TRADINGD__STORE__URL", f"postgresql://h:{CANARY}/db"),
    ("TRADINGD__STORE__URL", f"postgres//u:{CANARY}@h/db"), ("TRADINGD__STORE", f"postgresql://u:{CANARY}@h/db"),
    ("TRADINGD__BUS", f"redis://:{CANARY}@h/0"), ("TRADINGD__METRICS__OTLP_URL", f"ftp://u:{CANARY}@h"),
])
def test_a_mistyped_secret_is_not_repeated_by_the_error(tmp_path: Path, variable: str, value: str) -> None:
    config = tmp_path / "mine.toml"
    config.write_text("")
    with pytest.raises(ConfigError) as caught:
        load_settings(config, environ={variable: value})
    assert CANARY not in str(caught.value)
    assert variable in str(caught.value) or "alerts" in str(caught.value)


def test_the_environment_is_wiped_of_secrets_only() -> None:
    environ = {
        "TRADINGD__VENUES__BINANCE__API_KEY": "x", "TRADINGD__ALERTS__PHONE__TOKEN": "x", "TRADINGD_MASTER_KEY": "x",
        "TRADINGD__API__PORT": "1", "PATH": "x", "TRADINGD__STORE__URL": "postgresql://a:x@h/d",
    }
    wipe_environment(environ)
    assert sorted(environ) == ["PATH", "TRADINGD__API__PORT"]


@pytest.mark.parametrize(("name", "wanted"), [
    (NAME, True), ("alerts.phone.token", True), ("bus.url", True), ("store.url", True),
    ("alerts.phone.to", False), ("api.port", False),
    ("venues.Binance.api_key", False), ("venues.a/b.api_key", False), ("", False),
])
def test_only_secrets_are_secrets(name: str, wanted: bool) -> None:
    assert is_secret_name(name) is wanted


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_what_the_process_was_started_with_is_overwritten_too() -> None:
    code = (
        "from pathlib import Path; from tradingd.secret_sources import wipe_environment; wipe_environment(); "
        "print(Path('/proc/self/environ').read_bytes())"
    )
    environ = {"TRADINGD__STORE__URL": f"postgresql://a:{CANARY}@h/d", "TRADINGD_MASTER_KEY": CANARY, "KEPT": "kept"}
    told = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert CANARY not in told.stdout
    assert "KEPT=kept" in told.stdout


# ---- the command line --------------------------------------------------------------------------------


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("TRADINGD_MASTER_KEY", "TRADINGD_MASTER_KEY_FILE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, stdin: str = "") -> Any:
        return CliRunner().invoke(app, ["secrets", *words, "--data-dir", str(tmp_path / "data")], input=stdin)

    return run


def test_a_secret_is_set_listed_rotated_and_removed(cli: Any, tmp_path: Path) -> None:
    file, key_file = tmp_path / "data/secrets.json", tmp_path / "config/tradingd/master.key"
    assert cli("set", NAME, stdin=f"{CANARY}\n").exit_code == 0
    assert key_file.stat().st_mode & 0o777 == 0o600
    listed = cli("list", "--json")
    assert [(row["name"], row["is_due"]) for row in json.loads(listed.stdout)] == [(NAME, False)]
    before, old_key = file.read_text(), key_file.read_text()
    assert cli("rotate").exit_code == 0
    assert file.read_text() != before
    assert key_file.read_text() != old_key
    assert open_secrets(file, {}, str(key_file)) == {NAME: CANARY}
    assert cli("remove", NAME, "--yes").exit_code == 0
    assert json.loads(cli("list", "--json").stdout) == []
    assert CANARY not in "".join(cli(*words).output for words in (("list",), ("list", "--json"), ("rotate",)))


def test_a_rotation_that_was_cut_off_loses_nothing(cli: Any, tmp_path: Path) -> None:
    file, key_file = tmp_path / "data/secrets.json", tmp_path / "config/tradingd/master.key"
    cli("set", NAME, stdin=CANARY)
    old = key_file.read_text()
    cli("rotate")
    key_file.rename(key_file.with_name("master.key.next"))
    key_file.write_text(old)
    key_file.chmod(0o600)
    assert open_secrets(file, {}, str(key_file)) == {NAME: CANARY}


@pytest.mark.parametrize(("words", "stdin", "code"), [
    (("set", "api.port"), "x", exit_codes.USAGE), (("set", NAME), "", exit_codes.USAGE),
    (("remove", NAME, "--yes"), "", exit_codes.NOT_FOUND),
])
def test_nonsense_is_refused(cli: Any, words: tuple[str, ...], stdin: str, code: int) -> None:
    assert cli(*words, stdin=stdin).exit_code == code


# ---- texts -------------------------------------------------------------------------------------------


@given(secret=st.text(min_size=6, max_size=40).filter(lambda text: text.strip("*")), around=st.text(max_size=20))
def test_a_known_secret_is_in_no_text(secret: str, around: str) -> None:
    redactor = Redactor()
    redactor.learn(secret)
    shown = redactor(f"{around} {secret} {json.dumps(secret)} {around}")
    assert secret not in shown or secret in redactor(f"{around}   {around}")


@pytest.mark.parametrize("text", [
    "https://api.telegram.org/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0/x",
    "Authorization: Bearer abcdefgh12345678", "redis://user:hunter2secret@host/0",
    "token eyJhbGciOiJIUzI1NiIs.eyJzdWIiOiJvcGVyYXRvciJ9.c2lnbmF0dXJlaGVyZQ", "GET /order?x=1&signature=abcdef&y=2",
])
def test_what_looks_like_a_secret_is_hidden(text: str) -> None:
    shown = Redactor()(text)
    assert "***" in shown
    for part in ("AAHdqTcv", "abcdefgh", "hunter2", "eyJzdWIi", "abcdef"):
        assert part not in shown


def test_ordinary_words_are_left_alone() -> None:
    text = "BTC/USDT: 0.5 at 96,660.11 (td-s1i8z6a-p12), 12:30:01, ws://127.0.0.1:9443/stream?x=1"
    assert Redactor()(text) == text


@pytest.mark.parametrize(("url", "secrets"), [
    ("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXX1XXXXXXXXXXXXX", ["XXXXXXXXXX1XXXXXXXXXXXXX"]),
    ("https://example.org/in?key=abcdefgh&v=3", ["abcdefgh"]), ("redis://:pass12345@h/0", ["pass12345"]),
    ("https://api.binance.com/api/v3", []), ("sqlite:////var/lib/abcdefgh12345678/x.sqlite", []), ("http://[bad", []),
])
def test_what_in_an_address_may_be_a_key_is_a_secret(url: str, secrets: list[str]) -> None:
    assert list(secrets_in(url)) == secrets


def test_every_secret_of_the_settings_is_learned() -> None:
    settings = Settings(
        venues={"binance": VenueSettings(api_key=SecretStr("first-secret"), api_secret=SecretStr("second-secret"))},
        alerts=AlertsSettings.model_validate({"phone": {"service": "slack", "token": "third-secret"}}),
        bus={"url": "redis://me:fourth-secret@127.0.0.1/0"},  # type: ignore[arg-type]
    )
    redactor = Redactor()
    redactor.learn_settings(settings)
    assert "secret" not in redactor("first-secret second-secret third-secret fourth-secret")
    assert "secret" not in repr(settings).replace("secrets=Secrets", "").replace("api_secret", "").replace(
        "fourth-secret", ""  # an address shows its password; nobody shows the settings
    ).replace("SecretStr", "").replace("secret_", "")


def test_logs_and_story_show_no_secret(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    redact.learn(CANARY)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logs.configure_logging(Settings().log)
        files = logs.LogFiles(Settings().log, tmp_path)
        log = logging.getLogger("test")
        try:
            raise ValueError(f"refused {CANARY}")
        except ValueError:
            log.exception("key %s", CANARY, extra={"key": CANARY})
        files.close()
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    told = capsys.readouterr().err + (tmp_path / "logs/errors.log").read_text()
    out = io.StringIO()
    JsonWriter(out)(StoryLine(0, "venue", "REJECTED", "BTC/USDT", f"key {CANARY}", "id"))
    assert "ValueError" in told
    assert CANARY not in told + out.getvalue()


def test_under_systemd_each_line_says_its_priority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        assert not logs.is_journal(stream)
        found = (tmp_path / "stream").stat()
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert logs.is_journal(stream)
    formatter = logs.RedactingFormatter(logging.Formatter("%(message)s"), is_journal=True)
    record = logging.LogRecord("x", logging.WARNING, "", 0, "one\ntwo", None, None)
    assert formatter.format(record) == "<4>one\n<4>two"
