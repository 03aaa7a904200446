"""What the layers of the service share: an emulation's state, its records, and what of them was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where an emulation is."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Tell whether an emulation in this state has ended."""
        return self in TERMINAL_STATES


TERMINAL_STATES = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})


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


@dataclass(frozen=True)
class Commit:
    """What a sink is about to make final.

    :param token: by this text, which only the sink understands, it can tell later whether it has: `SinkKind.settle`.
    :param partitions: for each emulation in it, all that is final then.
    """

    token: str
    partitions: dict[str, tuple[PartitionWritten, ...]]


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint to resume an emulation from; all zero for a new one.

    :param elapsed_s: how long it has been emulating, times when it could not left out.
    :param records: how many records are written for good: the next one has this number.
    :param bytes: the same in bytes.
    :param objects: how many objects are written for good: the next one has this number.
    :param partitions: what is written for good in each partition.
    :param owed_records: how many records it had accepted, written for good or not. Those that are lost are made again,
        whatever the clock says.
    :param is_resumed: whether a worker may have begun with it already, and left more behind than is known.
    """

    elapsed_s: float = 0.0
    records: int = 0
    bytes: int = 0
    objects: int = 0
    partitions: tuple[PartitionWritten, ...] = ()
    owed_records: int = 0
    is_resumed: bool = False
