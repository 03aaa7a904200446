"""All that a worker has to know to carry an emulation out, decided before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Plan:
    """An emulation to be run.

    :param sink: ``minio`` or ``kafka``, as on the wire.
    :param format: ``json`` or ``csv``.
    :param sync_type: ``grouped``, ``chunked``, or anything else for one object a record.
    :param max_chunk_size: bytes an object, for ``chunked``.
    :param duration_s: how long to emulate.
    :param rate: records a second; `None`: as fast as it goes.
    :param max_records: end after so many; `None`: no such bound.
    :param world_seed: what the users are computed from.
    :param seed: what the records are computed from.
    """

    emulation_id: str
    domain: str
    sink: Literal["minio", "kafka"]
    format: Literal["json", "csv"]
    sync_type: str
    max_chunk_size: int
    duration_s: int
    rate: float | None
    max_records: int | None
    world_seed: int
    world_users: int
    seed: int

    def records_due(self, elapsed_s: float) -> int | None:
        """Return how many records should be out after this long; `None`: as many as possible, there is no bound."""
        due = None if self.rate is None else int(min(elapsed_s, self.duration_s) * self.rate)
        if self.max_records is None:
            return due
        return self.max_records if due is None else min(due, self.max_records)

    @property
    def records_planned(self) -> int | None:
        """How many records there will be if the sink keeps pace; `None`: nobody knows."""
        return self.records_due(self.duration_s)

    def share_done(self, records: int, elapsed_s: float) -> float:
        """Return how much of the emulation is done, from 0 to 1: by time or by records, whichever is further."""
        by_time = elapsed_s / self.duration_s if self.duration_s else 1.0
        by_records = records / self.max_records if self.max_records else 0.0
        return min(max(by_time, by_records), 1.0)
