"""Forgetting emulations that have ended."""

from __future__ import annotations

from typing import Annotated

import typer

from data_emulator.cli.common import give_up, settings_with


def prune(
    older_than: Annotated[
        float | None, typer.Option(min=0, help="Days since they ended; by default DATA_EMULATOR_RETENTION_DAYS.")
    ] = None,
) -> None:
    """Forget emulations that have ended: their status, manifest and idempotency key. Their data stays.

    The service does so by itself, once an hour. This may be run while it does, on the database of its environment.
    """
    import time

    from data_emulator.errors import ConfigurationError
    from data_emulator.service import retention
    from data_emulator.service.store.store import Store

    settings = settings_with({})
    days = settings.retention_days if older_than is None else older_than
    if older_than is None and not days:
        give_up("DATA_EMULATOR_RETENTION_DAYS is 0, which keeps all: say how old they must be, with --older-than DAYS")
    try:
        store = Store(settings.database_url)
    except ConfigurationError as error:
        give_up(str(error))
    forgotten = retention.prune(store, time.time() - days * 86_400)
    store.close()
    typer.echo(f"{forgotten:,} emulations that ended more than {days:g} days ago are forgotten; their data stays.")
