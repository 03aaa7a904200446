"""Everything that a worker needs to run or resume an emulation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from data_emulator.domains.world import DEFAULT_FRAUD_SHARE
from data_emulator.model import Checkpoint
from data_emulator.sinks.catalog import SINKS
from data_emulator.sinks.parts import PART_BYTES, held_bytes

BLOCK_RECORDS: Final = 8192
"""Records made at a time: enough to spread numpy's cost a call thin, few enough for thousands of emulations."""
_PENDING_OBJECTS_BYTES: Final = 32 * 2**20
_ROW_GROUP_RECORDS: Final = 65_536


@dataclass(frozen=True)
class Plan:
    """An emulation to be run.

    :param sink: as on the wire: see `sinks.catalog`.
    :param sync_type: ``grouped``, ``chunked``, or anything else for one object a record.
    :param compression: of objects, one that the format has.
    :param schema_id: what the schema registry calls the records' schema; `None` where there is none.
    :param max_chunk_size: bytes an object, for ``chunked``.
    :param duration_s: how long to emulate.
    :param rate: records a second; `None`: as fast as it goes.
    :param max_records: end after so many; `None`: no such bound.
    :param least_records: fail with fewer than so many; `None`: no such bound.
    :param world_seed: what the users are computed from.
    :param seed: what the records are computed from.
    :param started_us: the time of record 0, in microseconds since the Unix epoch.
    :param checkpoint: where to go on.
    :param fraud_share: share of payments that are fraud.
    :param part_bytes: the size of the parts in which large objects go up.
    :param backfill_us: start and end of the range in the past that the records are spread over, in microseconds since
        the Unix epoch; how many there will be is known then. `None`: they happen while they are emulated.
    """

    emulation_id: str
    domain: str
    sink: str
    format: Literal["json", "csv", "parquet", "avro"]
    sync_type: str
    max_chunk_size: int
    duration_s: int
    rate: float | None
    max_records: int | None
    world_seed: int
    world_users: int
    seed: int
    started_us: int
    compression: str = "none"
    schema_id: int | None = None
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    fraud_share: float = DEFAULT_FRAUD_SHARE
    backfill_us: tuple[int, int] | None = None
    part_bytes: int = PART_BYTES
    least_records: int | None = None

    def records_due(self, elapsed_s: float) -> int | None:
        """Return how many records are due after this time; `None` if unlimited."""
        due = None if self.rate is None else int(min(elapsed_s, self.duration_s) * self.rate)
        if self.max_records is None:
            return due
        return self.max_records if due is None else min(due, self.max_records)

    @property
    def memory_bytes(self) -> int:
        """The memory that its buffers may take: a block of records; the parts of the open object, and the objects that
        are on their way, if the sink keeps any; in Parquet a row group.

        Estimated at 1 KiB a record, encoded or as columns, and half of that in a row group.
        """
        planned = self.records_planned
        records = 3 * (BLOCK_RECORDS if planned is None else min(BLOCK_RECORDS, planned)) // 2
        if SINKS[self.sink].keeps_objects:
            most = held_bytes(self.part_bytes) + (0 if self.sync_type == "grouped" else _PENDING_OBJECTS_BYTES)
            records += most // 1024 if planned is None else min(most // 1024, planned)
        if self.format == "parquet":
            records += (_ROW_GROUP_RECORDS if planned is None else min(_ROW_GROUP_RECORDS, planned)) // 2
        return 1024 * records

    @property
    def records_planned(self) -> int | None:
        """How many records there will be if the sink keeps pace; `None`: nobody knows."""
        return self.records_due(self.duration_s)
