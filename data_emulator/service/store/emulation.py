"""An emulation as it is stored, and its request, read tolerantly: an older version may have written it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.engine import Row

from data_emulator.model import State

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class AcceptedRequest(BaseModel):
    """What an emulation was asked for, defaults filled in. See `wire.EmulationRequest` for what each field means.

    Nothing is checked but types: what was accepted once stays readable, whatever the service would refuse today.
    `unreadable` says which fields could not even be read, and why; such an emulation can be listed, but not run.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    emulator_sync: str = ""
    format_type: str = ""
    sync_type: str = ""
    max_chunk_size: int = 1
    emulation_domain: str = ""
    timeout: int = 0
    compression: str | None = None
    rate: float | None = None
    max_records: int | None = None
    seed: int | None = None
    world_seed: int | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    abandon_after: int | None = None
    fail_if_short: bool = False
    unreadable: str | None = None

    @classmethod
    def read(cls, stored: Any) -> AcceptedRequest:
        """Return a stored request; fields that cannot be read have their defaults."""
        if not isinstance(stored, dict):
            return cls(unreadable=f"the stored request is no object but {type(stored).__name__}")
        missing = [name for name in _REQUIRED if name not in stored]
        problems = [f"{name} is missing" for name in missing]
        try:
            read = cls.model_validate(stored)
        except ValidationError as error:
            bad = {str(each["loc"][0]): each["msg"] for each in error.errors()}
            problems += [f"{name}: {message}" for name, message in bad.items()]
            read = cls.model_validate({name: value for name, value in stored.items() if name not in bad})
        return read.model_copy(update={"unreadable": "; ".join(problems)}) if problems else read

    @property
    def records_asked(self) -> int | None:
        """How many records are asked for: `max_records`, or the rate times the timeout; `None`: as many as it can."""
        if self.max_records is not None or self.rate is None:
            return self.max_records
        return int(self.rate * self.timeout)

    @property
    def backfill_us(self) -> tuple[int, int] | None:
        """The range of a backfill, in microseconds since the Unix epoch; `None`: it is none."""
        if self.start_time is None or self.end_time is None:
            return None
        return (self.start_time - _EPOCH) // _MICROSECOND, (self.end_time - _EPOCH) // _MICROSECOND


_REQUIRED: Final = ("emulator_sync", "format_type", "sync_type", "max_chunk_size", "emulation_domain", "timeout")
"""The original's fields, without which nothing can be emulated."""


@dataclass(frozen=True)
class Emulation:
    """An emulation as stored. Times are Unix seconds; `schema_id` is of the schema registry, for Avro in Kafka.

    `generator` is what `domains.generator_version` said when its first record was made, `None` if that was not kept.
    With `cancel_requested` and before its end, `error` is the one that it will end with. `owed_records`: as in
    `Checkpoint`.
    """

    id: str
    body_digest: str
    request: AcceptedRequest
    world_seed: int
    world_users: int
    fraud_share: float
    seed: int
    state: State
    error: str | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    elapsed_s: float
    cancel_requested: bool
    records: int
    bytes: int
    schema_id: int | None = None
    owed_records: int = 0
    generator: str | None = None


def from_row(row: Row[Any]) -> Emulation:
    """Return the emulation of a row of the table `emulations`."""
    return Emulation(
        id=row.id,
        body_digest=row.body_digest,
        request=AcceptedRequest.read(row.request),
        world_seed=row.world_seed,
        world_users=row.world_users,
        fraud_share=row.fraud_share,
        seed=row.seed,
        state=State(row.state),
        error=row.error,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        elapsed_s=row.elapsed_s,
        cancel_requested=row.cancel_requested,
        records=row.records,
        bytes=row.bytes,
        schema_id=row.schema_id,
        owed_records=row.owed_records,
        generator=row.generator,
    )
