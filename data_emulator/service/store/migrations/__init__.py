"""The database's schema, brought to today's by Alembic when the service starts.

A change of `tables.py` needs a module in `versions/`; a test compares what all of them together make with the tables.
A database of a service before Alembic came has the tables of the first version, and no version of its own.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import Connection, Engine

from data_emulator.errors import ConfigurationError

_FIRST: Final = "0001"
_LOCATION: Final = str(files(__package__))


def migrate(engine: Engine) -> None:
    """Bring a database, new or old, to today's schema.

    :raises ConfigurationError: when a newer version of the service has changed its schema already.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # Its driver begins no transaction before CREATE or DROP: killed in between, it would be half migrated.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config = Config()
        config.set_main_option("script_location", _LOCATION)
        config.attributes["connection"] = connection
        tables = sa.inspect(connection).get_table_names()
        if "emulations" in tables and "alembic_version" not in tables:
            command.stamp(config, _FIRST)
        _refuse_newer(connection, config)
        command.upgrade(config, "head")


def _refuse_newer(connection: Connection, config: Config) -> None:
    if "alembic_version" not in sa.inspect(connection).get_table_names():
        return
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    if found is None:
        return
    try:
        ScriptDirectory.from_config(config).get_revision(found)
    except CommandError:
        raise ConfigurationError(
            f"DATA_EMULATOR_DATABASE_URL: the database has schema version {found}, which this version of the service "
            "does not know: it was used by a newer one, so use that one, or another database"
        ) from None
