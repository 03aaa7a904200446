"""What the engine asks of a sink, and what a sink can prove."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Records:
    """Records on their way to a sink, in order.

    :param batch: the records as Arrow columns, in their envelope.
    :param values: a binary column, one encoded record a row; `None` in a format that encodes columns instead.
    :param keys: a string column of the same length: whom the record is about.
    """

    batch: Any
    values: Any
    keys: Any

    def __len__(self) -> int:
        return len(self.keys)

    def slice(self, start: int, count: int) -> Records:
        """Return `count` records from position `start`, without a copy."""
        values = None if self.values is None else self.values.slice(start, count)
        return Records(self.batch.slice(start, count), values, self.keys.slice(start, count))


@dataclass(frozen=True)
class ObjectWritten:
    """An object that the store has acknowledged. `checksum` is ``sha256:`` and the hexadecimal digest."""

    key: str
    records: int
    bytes: int
    checksum: str


@dataclass(frozen=True)
class PartitionWritten:
    """What the broker holds for good in a partition, from `first_offset` up to, not including, `next_offset`."""

    partition: int
    first_offset: int
    next_offset: int
    records: int
    bytes: int

    def plus(self, later: PartitionWritten) -> PartitionWritten:
        """Return what both together are; `later` lies behind this one in the same partition."""
        return PartitionWritten(
            self.partition,
            min(self.first_offset, later.first_offset),
            max(self.next_offset, later.next_offset),
            self.records + later.records,
            self.bytes + later.bytes,
        )


@dataclass
class Written:
    """What will not be lost any more: the objects since the last look; if there is more, the partitions from the start.

    It is always the first records of the emulation, without a gap: whoever resumes goes on with the next one.
    """

    objects: list[ObjectWritten] = field(default_factory=list)
    partitions: list[PartitionWritten] = field(default_factory=list)


class Sink(ABC):
    """Takes the records of one emulation, in order. Not for use by several tasks at once."""

    accepted_records: int = 0
    """Records of the emulation that were handed to `write` and not rolled back, acknowledged or not."""
    accepted_bytes: int = 0

    @property
    @abstractmethod
    def acknowledged_bytes(self) -> int:
        """Bytes that the target has acknowledged, final or not: when they grow after a failure, it is back."""

    @abstractmethod
    async def write(self, records: Records) -> None:
        """Accept records; wait while too many of them are unacknowledged.

        :raises SinkError: when the target has refused or not answered for records accepted so far.
        """

    @abstractmethod
    async def finish(self) -> None:
        """Wait until all that was accepted is acknowledged.

        :raises SinkError: when some of it is not.
        """

    @abstractmethod
    async def roll_back(self) -> int:
        """Forget what was accepted and not acknowledged; return how many records are acknowledged.

        Writing goes on with the record of that number. Called after a `SinkError`.
        """

    @abstractmethod
    def take_written(self) -> Written:
        """Return what has been acknowledged, objects only once, partitions only when there is more in them."""


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
