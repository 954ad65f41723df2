"""Backup, installation, containers and the cloud script: run, read back, or asked what they would do."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bus.ids import SessionId
from bus.messages import system
from bus.messages.header import MessageMaker
from tests.test_docs import is_key
from tradingd.message_journal import MessageJournal

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PROGRAM = Path(sys.executable).with_name("tradingd")
AWS = ("--region", "eu-central-1", "--key-pair", "mine", "--source", "https://git.example/tradingd.git")


def run(script: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(DEPLOY / script), *arguments], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "TRADINGD": str(PROGRAM), **(env or {})},
    )


# ---- backup -------------------------------------------------------------------------------------------


def data_with_journal(path: Path) -> MessageJournal:
    path.mkdir()
    (path / "credentials.json").write_text("{}")
    (path / "tape").mkdir()
    (path / "tape" / "big.tsv").write_text("x")
    (path / "secrets.enc").write_text("canary")
    journal = MessageJournal.open(path / "journal-practice-paper.journal")
    maker = MessageMaker("daemon", SessionId("s1"))
    journal.append([maker.make(system.AgentStarted("ceo", number), number + 1) for number in range(50)], sync=True)
    return journal


def test_a_backup_of_an_open_journal_of_several_files_is_restored_whole(tmp_path: Path) -> None:
    journal = data_with_journal(tmp_path / "data")
    assert journal.rotate()
    maker = MessageMaker("daemon", SessionId("s2"))
    journal.append([maker.make(system.AgentStarted("ceo", number), number + 1) for number in range(50, 60)], sync=True)
    done = run("backup.sh", str(tmp_path / "data"), str(tmp_path / "out"))
    journal.close()
    assert done.returncode == 0, done.stderr
    archive = Path(done.stdout.strip())
    assert archive.stat().st_mode & 0o077 == 0
    put_back = subprocess.run(
        [str(PROGRAM), "restore", str(archive), "--data-dir", str(tmp_path / "back"), "--yes"], check=False,
        capture_output=True, text=True, timeout=60,
    )
    assert put_back.returncode == 0, put_back.stderr
    restored = MessageJournal.open(tmp_path / "back" / "journal-practice-paper.journal")
    assert [message.body.restarts for message in restored.read()] == list(range(60))
    restored.close()
    assert not (tmp_path / "back" / "tape").exists()


def test_a_damaged_journal_ends_the_backup_and_no_older_one_is_thrown_away(tmp_path: Path) -> None:
    data_with_journal(tmp_path / "data").close()
    journal = tmp_path / "data" / "journal-practice-paper.journal"
    content = bytearray(journal.read_bytes())
    content[300] ^= 1
    journal.write_bytes(content)
    out = tmp_path / "out"
    out.mkdir()
    (out / "tradingd-20200101T000000Z.tar.gz").touch()
    done = run("backup.sh", str(tmp_path / "data"), str(out), env={"KEEP": "1"})
    assert done.returncode != 0
    assert "damaged" in done.stderr
    assert [path.name for path in out.iterdir()] == ["tradingd-20200101T000000Z.tar.gz"]


def test_only_the_newest_backups_are_kept(tmp_path: Path) -> None:
    data_with_journal(tmp_path / "data").close()
    out = tmp_path / "out"
    out.mkdir()
    for day in range(1, 6):
        (out / f"tradingd-2020010{day}T000000Z.tar.gz").touch()
    (out / "mine.txt").touch()
    assert run("backup.sh", str(tmp_path / "data"), str(out), env={"KEEP": "2"}).returncode == 0
    kept = sorted(path.name for path in out.iterdir())
    assert len(kept) == 3
    assert kept[:2] == ["mine.txt", "tradingd-20200105T000000Z.tar.gz"]


def test_what_a_killed_backup_left_goes_after_a_day(tmp_path: Path) -> None:
    data_with_journal(tmp_path / "data").close()
    out = tmp_path / "out"
    out.mkdir()
    old, young = out / "tradingd-20200101T000000Z.tar.gz.part", out / "tradingd-20200102T000000Z.tar.gz.part"
    for path in (old, young):
        path.touch()
    os.utime(old, (1.0, 1.0))
    assert run("backup.sh", str(tmp_path / "data"), str(out)).returncode == 0
    assert (old.exists(), young.exists()) == (False, True)


def test_backups_of_a_clock_that_was_ahead_do_not_push_out_the_new_ones(tmp_path: Path) -> None:
    data_with_journal(tmp_path / "data").close()
    out = tmp_path / "out"
    out.mkdir()
    for name in ("20200101", "20200102", "20990101", "20990102"):
        (out / f"tradingd-{name}T000000Z.tar.gz").touch()
    done = run("backup.sh", str(tmp_path / "data"), str(out), env={"KEEP": "2"})
    assert done.returncode == 0, done.stderr
    made = Path(done.stdout.strip())
    assert made.exists()
    assert sorted(path.name for path in out.iterdir()) == [
        "tradingd-20200102T000000Z.tar.gz", made.name, "tradingd-20990101T000000Z.tar.gz",
        "tradingd-20990102T000000Z.tar.gz",
    ]


@pytest.mark.parametrize("keep", ["0", "-1", "all"])
def test_a_backup_that_would_keep_nothing_is_refused(tmp_path: Path, keep: str) -> None:
    data_with_journal(tmp_path / "data").close()
    done = run("backup.sh", str(tmp_path / "data"), str(tmp_path / "out"), env={"KEEP": keep})
    assert (done.returncode, list(tmp_path.glob("out/*.gz"))) == (1, [])


def test_an_empty_data_directory_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert run("backup.sh", str(tmp_path / "data"), str(tmp_path / "out")).returncode == 1
    assert not list(tmp_path.glob("out/*"))


# ---- installation -------------------------------------------------------------------------------------


def test_a_dry_run_of_the_installer_names_each_step_and_does_none() -> None:
    before = {path: path.exists() for path in (Path("/opt/tradingd"), Path("/etc/tradingd"))}
    done = run("install.sh", "--dry-run")
    assert done.returncode == 0, done.stderr
    steps = [line for line in done.stdout.splitlines() if line.startswith("+ ")]
    assert any("--require-hashes" in step for step in steps)
    assert steps.index(next(s for s in steps if "mv -T" in s)) < steps.index("+ systemctl restart tradingd.service")
    assert before == {path: path.exists() for path in before}


def test_a_python_in_a_home_directory_is_refused_for_the_service_could_not_start_it(tmp_path: Path) -> None:
    at_home = tmp_path / "python3"
    at_home.write_text('#!/bin/sh\ncase $2 in *base_prefix*) echo /home/ann/.pyenv/versions/3.12 ;; esac\n')
    at_home.chmod(0o755)
    done = run("install.sh", "--no-start", env={"PYTHON": str(at_home)})
    assert done.returncode == 1
    assert "set PYTHON=/usr/bin/python3" in done.stderr
    assert run("install.sh", "--dry-run", env={"PYTHON": str(at_home)}).returncode == 0


def test_an_unknown_option_of_the_installer_is_refused() -> None:
    assert run("install.sh", "--force").returncode == 2


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_pm2_finds_one_program_and_leaves_it_its_time_to_end() -> None:
    code = f"console.log(JSON.stringify(require({json.dumps(str(DEPLOY / 'ecosystem.config.cjs'))})))"
    done = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True)
    (app,) = json.loads(done.stdout)["apps"]
    assert (app["instances"], app["exec_mode"], app["treekill"]) == (1, "fork", False)
    assert app["kill_timeout"] > 20_000
    assert Path(app["script"]).parts[-3:] == (".venv", "bin", "tradingd")


# ---- containers ---------------------------------------------------------------------------------------


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def test_every_service_has_a_health_check_and_publishes_to_this_machine_alone() -> None:
    services = compose()["services"]
    assert set(services) == {"tradingd", "postgres", "redis", "pgadmin"}
    for name, service in services.items():
        assert service["healthcheck"]["test"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
    assert services["pgadmin"]["profiles"] == ["admin"]
    waits = services["tradingd"]["depends_on"]
    assert {name: how["condition"] for name, how in waits.items()} == {
        "postgres": "service_healthy", "redis": "service_healthy"
    }


def test_the_composed_settings_exist_and_no_password_has_a_default() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    for variable in re.findall(r"\bTRADINGD__([A-Z_]+[A-Z])\b", text):
        assert is_key(variable.lower().replace("__", ".")), variable
    assert set(re.findall(r"\$\{POSTGRES_PASSWORD(.)", text)) == {":"}
    assert re.search(r"^POSTGRES_PASSWORD=$", (DEPLOY / "compose.env.example").read_text(), re.MULTILINE)


def test_the_image_is_not_root_and_hides_no_failure_of_its_build() -> None:
    text = (ROOT / "Dockerfile").read_text()
    last = text.rpartition("\nFROM ")[2]
    users = re.findall(r"^USER (\S+)", last, re.MULTILINE)
    assert users
    assert all(user.split(":")[0] not in ("root", "0") for user in users)
    assert last.index("\nUSER ") < last.index("\nENTRYPOINT")
    assert "|| true" not in text
    assert "--require-hashes" in text


# ---- the cloud script ---------------------------------------------------------------------------------


@pytest.fixture
def fake_aws(tmp_path: Path) -> dict[str, str]:
    """An `aws` that writes down what it is asked, and answers like one."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "aws"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {tmp_path}/asked\necho id-1\n'
                       f'case "$*" in *--user-data*) for a in "$@"; do case $a in file://*user-data.sh) '
                       f'cp "${{a#file://}}" {tmp_path}/user-data;; esac; done;; esac\n')
    program.chmod(0o755)
    return {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}


