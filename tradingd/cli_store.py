"""`tradingd store status|rebuild`: the SQL store, a projection of the journal."""

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import typer

from tradingd import exit_codes
from tradingd.cli_session import CliError, ConfigOption, DataDirOption, JsonOption, settings_of

if TYPE_CHECKING:
    from tradingd.projection import Projection

store_app = typer.Typer(
    help="The SQL store: where it stands, and built anew.", no_args_is_help=True, rich_markup_mode=None,
)


def _projection(config: Any, data_dir: Any) -> "Projection":
    """The projection of the data directory's last account; raises `CliError`."""
    from store.private_file import open_private
    from store.sql.database import StoreUrlError
    from tradingd.cli_journal import journal_of
    from tradingd.projection import Projection
    from tradingd.projection_account import AUTO, FILE, account_of, store_url

    settings = settings_of(config, data_dir)
    url = store_url(settings.store.url, settings.data_dir)
    if not url:
        raise CliError(exit_codes.CONFIGURATION, f"{settings.source}: store.url is off: there is no SQL store.")
    path = journal_of(settings, None)
    os.umask(0o077)  # a new file is nobody else's
    if settings.store.url == AUTO and not os.path.lexists(settings.data_dir / FILE):
        with suppress(OSError):  # whoever opens it as a database says what is wrong
            os.close(open_private(str(settings.data_dir / FILE), os.O_WRONLY | os.O_CREAT))
    try:
        return Projection(
            path, url, account_of(path), settings.account.quote, is_own=settings.store.url == AUTO,
        )
    except StoreUrlError as error:
        raise CliError(exit_codes.CONFIGURATION, f"store.url: {error}.") from error


def _away(projection: "Projection", error: Exception) -> CliError:
    told = projection.explain(error)
    remedy = "" if "Move" in told else " Look whether it runs and lets us in, or name another one (store.url)"
    return CliError(exit_codes.NOT_REACHABLE, f"the store's database {told}.{remedy}{'.' if remedy else ''}")


@store_app.command("rebuild")
def rebuild(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Empty this account's tables and fill them from the journal. The daemon may run meanwhile."""
    from sqlalchemy.exc import SQLAlchemyError

    from store.sql.database import StoreVersionError

    projection = _projection(config, data_dir)
    try:
        projection.rebuild()
    except SQLAlchemyError as error:
        raise _away(projection, error) from error
    except StoreVersionError as error:
        raise CliError(exit_codes.FAILURE, str(error)) from error
    finally:
        projection.close()
    typer.echo(f"the store holds the journal up to record {projection.record}")


@store_app.command("status")
def status(config: ConfigOption = None, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """How much of the journal the store holds, and how many rows of each table."""
    from sqlalchemy.exc import SQLAlchemyError

    from store.journal import Journal

    projection = _projection(config, data_dir)
    try:
        place = projection.store.place()
        counts = projection.store.counts() if place is not None else {}
    except SQLAlchemyError as error:
        raise _away(projection, error) from error
    finally:
        projection.close()
    journal = Journal.open(projection.journal, read_only=True)
    try:
        records = len(journal)
    finally:
        journal.close()
    stored = place.record if place is not None else 0
    if json:
        from tradingd.cli_tables import print_json

        print_json({"journal": str(projection.journal), "records": records, "stored": stored, "rows": counts})
        return
    typer.echo(f"{stored} of {records} records are in the store")
    for table, count in counts.items():
        typer.echo(f"{table:<20} {count:>10}")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(store_app, name="store", rich_help_panel="Keep")
