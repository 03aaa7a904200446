"""The manifest of a completed emulation: exactly which objects or partition offsets hold its data."""

from __future__ import annotations

from dataclasses import dataclass

from ..exceptions import DataEmulatorAnswerError
from .answer import Answer


@dataclass(frozen=True)
class ManifestObject:
    """One object in the bucket."""

    key: str
    records: int
    bytes: int
    checksum: str


@dataclass(frozen=True)
class ManifestPartition:
    """The offsets of one partition: from ``first_offset`` up to, not including, ``next_offset``."""

    partition: int
    first_offset: int
    next_offset: int
    records: int
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """Where an emulation's data is, and how much there is.

    ``bucket`` and ``objects`` are filled for the sinks ``s3`` and ``file``, whose bucket is a folder; ``topic`` and
    ``partitions`` for the sink ``kafka``.
    ``state`` is the emulation's, None where the service does not tell.
    """

    emulation_id: str
    emulation_domain: str
    format_type: str
    sink: str
    bucket: str | None
    topic: str | None
    objects: tuple[ManifestObject, ...]
    partitions: tuple[ManifestPartition, ...]
    records: int
    bytes: int
    state: str | None = None
    stated_place: str | None = None

    @property
    def place(self) -> str:
        """Where the data lies, as a URL: what the service says, or what follows from the bucket or topic."""
        inferred = f"s3://{self.bucket}/{self.emulation_id}/" if self.bucket else f"kafka://{self.topic}"
        return self.stated_place or inferred


def parse_manifest(emulation_id: str, answer: Answer) -> Manifest:
    """Read the answer to ``GET /emulator/{id}/manifest``; unknown fields are ignored.

    :raises DataEmulatorAnswerError: when a field that the manifest needs is missing or of the wrong type
    :raises DataEmulatorError: as :meth:`Answer.json_object` does
    """
    body = answer.json_object()
    try:
        totals = body["totals"]
        return Manifest(
            emulation_id=emulation_id,
            emulation_domain=str(body["emulation_domain"]),
            format_type=str(body["format_type"]),
            sink=str(body["sink"]),
            bucket=body.get("bucket"),
            topic=body.get("topic"),
            objects=tuple(
                ManifestObject(str(o["key"]), int(o["records"]), int(o["bytes"]), str(o["checksum"]))
                for o in body.get("objects") or ()
            ),
            partitions=tuple(
                ManifestPartition(
                    int(p["partition"]),
                    int(p["first_offset"]),
                    int(p["next_offset"]),
                    int(p["records"]),
                    int(p["bytes"]),
                )
                for p in body.get("partitions") or ()
            ),
            records=int(totals["records"]),
            bytes=int(totals["bytes"]),
            state=None if body.get("state") is None else str(body["state"]),
            stated_place=None if body.get("place") is None else str(body["place"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataEmulatorAnswerError(
            f"The manifest of emulation {emulation_id} cannot be read: {type(error).__name__} {error}"
        ) from error