def test_the_machine_is_encrypted_closed_and_of_the_type_that_was_asked_for(
    fake_aws: dict[str, str], tmp_path: Path
) -> None:
    done = run("aws.sh", *AWS, "--instance-type", "t3.large", "--ssh-from", "203.0.113.7/32", env=fake_aws)
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    made = next(line for line in asked if "run-instances" in line)
    for wanted in ("--instance-type t3.large", "--key-name mine", "Encrypted=true", "HttpTokens=required"):
        assert wanted in made
    opened = [line for line in asked if "authorize-security-group-ingress" in line]
    assert len(opened) == 1
    assert "--port 22 --cidr 203.0.113.7/32" in opened[0]
    assert all(line.startswith("--region eu-central-1 ") for line in asked)
    check = subprocess.run(["sh", "-n", str(tmp_path / "user-data")], capture_output=True, text=True, check=False)
    assert (check.returncode, check.stderr) == (0, "")
    assert "deploy/install.sh" in (tmp_path / "user-data").read_text()


def test_the_bucket_is_private_and_the_database_reachable_by_the_machine_alone(
    fake_aws: dict[str, str], tmp_path: Path
) -> None:
    assert run("aws.sh", *AWS, "--s3-bucket", "copies", "--rds", env=fake_aws).returncode == 0
    asked = (tmp_path / "asked").read_text()
    assert "RestrictPublicBuckets=true" in asked
    database = next(line for line in asked.splitlines() if "create-db-instance" in line)
    assert "--no-publicly-accessible" in database
    assert "--manage-master-user-password" in database
    assert "--cidr" not in asked
    assert "s3://copies/tradingd/" in (tmp_path / "user-data").read_text()


