"""Ended emulations are found by when they ended, to be forgotten after a while."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Migrate from the version before."""
    op.create_index("ix_emulations_ended_at", "emulations", ["ended_at"])
