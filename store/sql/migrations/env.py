"""Alembic's entry: runs the migrations on the connection that `store.sql.database` hands over."""

from typing import TYPE_CHECKING

from alembic import context

from store.sql.database import VERSION_TABLE
from store.sql.tables import METADATA

if TYPE_CHECKING:
    from sqlalchemy import Connection

connection: "Connection" = context.config.attributes["connection"]


def is_ours(_object: object, name: str | None, kind: str, is_reflected: bool, _other: object) -> bool:
    """Tables of others in the same database are none of our business."""
    return not (kind == "table" and is_reflected and name not in METADATA.tables)


context.configure(
    connection=connection, target_metadata=METADATA, version_table=VERSION_TABLE, render_as_batch=True,
    include_object=is_ours,
)
with context.begin_transaction():
    context.run_migrations()