def test_the_command_after_a_backup_copies_the_newest_one_to_the_bucket(
    fake_aws: dict[str, str], tmp_path: Path
) -> None:
    assert run("aws.sh", *AWS, "--s3-bucket", "copies", env=fake_aws).returncode == 0
    lines = (tmp_path / "user-data").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if "s3.conf" in line)
    written = lines[first : lines.index("UNIT", first) + 1]
    written[0] = f"cat <<{written[0].partition('<<')[2]}"
    unit = subprocess.run(["sh", "-eu", "-c", "\n".join(written)], capture_output=True, text=True, check=True).stdout
    (command,) = re.findall(r"^ExecStartPost=/bin/sh -c '(.*)'$", unit, re.MULTILINE)
    for name in ("tradingd-20260101.tar.gz", "tradingd-20260102.tar.gz"):
        (tmp_path / name).touch()
    command = command.replace("$$", "$").replace("/var/lib/tradingd-backup", str(tmp_path))  # as systemd reads it
    subprocess.run(["sh", "-c", command], env={**os.environ, **fake_aws}, check=True)
    newest = "tradingd-20260102.tar.gz"
    assert (tmp_path / "asked").read_text().splitlines()[-1] == (
        f"s3 cp --only-show-errors {newest} s3://copies/tradingd/{newest}"
    )


def test_a_dry_run_of_the_cloud_script_asks_nothing(fake_aws: dict[str, str], tmp_path: Path) -> None:
    done = run("aws.sh", *AWS, "--rds", "--s3-bucket", "copies", "--dry-run", env=fake_aws)
    assert done.returncode == 0, done.stderr
    assert "run-instances" in done.stderr
    assert "t3.2xlarge" in done.stderr
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("arguments", [
    (), ("--region", "x"), ("--region", "x", "--key-pair", "k"), (*AWS, "--ssh-from", "0.0.0.0/0"),
    (*AWS, "--disk", "big"), (*AWS, "--name", "a b"), (*AWS, "--source", "x'; reboot; '"), (*AWS, "--what"),
    (*AWS, "--s3-bucket", "A;b"), ("--region",),
])
def test_what_is_missing_or_unsafe_is_refused_before_anything_is_made(
    fake_aws: dict[str, str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = run("aws.sh", *arguments, env=fake_aws)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("aws.sh: ")
    assert not (tmp_path / "asked").exists()
