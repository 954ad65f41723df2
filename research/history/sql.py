"""SQL over the whole history, for a person's own questions."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class QueryError(ValueError):
    """The question cannot be answered: DuckDB's own words, or nothing is there yet."""


def run_query(root: Path, sql: str) -> tuple[list[str], Sequence[tuple[Any, ...]]]:
    """Column names and rows. The view `candles` has venue, symbol, interval, ts (UTC), open ... volume, trades."""
    import duckdb

    plain = re.sub(r"([*?\[])", r"[\1]", str(root))  # only what follows is a pattern
    pattern = f"{plain}/venue=*/symbol=*/interval=*/*.parquet"
    if not any(root.glob("venue=*/symbol=*/interval=*/*.parquet")):
        raise QueryError(f"no candles in {root} yet: `tradelab data import` or `backfill` brings some.")
    with duckdb.connect() as connection:
        try:
            connection.execute("SET TimeZone = 'UTC'")
            quoted = pattern.replace("'", "''")
            connection.execute(
                # Times without a zone (they are UTC): those with one need a library of their own in Python.
                "CREATE VIEW candles AS SELECT * REPLACE (ts AT TIME ZONE 'UTC' AS ts) "  # noqa: S608
                f"FROM read_parquet('{quoted}', hive_partitioning = true, "
                "union_by_name = true)"
            )
            result = connection.execute(sql)
            return [column[0] for column in result.description or ()], result.fetchall()
        except duckdb.Error as error:
            raise QueryError(f"{error}") from error
