"""The bodies on the wire, as pydantic models: the original API and what the service adds to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from data_emulator.formats.catalog import FORMATS
from data_emulator.model import State

MAX_TIMEOUT_S = 7 * 24 * 3600
MAX_RECORDS = 10**15
MIN_ABANDON_AFTER_S = 10
CLOCK_SKEW = timedelta(seconds=60)
"""How far ahead of ours the clock of one who asks for time that has just passed may be."""
MAX_CHUNK_BYTES = 5 * 2**30
"""The largest object that S3 takes whole; one upload in parts may be larger."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class EmulationRequest(BaseModel):
    """What to emulate. The first six fields are the original's, and required."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    emulator_sync: Annotated[
        str,
        Field(
            description="The sink: `minio` (any S3 store), `kafka`, or `file` (a folder of the service's machine).",
            examples=["minio"],
        ),
    ]
    format_type: Annotated[
        str,
        Field(
            description="What objects in S3, or files in a folder, are: "
            + "; ".join(f"`{each.name}`, {each.description}" for each in FORMATS.values())
            + ". A Kafka message is one record: in `json`; in `csv` without the header; in `avro` where the service "
            "has a schema registry; never in `parquet`.",
            examples=["json"],
        ),
    ]
    sync_type: Annotated[
        str,
        Field(
            description="In S3 and in a folder: `grouped`, one object; `chunked`, objects of about `max_chunk_size` "
            "bytes; anything else, one object a record. A Kafka message is always one record.",
            examples=["grouped"],
        ),
    ]
    max_chunk_size: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_CHUNK_BYTES,
            description="Bytes, for `chunked`: of the encoded records before compression, or, in `parquet`, of the "
            "object, about.",
            examples=[1024],
        ),
    ]
    emulation_domain: Annotated[str, Field(description="What to emulate; see `/domains`.", examples=["transaction"])]
    timeout: Annotated[
        int, Field(ge=0, le=MAX_TIMEOUT_S, description="How long to emulate, in seconds.", examples=[60])
    ]
    compression: Annotated[
        str | None,
        Field(
            description="Of objects in S3, or files in a folder. "
            + "; ".join(
                f"`{each.name}`: " + ", ".join(f"`{name}`" for name in each.compressions) for each in FORMATS.values()
            )
            + "; the first is the one of a request that names none. Not for Kafka, whose producer compresses anyway.",
            examples=[None],
        ),
    ] = None
    rate: Annotated[
        float | None,
        Field(
            gt=0, le=1e9, description="Records a second; `null` is as fast as it goes; absent, the service's default."
        ),
    ] = None
    max_records: Annotated[
        int | None, Field(ge=1, le=MAX_RECORDS, description="End after this many records, if time allows.")
    ] = None
    seed: Annotated[
        int | None,
        Field(
            ge=-(2**63),
            lt=2**63,
            description="Seed of the users and the records; absent, the users are the service's own world, and the "
            "records are new each time.",
        ),
    ] = None
    world_seed: Annotated[
        int | None,
        Field(
            ge=-(2**63),
            lt=2**63,
            description="Seed of the users, where it is another than that of the records: `null`, the service's own "
            "world; absent, as `seed` says.",
        ),
    ] = None

    start_time: Annotated[
        AwareDatetime | None,
        Field(
            description="With `end_time`: a backfill. The records are spread over the time from here, day and night, "
            "weekdays and December as in life. Without a zone it is refused. Users signed up from 2015 to 2023."
        ),
    ] = None
    end_time: Annotated[
        AwareDatetime | None,
        Field(
            validate_default=True,
            description="With `start_time`: where a backfill ends, later than it starts and not in the future, but "
            "for the seconds by which clocks differ. No record lies there or behind.",
        ),
    ] = None
    abandon_after: Annotated[
        int | None,
        Field(
            ge=MIN_ABANDON_AFTER_S,
            description="Seconds: cancel it once nobody has asked for its status for that long, while it is queued or "
            "runs. A long poll asks for as long as it is held. Absent or `null`: never.",
        ),
    ] = None
    fail_if_short: Annotated[
        bool,
        Field(
            description="Whether it fails, and is not `completed`, when its time is up before it has made all records "
            "asked for: `max_records`, or the rate times the timeout. What it has made stays, and is in the manifest."
        ),
    ] = False

    @field_validator("end_time")
    @classmethod
    def _ends_a_range_in_the_past(cls, end: datetime | None, info: ValidationInfo) -> datetime | None:
        if "start_time" not in info.data:
            return end  # it is wrong in itself, and that is what is told
        start = info.data["start_time"]
        if (start is None) != (end is None):
            raise ValueError("start_time and end_time belong together: give both, or none")
        if start is None or end is None:
            return end
        if start < _EPOCH:
            raise ValueError("start_time must not be before 1970")
        if not start < end:
            raise ValueError(f"end_time must be later than start_time, {start.isoformat()}")
        if end > datetime.now(UTC) + CLOCK_SKEW:
            raise ValueError("end_time must not be in the future")
        return end

    @model_validator(mode="after")
    def _backfill_has_a_number_of_records(self) -> EmulationRequest:
        unpaced = "rate" in self.model_fields_set and self.rate is None
        if self.end_time is not None and unpaced and self.max_records is None:
            raise PydanticCustomError(
                "backfill_without_number",
                "max_records: a backfill spreads a known number of records over its range; give max_records, or a rate",
            )
        return self


class EmulationCreated(EmulationRequest):
    """The request as it will be carried out, and the emulation's id."""

    id: str


