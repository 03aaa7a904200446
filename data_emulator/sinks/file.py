"""A folder on this machine, laid out as S3 would be: a subfolder for each bucket, a file for each object."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import tempfile
import weakref
from functools import cached_property
from pathlib import Path
from typing import Final

from obstore.store import LocalStore

from data_emulator.errors import SinkUnavailable
from data_emulator.settings import Settings
from data_emulator.sinks.base import Target
from data_emulator.sinks.bucket import Bucket

_PERMANENT: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG}
_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)")
_UNFINISHED: Final = re.compile(r".*#\d+")
"""What obstore calls a file while it is being written."""
_PROBE: Final = bytes(4096)


class FolderGone(OSError):
    """The folder was deleted or replaced while it was written to: what had been written is gone with it."""


class Folder(Bucket):
    """A folder. An object appears in it when it is whole."""

    title = "folder"
    is_local = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return f"folder {self._path}"

    @cached_property
    def store(self) -> LocalStore:  # type: ignore[override]  # opened late, so that a folder that is away is waited for
        """The client of the folder, which has to be there."""
        # Kept open, so that no other folder gets its number meanwhile.
        self._opened = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        weakref.finalize(self, os.close, self._opened)
        return LocalStore(self._path)

    def named(self, key: str) -> str:
        """Return what to call an object in an error."""
        return f"file {self._path / key}"

    def reason(self, error: Exception) -> str:
        """Return why something failed, in one line."""
        if isinstance(error, OSError):
            return error.strerror or str(error)
        text = str(error).split("\n\nDebug source", 1)[0]  # behind it is a dump of its Rust source
        return " ".join(text.split()).removeprefix("Generic LocalFileSystem error: ")

    def is_permanent(self, error: Exception) -> bool:
        """Tell whether trying again cannot help: it may not be written to, or what was written is gone."""
        if isinstance(error, FolderGone):
            return True
        found = _OS_ERROR.search(str(error))
        number = error.errno if isinstance(error, OSError) else int(found[1]) if found else None
        return number in _PERMANENT

    async def make_durable(self, key: str) -> None:
        """Return once a file is on the disk, its name too.

        :raises FolderGone: when it lies in another folder than those before it, which has the same name.
        """
        await asyncio.to_thread(self._sync, key)

    def _sync(self, key: str) -> None:
        path = self._path / key
        for each in (path, path.parent, self._path):
            _sync(each)
        if not os.path.samestat(self._path.stat(), os.fstat(self._opened)):
            raise FolderGone(f"the folder {self._path} was deleted or replaced while it was written to")

    async def abort_uploads(self, prefix: str) -> None:
        """Delete the files under a prefix that a kill has left unfinished."""
        await asyncio.to_thread(self._delete_unfinished, prefix)

    def _delete_unfinished(self, prefix: str) -> None:
        folder = self._path / prefix
        if folder.is_dir():
            for path in folder.iterdir():
                if _UNFINISHED.fullmatch(path.name):
                    path.unlink(missing_ok=True)


class FileTarget(Target):
    """The folder of the settings, seen from the service's front."""

    def __init__(self, settings: Settings) -> None:
        if settings.file_root is None:
            raise ValueError("file_root is not set")
        self._root = settings.file_root

    def prepare(self, destination: str) -> None:
        """Make sure that the subfolder exists and can be written to, creating it where it is missing."""
        _prepare(self._root / destination)

    def check(self) -> None:
        """Make sure that the folder exists and can be written to, creating it where it is missing."""
        _prepare(self._root)


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sync(folder.parent)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(_PROBE)
            file.flush()
            os.fsync(file.fileno())
    except (FileExistsError, NotADirectoryError) as error:
        raise SinkUnavailable(f"{error.filename or folder} is not a folder (DATA_EMULATOR_FILE_ROOT)") from None
    except OSError as error:
        what = f"the folder {folder} cannot be written to (DATA_EMULATOR_FILE_ROOT)"
        raise SinkUnavailable(f"{what}: {error.strerror}") from None


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
