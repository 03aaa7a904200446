"""Ended emulations of which more may lie in their sink than their manifests list are remembered, and tidied up."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Migrate from the version before."""
    op.create_table(
        "untidy",
        sa.Column("emulation_id", sa.String(36), sa.ForeignKey("emulations.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("due_at", sa.Double, nullable=False, index=True),
        sa.Column("looks", sa.Integer, nullable=False),
    )