class StatusDetail(BaseModel):
    """The original's status: the whole, and its parts (`started`, `error` or `finished`)."""

    global_status: State
    threads: dict[str, Literal["started", "error", "finished"]]


class Progress(BaseModel):
    """How far an emulation is."""

    records: int
    bytes: int
    elapsed_s: float
    records_per_s: float
    percent: float


class Waiting(BaseModel):
    """That an emulation waits for its sink, which is away: why, since when, and when it fails if that lasts."""

    reason: Annotated[str, Field(alias="for", description="What is away, and why, in one line.")]
    since: datetime
    until: Annotated[datetime, Field(description="When it is given up: the last try begins before.")]


class Shortfall(BaseModel):
    """That an emulation is `completed` with fewer records than were asked for, as its time was up."""

    asked: Annotated[int, Field(description="`max_records`, or the rate times the timeout.")]
    made: int


class EmulationStatus(BaseModel):
    """Where an emulation is, and how far.

    `place` is where its data lies, ``s3://BUCKET/ID/``, ``kafka://TOPIC`` or ``file:///FOLDER/BUCKET/ID/``; `manifest`
    is the path that tells exactly. `shortfall` is null unless it is `completed` with fewer records than asked for.
    """

    id: str
    status: StatusDetail
    emulation_domain: str
    emulator_sync: str
    place: str
    manifest: str
    error: str | None = None
    waiting: Waiting | None = None
    shortfall: Shortfall | None = None
    progress: Progress


class StatusesRequest(BaseModel):
    """The emulations whose status is wanted."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[str], Field(min_length=1, max_length=10_000)]


class Statuses(BaseModel):
    """The statuses of those that exist, in the order asked for, and the ids that are unknown."""

    emulations: list[EmulationStatus]
    not_found: list[str]


class EmulationPage(BaseModel):
    """A page of emulations, the newest first."""

    emulations: list[EmulationStatus]
    total: int
    limit: int
    offset: int


class ManifestObject(BaseModel):
    """An object in S3, or a file in a folder.

    `bytes` is its size, `checksum` is ``sha256:`` and the hexadecimal digest of its content.
    """

    key: str
    records: int
    bytes: int
    checksum: str


class ManifestPartition(BaseModel):
    """What lies in a partition of the topic: from `first_offset` up to, not including, `next_offset`.

    Other emulations may have written in between: the envelope's `emulation_id` tells them apart. `bytes` counts values.
    """

    partition: int
    first_offset: int
    next_offset: int
    records: int
    bytes: int


class ManifestTotals(BaseModel):
    """Sums over the objects or partitions."""

    records: int
    bytes: int
    objects: int
    partitions: int


class Manifest(BaseModel):
    """Exactly where an emulation's data lies: all that the store or broker has acknowledged.

    `place` is that of the status. The sink `file` has its files in a folder named as the bucket would be.
    """

    id: str
    emulation_domain: str
    emulator_sync: str
    format_type: str
    state: State
    sink: Literal["s3", "kafka", "file"]
    place: str | None = None
    bucket: str | None
    topic: str | None
    objects: list[ManifestObject]
    partitions: list[ManifestPartition]
    totals: ManifestTotals

    @property
    def in_objects(self) -> bool:
        """Whether the data lies in objects or files, and not in a topic."""
        return self.bucket is not None


class DomainDescription(BaseModel):
    """A domain that can be emulated. `record` is the JSON Schema of a record, envelope and all.

    `formats` are those of objects in S3, each with the compressions that it can have, the usual one first.
    """

    name: str
    destination: str
    description: str
    record: dict[str, Any]
    formats: dict[str, list[str]]


class Problem(BaseModel):
    """An error (RFC 9457). `detail` is where old clients look: a text, or for 422 the list of what is wrong."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | list[dict[str, Any]]
