"""The Sharpe ratio of each day's round trips, and the sums it goes on from."""

import math
from collections import defaultdict
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None

COLUMNS = ("sharpe", "return_mean", "return_squares")
DAYS = sa.table("daily_statistics", *(sa.column(name) for name in ("account", "day", *COLUMNS)))
TRIPS = sa.table("round_trips", *(sa.column(name) for name in ("account", "record", "closed_ns", "return_ratio")))


def upgrade() -> None:
    """Forward: of days that are stored already it follows from their round trips."""
    for name in COLUMNS:
        op.add_column("daily_statistics", sa.Column(name, sa.Float(), nullable=True))
    connection = op.get_bind()
    connection.execute(sa.update(DAYS).values(return_mean=0.0, return_squares=0.0))
    returns: dict[tuple[str, str], list[float]] = defaultdict(list)
    for account, closed_ns, ratio in connection.execute(
        sa.select(TRIPS.c.account, TRIPS.c.closed_ns, TRIPS.c.return_ratio).order_by(TRIPS.c.record)
    ):
        day = datetime.fromtimestamp(closed_ns // 1_000_000_000, UTC).date().isoformat()
        returns[account, day].append(ratio or 0.0)
    for (account, day), ratios in returns.items():
        mean = squares = 0.0
        for count, ratio in enumerate(ratios, 1):  # as `DayRow.add_return` does, to the last bit
            delta = ratio - mean
            mean += delta / count
            squares += delta * (ratio - mean)
        deviation = math.sqrt(squares / (len(ratios) - 1)) if len(ratios) > 1 else 0.0
        connection.execute(
            sa.update(DAYS).where(DAYS.c.account == account, DAYS.c.day == day).values(
                sharpe=mean / deviation if deviation > 0 else None, return_mean=mean, return_squares=squares,
            )
        )


def downgrade() -> None:
    """Back."""
    for name in reversed(COLUMNS):
        op.drop_column("daily_statistics", name)
