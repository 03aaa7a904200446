"""The version of what makes an emulation's records is kept with it; of those from before, nobody knows it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Migrate from the version before."""
    op.add_column("emulations", sa.Column("generator", sa.String(255)))
