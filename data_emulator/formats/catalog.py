"""The formats by their names on the wire, and how each may be compressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Format:
    """A format.

    :param description: what an object of it is, for the API's documentation.
    :param extensions: for each compression that it has in S3, what the objects' names end in; the usual one is first.
    """

    name: str
    description: str
    extensions: dict[str, str]

    @property
    def compressions(self) -> tuple[str, ...]:
        """The compressions that it has, the usual one first."""
        return tuple(self.extensions)

    @property
    def usual_compression(self) -> str:
        """The compression of a request that names none."""
        return self.compressions[0]


FORMATS: Final = {
    each.name: each
    for each in (
        Format("json", "one record a line", {"none": "json", "gzip": "json.gz", "zstd": "json.zst"}),
        Format("csv", "flat, with a header", {"none": "csv", "gzip": "csv.gz", "zstd": "csv.zst"}),
        Format(
            "parquet",
            "nested and typed",
            {"snappy": "parquet", "none": "parquet", "gzip": "parquet", "zstd": "parquet"},
        ),
        # Of the codecs in Avro's specification, the two that every implementation must have, under its names.
        Format("avro", "object container files", {"null": "avro", "deflate": "avro"}),
    )
}
