"""Where objects are written: a bucket in S3 or a folder, through the same client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import obstore
from obstore.store import ObjectStore


class Bucket(ABC):
    """A bucket, or a folder that is one.

    Whatever writes to it or reads from it may raise obstore's errors or OSError; `reason` says what they mean.
    """

    title: ClassVar[str]
    """What people call stores of this kind."""
    is_local: ClassVar[bool]
    """Whether to list it costs nothing."""
    store: ObjectStore

    @abstractmethod
    def __str__(self) -> str:
        """Return what to call it in an error."""

    @abstractmethod
    def named(self, key: str) -> str:
        """Return what to call an object in an error."""

    @abstractmethod
    def reason(self, error: Exception) -> str:
        """Return why a request failed, in one line."""

    @abstractmethod
    def is_permanent(self, error: Exception) -> bool:
        """Tell whether trying again cannot help."""

    async def make_durable(self, key: str) -> None:  # noqa: B027 (not abstract: most stores need nothing)
        """Return once an object that was written will survive a crash of the machine that keeps it."""

    async def delete_behind(self, prefix: str, last: str) -> None:
        """Delete the objects under a prefix whose keys come after `last`.

        :param prefix: ends in a slash.
        """
        async for page in obstore.list(self.store, prefix=prefix, offset=last):
            await obstore.delete_async(self.store, [each["path"] for each in page])

    async def abort_uploads(self, prefix: str) -> None:  # noqa: B027 (not abstract: not every store has any)
        """Delete what is left of uploads under a prefix that have not been completed, and will not be."""
