"""What a domain is: a named kind of record, with a schema, computed by index over one world of users."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from data_emulator.domains.generator import GENERATION, arithmetic_digest
from data_emulator.domains.randomness import Index
from data_emulator.domains.world import World


@dataclass(frozen=True)
class EventClock:
    """When the record of each index happens: record ``i`` at ``start_us + i * step_us``.

    :param start_us: time of record 0, in microseconds since the Unix epoch.
    :param step_us: time from one record to the next, in microseconds.
    """

    start_us: int
    step_us: float

    def times(self, index: Index) -> Index:
        """Return the time of each index, in microseconds since the Unix epoch."""
        return self.start_us + (index * self.step_us).astype("int64")


class Domain(ABC):
    """A kind of record. A subclass states its names and schema, and makes the columns.

    :param world: the users whom the records are about.
    :param seed: what the records, beside the users, are computed from.
    """

    name: ClassVar[str]
    """The name on the wire, in lower case."""
    destination: ClassVar[str]
    """The topic in Kafka and the bucket in S3."""
    description: ClassVar[str]
    schema: ClassVar[pa.Schema]
    """The columns of `data` in a record. They start with the record's own id and hold a `user_id`."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.seed = seed

    @classmethod
    def generator(cls) -> str:
        """Return the version of what makes the records: equal wherever the same seed makes the same bytes.

        A domain that computes its records from what may change with an installation, such as another package's data,
        adds that.
        """
        return f"{GENERATION}-{arithmetic_digest()}"

    @abstractmethod
    def columns(self, index: Index, time_us: Index) -> list[Any]:
        """Return the columns of `schema`, in its order, for the records with these indexes and event times."""

    def records(self, index: Index, time_us: Index) -> pa.RecordBatch:
        """Return the records with these indexes as a batch with the columns of `schema`."""
        return pa.RecordBatch.from_arrays(self.columns(index, time_us), names=self.schema.names)
