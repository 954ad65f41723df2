"""`tradingd backup` and `tradingd restore`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tradingd import exit_codes
from tradingd.cli_session import CliError, ConfigOption, DataDirOption, YesOption, confirm, note, settings_of


def backup(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Default: tradingd-TIME.tar.gz in this folder.")
    ] = None,
    tape: Annotated[bool, typer.Option("--tape", help="Recorded frames, downloaded candles and logs, too.")] = False,
    config: ConfigOption = None, data_dir: DataDirOption = None,
) -> None:
    """Save the data directory in one file, while the daemon runs or not, and verify it. It holds credentials."""
    from tradingd.backup import BackupError, back_up, links_in

    settings = settings_of(config, data_dir)
    target = file or Path(f"tradingd-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz")
    try:
        manifest = back_up(settings.data_dir, target, with_tape=tape)
    except BackupError as error:
        raise CliError(exit_codes.FAILURE, str(error)) from error
    typer.echo(f"{target}: {len(manifest.files)} files, {manifest.records} records, read back and whole")
    if links := links_in(settings.data_dir, with_tape=tape):
        note(f"not in it, because symbolic links are not followed: {', '.join(links)}. Save what they lead to, too.")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `tradingd backup` wrote.")],
    yes: YesOption = False, config: ConfigOption = None, data_dir: DataDirOption = None,
) -> None:
    """Put a backup back. What is in the data directory is set aside, not deleted; the daemon must not run."""
    from tradingd.backup import BackupError
    from tradingd.backup import restore as put_back

    settings = settings_of(config, data_dir)
    confirm(f"Put {file} into {settings.data_dir}, setting aside what is there?", yes=yes)
    try:
        done = put_back(file, settings.data_dir)
    except BackupError as error:
        raise CliError(exit_codes.FAILURE, str(error)) from error
    typer.echo(f"{settings.data_dir}: {len(done.manifest.files)} files, {done.manifest.records} records restored")
    if done.set_aside is not None:
        typer.echo(f"what was there before: {done.set_aside}")
    if any(settings.data_dir.glob("*-live.journal")):
        typer.echo("the kill switch is engaged on the live account: compare it with the venue, then `tradingd unlock`")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (backup, restore):
        app.command(rich_help_panel="Keep")(command)
