"""The tables of the database. Whoever changes one writes a migration: see `migrations`."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

emulations = sa.Table(
    "emulations",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True, comment="in order of arrival"),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("idempotency_key", sa.String(255), unique=True),
    sa.Column("body_digest", sa.String(64), nullable=False, comment="of the request as it was sent"),
    sa.Column("request", sa.JSON, nullable=False, comment="as it is carried out: defaults filled in"),
    sa.Column("domain", sa.String(255), nullable=False),
    sa.Column("world_seed", sa.BigInteger, nullable=False),
    sa.Column("world_users", sa.BigInteger, nullable=False),
    sa.Column("fraud_share", sa.Double, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("generator", sa.String(255), comment="the version of what makes its records: domains.generator_version"),
    sa.Column("schema_id", sa.BigInteger, comment="what the schema registry calls the schema of the records"),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("error", sa.Text, comment="while it is being cancelled, the one that it will end with"),
    sa.Column("created_at", sa.Double, nullable=False, comment="Unix seconds, as all times here"),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("elapsed_s", sa.Double, nullable=False, default=0.0, comment="how long it has been emulating"),
    sa.Column("records", sa.BigInteger, nullable=False, default=0),
    sa.Column("bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column(
        "owed_records",
        sa.BigInteger,
        nullable=False,
        default=0,
        server_default="0",
        comment="the most that its sink has ever accepted: what is lost of them is made again",
    ),
    sa.Index("ix_emulations_ended_at", "ended_at"),
    sa.Index("ix_emulations_state_number", "state", "number"),
    sa.Index("ix_emulations_domain_number", "domain", "number"),
    sa.Index("ix_emulations_domain_state_number", "domain", "state", "number"),
)
objects = sa.Table(
    "objects",
    metadata,
    sa.Column("emulation_id", sa.String(36), sa.ForeignKey("emulations.id"), primary_key=True),
    sa.Column("key", sa.String(1024), primary_key=True),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("checksum", sa.String(80), nullable=False),
)
partitions = sa.Table(
    "partitions",
    metadata,
    sa.Column("emulation_id", sa.String(36), sa.ForeignKey("emulations.id"), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("first_offset", sa.BigInteger, nullable=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)
writers = sa.Table(
    "writers",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True, comment="of a worker process that may have left a commit open"),
    sa.Column("sink", sa.String(32), nullable=False, comment="as in a request's emulator_sync"),
    sa.Column("token", sa.Text, comment="of what it was about to commit; only the sink understands it"),
    sa.Column("partitions", sa.JSON, comment="by emulation, the rows of the table partitions once it is committed"),
)
untidy = sa.Table(
    "untidy",
    metadata,
    sa.Column("emulation_id", sa.String(36), sa.ForeignKey("emulations.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("due_at", sa.Double, nullable=False, index=True, comment="when to look for what it has left behind"),
    sa.Column("looks", sa.Integer, nullable=False, comment="how often everything was deleted that was found"),
)
"""Ended emulations of which more may lie in the store than the manifest lists."""
history = sa.Table(
    "history",
    metadata,
    sa.Column("state", sa.String(16), primary_key=True),
    sa.Column("domain", sa.String(255), primary_key=True),
    sa.Column("emulations", sa.BigInteger, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)
"""How many emulations have ended, and sums of their records and bytes. Triggers keep it: see `v0006_history`."""
