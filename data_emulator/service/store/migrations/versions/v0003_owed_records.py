"""How many records an emulation has accepted is kept, so that it makes up for what an interruption loses of them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Migrate from the version before: what was accepted so far is what was reported last."""
    op.add_column("emulations", sa.Column("owed_records", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE emulations SET owed_records = records")
