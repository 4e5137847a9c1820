"""What an endpoint is given besides its Model, and the newest state in one row.

No table is made anew: SQLite would cascade the removal of the old one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTS = {
    "endpoints": ["learned"],
    "parts": ["rows"],
    "schema_findings": ["count", "requests"],
    "segments": ["offset"],
    "windows": ["rows"],
}


def upgrade() -> None:
    """Add them; the head is read off the events that there are."""
    op.add_column("endpoints", sa.Column("options", sa.JSON(), nullable=False, server_default="{}"))
    op.create_table(
        "head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("changes", COUNT, nullable=False),
        sa.Column("events", COUNT, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute(
        "INSERT INTO head (id, changes, events, hash) SELECT 1, 0, count(*), "
        "coalesce((SELECT hash FROM events ORDER BY id DESC LIMIT 1), '') FROM events"
    )

    _widen(sa.BigInteger())


def downgrade() -> None:
    """Drop them."""
    _widen(sa.Integer())
    op.drop_table("head")
    op.drop_column("endpoints", "options")


def _widen(width: sa.types.TypeEngine[int]) -> None:
    """Change the width of what counts; SQLite's integers have none."""
    if op.get_bind().dialect.name != "sqlite":
        for table, columns in COUNTS.items():
            for column in columns:
                op.alter_column(table, column, type_=width)
