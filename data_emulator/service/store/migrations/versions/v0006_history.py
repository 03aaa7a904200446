"""Ended emulations are counted as they end, and listed by indexes: a long history makes nothing slower."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_COUNT = """
    INSERT INTO history (state, domain, emulations, records, bytes)
    VALUES (NEW.state, NEW.domain, 1, NEW.records, NEW.bytes)
    ON CONFLICT (state, domain) DO UPDATE SET
        emulations = emulations + 1, records = records + NEW.records, bytes = bytes + NEW.bytes;
"""
_UNCOUNT = """
    UPDATE history SET emulations = emulations - 1, records = records - OLD.records, bytes = bytes - OLD.bytes
    WHERE state = OLD.state AND domain = OLD.domain;
"""
_WRITES = "UPDATE OF state, ended_at, records, bytes"
TRIGGERS = {
    "history_inserted": f"AFTER INSERT ON emulations WHEN NEW.ended_at IS NOT NULL BEGIN {_COUNT} END",
    "history_ended": f"AFTER {_WRITES} ON emulations WHEN NEW.ended_at IS NOT NULL BEGIN {_COUNT} END",
    # Before the one above, whatever the order in which they fire: one takes off what was, the other adds what is.
    "history_corrected": f"AFTER {_WRITES} ON emulations WHEN OLD.ended_at IS NOT NULL BEGIN {_UNCOUNT} END",
    "history_deleted": f"AFTER DELETE ON emulations WHEN OLD.ended_at IS NOT NULL BEGIN {_UNCOUNT} END",
}
"""Whatever changes an emulation, in whichever statement, changes the history with it."""


def upgrade() -> None:
    """Migrate from the version before; a long history is counted once, which takes seconds."""
    op.create_table(
        "history",
        sa.Column("state", sa.String(16), primary_key=True),
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("emulations", sa.BigInteger, nullable=False),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO history SELECT state, domain, count(*), sum(records), sum(bytes) FROM emulations "
        "WHERE ended_at IS NOT NULL GROUP BY state, domain"
    )
    for name, trigger in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {trigger}")
    op.drop_index("ix_emulations_state", "emulations")
    op.drop_index("ix_emulations_domain", "emulations")
    op.create_index("ix_emulations_state_number", "emulations", ["state", "number"])
    op.create_index("ix_emulations_domain_number", "emulations", ["domain", "number"])
    op.create_index("ix_emulations_domain_state_number", "emulations", ["domain", "state", "number"])
