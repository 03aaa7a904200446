"""One service a database: a second one would go on with the emulations of the first, and delete what they write."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from data_emulator.errors import ConfigurationError


class Ownership:
    """Holds a SQLite database for this process, until it is released or the process ends, however that happens.

    Beside the database ``state.db`` it locks the file ``state.db.lock``, which stays there. A database in memory is
    this process's own anyway.

    :param url: SQLAlchemy URL.
    :raises ConfigurationError: when the URL is none, another service has the database, or the file cannot be made.
    """

    def __init__(self, url: str) -> None:
        self._file: int | None = None
        try:
            parsed = sa.make_url(url)
        except ArgumentError as error:
            raise ConfigurationError(f"DATA_EMULATOR_DATABASE_URL: {error}") from None
        if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
            return
        path = Path(f"{parsed.database}.lock")
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigurationError(f"DATA_EMULATOR_DATABASE_URL: unable to open {path}: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(file, 32, 0).decode(errors="replace").strip()
            os.close(file)
            raise ConfigurationError(
                f"DATA_EMULATOR_DATABASE_URL: another service, process {owner or 'unknown'}, uses {parsed.database}: "
                "stop it first, or give this one a database of its own"
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Let others have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
