"""The receipt of a completed emulation, which its asset events carry to downstream DAGs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import unquote

from .exceptions import ReceiptError
from .wire.manifest import Manifest
from .wire.status import EmulationStatus, Progress
from .wording import size

_SINKS = ("s3", "kafka", "file")
#: How long a partition key of Airflow can be; the domain is one.
_MAX_DOMAIN_LENGTH = 250


@dataclass(frozen=True)
class Receipt:
    """What one emulation wrote, small and JSON-ready.

    :param id: the emulation
    :param domain: what was emulated
    :param sink: ``s3``, ``kafka`` or ``file``
    :param place: where the data is: ``s3://user-profiles/<id>/``, ``kafka://transactions`` or
        ``file:///data/user-profiles/<id>/``
    :param records: how many were written; None if the service does not report it
    :param bytes: likewise
    :param duration_s: how long it took in seconds; None if the service does not report it
    :param manifest: the path of its manifest at the service, None from a service without manifests
    :param label: the task's label, or else the domain; distinguishes two emulations of the same domain
    """

    id: str
    domain: str
    sink: str
    place: str
    records: int | None = None
    bytes: int | None = None
    duration_s: float | None = None
    manifest: str | None = None
    label: str | None = None

    def __str__(self) -> str:
        """Return one line for people: how much there is, where, and how long it took."""
        parts = [] if self.records is None else [f"{self.records:,} records"]
        if self.bytes is not None:
            parts.append(size(self.bytes))
        text = f"{', '.join(parts) or 'data'} in {self.place}"
        return text if self.duration_s is None else f"{text}, generated in {self.duration_s:,.1f} s"

    @property
    def bucket_and_prefix(self) -> tuple[str, str]:
        """The bucket and the prefix of the objects' keys, if the sink is ``s3``."""
        bucket, _, prefix = self.place.removeprefix("s3://").partition("/")
        return bucket, prefix

    @property
    def topic(self) -> str:
        """The topic, if the sink is ``kafka``."""
        return self.place.removeprefix("kafka://")

    @property
    def lineage_name(self) -> tuple[str, str]:
        """Namespace and name of the data as an OpenLineage dataset: bucket and prefix, the topic, or the folder."""
        if self.sink == "kafka":
            return "kafka", self.topic
        if self.sink == "file":
            return "file", unquote(self.place.removeprefix("file://").rstrip("/"))
        bucket, prefix = self.bucket_and_prefix
        return f"s3://{bucket}", prefix.rstrip("/") or "/"

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form, for an asset event."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Receipt:
        """Parse the form of :meth:`as_dict`; unknown fields are ignored, and those that may be None may be missing.

        :raises ReceiptError: naming every field that is missing or of the wrong type
        """
        if not isinstance(data, Mapping):
            raise ReceiptError(f"A receipt must be an object, not {type(data).__name__}")
        problems = [
            f"{name} must be a non-empty string, got {data.get(name)!r}"
            for name in ("id", "domain", "place")
            if not isinstance(data.get(name), str) or not data[name].strip()
        ]
        if isinstance(data.get("domain"), str) and len(data["domain"]) > _MAX_DOMAIN_LENGTH:
            problems.append(f"domain must have at most {_MAX_DOMAIN_LENGTH} characters, got {len(data['domain'])}")
        if data.get("sink") not in _SINKS:
            problems.append(f"sink must be one of {', '.join(_SINKS)}, got {data.get('sink')!r}")
        for name, kinds, what in (
            ("records", int, "a whole number"),
            ("bytes", int, "a whole number"),
            ("duration_s", int | float, "a number"),
        ):
            value = data.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, kinds) or value < 0):
                problems.append(f"{name} must be {what} of at least 0, or null, got {value!r}")
        problems += [
            f"{name} must be a string, or null, got {data[name]!r}"
            for name in ("manifest", "label")
            if not isinstance(data.get(name), str | None)
        ]
        if problems:
            raise ReceiptError("This is not a valid receipt: " + "; ".join(problems))
        values: dict[str, Any] = {field.name: data.get(field.name) for field in fields(cls)}
        return cls(**values)

    @classmethod
    def of_status(cls, status: EmulationStatus, *, label: str | None = None) -> Receipt | None:
        """Return the receipt for a status; None if the service does not report the domain and where the data is."""
        if status.domain is None or status.sink is None or status.place is None:
            return None
        told = status.progress or Progress()
        return cls(
            status.emulation_id,
            status.domain,
            status.sink,
            status.place,
            told.records,
            told.bytes,
            told.elapsed_s,
            status.manifest,
            label or status.domain,
        )

    @classmethod
    def of_manifest(cls, manifest: Manifest, *, duration_s: float | None = None) -> Receipt:
        """Return the receipt for a manifest."""
        return cls(
            id=manifest.emulation_id,
            domain=manifest.emulation_domain,
            sink=manifest.sink,
            place=manifest.place,
            records=manifest.records,
            bytes=manifest.bytes,
            duration_s=duration_s,
            manifest=f"/emulator/{manifest.emulation_id}/manifest",
        )
