"""`tradelab report`: a session as a page, and its trades and figures for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from research import cli_session
from research.cli_session import CliError, DataDirOption
from research.sessions_cli import session_store


def report(
    name: Annotated[str, typer.Argument(help="The session: tradelab sessions list.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The page; default NAME.html here.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also the trades, one a line.")] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also all of it, equity included.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write one self-contained HTML page of a session."""
    from research.backtest.report import page, trades_csv
    from research.backtest.session import SessionError, with_equity

    store = session_store(data_dir)
    try:
        document, curve = store.read_completed(name), store.curve(name)
    except SessionError as error:
        raise CliError(cli_session.NOT_FOUND, str(error)) from error
    target = out if out is not None else Path(f"{name}.html")
    _write(target, page(name, document, curve))
    typer.echo(f"{target}: {target.stat().st_size // 1024:,} KiB, opens in any browser, without a network")
    if csv is not None:
        _write(csv, trades_csv(document["trades"]))
    if json_ is not None:
        kept = {key: value for key, value in document.items() if key != "status"}
        _write(json_, "".join(with_equity(kept, curve.ts, curve.equity.tolist())))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(cli_session.USAGE, f"{path}: {error.strerror}. Name a file that can be written.") from error
