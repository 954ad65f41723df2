"""Alphas that gave no opinion on a decision."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Forward."""
    op.add_column("agent_decisions", sa.Column("skipped", DOCUMENT, nullable=True))


def downgrade() -> None:
    """Back."""
    op.drop_column("agent_decisions", "skipped")
