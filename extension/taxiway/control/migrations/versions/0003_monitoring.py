"""What monitoring finds beside drift, and what becomes of an alert: rules, silences, sinks, deliveries."""

import sqlalchemy as sa
from alembic import op

from taxiway.control.tables import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = UtcDateTime()


def upgrade() -> None:
    """Add them; what was there keeps its meaning."""
    op.add_column("windows", sa.Column("quality", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("windows", sa.Column("multivariate", sa.JSON(), nullable=True))
    op.add_column("windows", sa.Column("estimated", sa.JSON(), nullable=True))
    op.add_column("alerts", sa.Column("since", TIME, nullable=True))
    op.create_table(
        "slices",
        sa.Column("endpoint", sa.String(100), nullable=False),
        sa.Column("start", TIME, nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("column", sa.String(500), nullable=False),
        sa.Column("value", sa.String(500), nullable=False),
        sa.Column("rows", COUNT, nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "start", "model", "role", "column", "value"),
    )
    op.create_table(
        "concepts",
        sa.Column("endpoint", sa.String(100), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "model"),
    )
    op.create_table(
        "rules",
        sa.Column("endpoint", sa.String(100), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "name"),
    )
    op.create_table(
        "silences",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("matcher", sa.JSON(), nullable=False),
        sa.Column("starts", TIME, nullable=False),
        sa.Column("ends", TIME, nullable=True),
        sa.Column("schedule", sa.JSON(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "sinks",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("delivered", TIME, nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("sink", sa.String(60), nullable=False),
        sa.Column("alert", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due", TIME, nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("ended", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_deliveries_due", "deliveries", ["state", "due"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_deliveries_due", "deliveries")
    for table in ("deliveries", "sinks", "silences", "rules", "concepts", "slices"):
        op.drop_table(table)
    op.drop_column("alerts", "since")
    for column in ("estimated", "multivariate", "quality"):
        op.drop_column("windows", column)
