"""One account's projection in the database: how far it has come, and rows written together with that, or not at all."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, delete, func, insert, inspect, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from store.sql.rows import Row
from store.sql.tables import PROJECTED, PROJECTIONS

_KEYS_AT_ONCE: Final = 500
_ROWS_AT_ONCE: Final = 500


class PlaceMovedError(RuntimeError):
    """Somebody else went on with this projection meanwhile (a rebuild): look where it stands and go on from there."""


@dataclass(frozen=True, slots=True)
class Place:
    """How much of which journal is in the tables.

    `record` is the last one, in the batch that begins at byte `position`; `first_check` and `last_check` are CRC-32 of
    the first and the last record: they tell whether a journal is the one that was projected.
    """

    journal: str
    record: int = 0
    position: int = 0
    first_check: int = 0
    last_check: int = 0


class Loader:
    """Rows as the tables have them, inside the transaction that will change them."""

    def __init__(self, connection: Connection, account: str) -> None:
        self._connection = connection
        self._account = account

    def load(self, kind: type[Row], keys: Iterable[str] | None) -> Iterator[Any]:
        """Rows of a kind whose key is one column, by their keys; None = all of the account's."""
        table = kind.TABLE
        statement = select(table).where(table.c.account == self._account)
        if keys is None:
            yield from self._rows(kind, statement)
            return
        column = table.c[kind.KEY[0]]
        for some in _chunks(sorted(keys), _KEYS_AT_ONCE):
            yield from self._rows(kind, statement.where(column.in_(some)))

    def _rows(self, kind: type[Row], statement: Any) -> Iterator[Any]:
        for found in self._connection.execute(statement).mappings():
            yield kind(**{name: value for name, value in found.items() if name != "account"})


class ProjectionStore:
    """Raises SQLAlchemy's errors when the database is away or refuses; what was not committed is as if never begun."""

    def __init__(self, engine: Engine, account: str) -> None:
        self._engine = engine
        self._account = account

    def place(self) -> Place | None:
        """Where the projection stands; None before it was begun."""
        table = PROJECTIONS
        statement = select(
            table.c.journal, table.c.record, table.c.position, table.c.first_check, table.c.last_check,
        ).where(table.c.account == self._account)
        with self._engine.connect() as connection:
            if not inspect(connection).has_table(table.name):
                return None
            found = connection.execute(statement).one_or_none()
        return None if found is None else Place(*found)

    def begin(self, journal: str) -> Place:
        """Forget everything of this account and stand before the first record."""
        place = Place(journal)
        with self._engine.begin() as connection:
            connection.execute(delete(PROJECTIONS).where(PROJECTIONS.c.account == self._account))
            for table in PROJECTED:
                connection.execute(delete(table).where(table.c.account == self._account))
            try:
                connection.execute(insert(PROJECTIONS).values(account=self._account, **_columns(place)))
            except IntegrityError as error:
                raise PlaceMovedError("the projection was begun by somebody else meanwhile") from error
        return place

    def write(self, before: Place, after: Place, fold: Callable[[Loader], Iterable[Row]]) -> None:
        """The rows that `fold` gives and the new place, in one transaction; raises `PlaceMovedError`."""
        with self._engine.begin() as connection:
            # First of all: it locks the place on PostgreSQL and takes SQLite's one right to write.
            moved = connection.execute(
                update(PROJECTIONS)
                .where(PROJECTIONS.c.account == self._account, *_where(before))
                .values(**_columns(after))
            )
            if moved.rowcount != 1:
                raise PlaceMovedError(f"the projection of {self._account} is no longer at record {before.record}")
            by_kind: dict[type[Row], list[dict[str, Any]]] = {}
            for row in fold(Loader(connection, self._account)):
                by_kind.setdefault(type(row), []).append(row.values(self._account))
            for kind, rows in by_kind.items():
                statement = _upsert(connection.dialect.name, kind.TABLE)
                for some in _chunks(rows, _ROWS_AT_ONCE):
                    connection.execute(statement, some)

    def counts(self) -> dict[str, int]:
        """Rows of this account by table."""
        with self._engine.connect() as connection:
            return {
                table.name: connection.execute(
                    select(func.count()).select_from(table).where(table.c.account == self._account)
                ).scalar_one()
                for table in PROJECTED
            }

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every projected row by table, in order of its key: to compare one projection with another."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        with self._engine.connect() as connection:
            for table in PROJECTED:
                statement = select(table).where(table.c.account == self._account).order_by(*table.primary_key.columns)
                found[table.name] = [tuple(row) for row in connection.execute(statement)]
        return found


def _columns(place: Place) -> dict[str, Any]:
    names = ("journal", "record", "position", "first_check", "last_check")
    return dict(zip(names, astuple(place), strict=True))


def _where(place: Place) -> list[Any]:
    return [PROJECTIONS.c[name] == value for name, value in _columns(place).items()]


def _upsert(dialect: str, table: Table) -> Any:
    statement = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    keys = [column.name for column in table.primary_key.columns]
    changed = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def _chunks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for begin in range(0, len(items), size):
        yield list(items[begin : begin + size])
