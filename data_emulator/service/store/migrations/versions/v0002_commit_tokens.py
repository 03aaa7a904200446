"""Commits are known by a token that only their sink understands; until now by a place in a topic."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Migrate from the version before."""
    writers = op.create_table(
        "writers",
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("sink", sa.String(32), nullable=False),
        sa.Column("token", sa.Text),
        sa.Column("partitions", sa.JSON),
    )
    transactions = sa.table(
        "transactions",
        *map(sa.column, ("transactional_id", "topic", "partition", "offset")),
        sa.column("partitions", sa.JSON),
    )
    rows = [
        {
            "id": row.transactional_id,
            "sink": "kafka",
            "token": None if row.partitions is None else json.dumps([row.topic, row.partition, row.offset]),
            "partitions": sa.null() if row.partitions is None else row.partitions,
        }
        for row in op.get_bind().execute(transactions.select())
    ]
    for row in rows:
        op.get_bind().execute(writers.insert().values(**row))
    op.drop_table("transactions")
