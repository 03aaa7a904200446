"""What the engine asks of a sink, and what a sink can prove."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class EncodedRecords:
    """Records ready to be written.

    :param values: a binary column, one encoded record a row.
    :param keys: a string column of the same length: whom the record is about.
    """

    values: Any
    keys: Any

    def __len__(self) -> int:
        return len(self.values)

    def slice(self, start: int, count: int) -> EncodedRecords:
        """Return `count` records from position `start`, without a copy."""
        return EncodedRecords(self.values.slice(start, count), self.keys.slice(start, count))


@dataclass(frozen=True)
class ObjectWritten:
    """An object that the store has acknowledged. `checksum` is ``sha256:`` and the hexadecimal digest."""

    key: str
    records: int
    bytes: int
    checksum: str


@dataclass(frozen=True)
class PartitionWritten:
    """What the broker has acknowledged in a partition, from `first_offset` up to, not including, `next_offset`."""

    partition: int
    first_offset: int
    next_offset: int
    records: int
    bytes: int


@dataclass
class Written:
    """What has been acknowledged: the objects since the last look, the partitions from the start."""

    objects: list[ObjectWritten] = field(default_factory=list)
    partitions: list[PartitionWritten] = field(default_factory=list)


class Sink(ABC):
    """Takes the records of one emulation, in order. Not for use by several tasks at once."""

    accepted_records: int = 0
    """Records handed to `write`, acknowledged or not."""
    accepted_bytes: int = 0

    @abstractmethod
    async def write(self, records: EncodedRecords) -> None:
        """Accept records; wait while too many of them are unacknowledged.

        :raises SinkError: when the target has refused or not answered for records accepted so far.
        """

    @abstractmethod
    async def finish(self) -> None:
        """Wait until all that was accepted is acknowledged or given up. To be called once, after a failure too.

        :raises SinkError: when some of it is not acknowledged.
        """

    @abstractmethod
    def take_written(self) -> Written:
        """Return what has been acknowledged, objects only once."""


class Target(ABC):
    """A store or broker, as the service's front sees it: can it be written to?"""

    @abstractmethod
    def prepare(self, destination: str) -> None:
        """Make sure that the bucket or topic exists and can be written to, creating it where it is missing. Blocks.

        :raises SinkUnavailable: with the reason.
        """

    @abstractmethod
    def check(self) -> None:
        """Make sure that the target answers. Blocks.

        :raises SinkUnavailable: with the reason.
        """
