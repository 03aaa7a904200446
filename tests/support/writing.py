"""Writing lines with an `ObjectSink`, to a bucket in S3 or to a folder."""

from __future__ import annotations

import itertools
import random
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from data_emulator.formats.lines import LineObjects
from data_emulator.formats.objects import Layout
from data_emulator.model import Checkpoint, ObjectWritten, Records
from data_emulator.settings import Settings
from data_emulator.sinks.bucket import Bucket
from data_emulator.sinks.file import Folder
from data_emulator.sinks.objects import ObjectSink
from data_emulator.sinks.parts import PART_BYTES
from data_emulator.sinks.s3.bucket import S3Bucket
from data_emulator.stack.seaweedfs import SeaweedFS
from tests.support import readback

BUCKET = "sink-tests"
NEW = Checkpoint()


@dataclass(frozen=True)
class S3Place:
    """A bucket in a real store."""

    server: SeaweedFS
    settings: Settings

    def open(self, timeout_s: float = 20) -> Bucket:
        """Open the bucket as the service does."""
        return S3Bucket(self.settings, BUCKET, timedelta(seconds=timeout_s))

    def objects(self, prefix: str) -> dict[str, bytes]:
        """Return the content of all objects under a prefix, by key, read by a client of its own."""
        return readback.objects(self.server, BUCKET, prefix)


@dataclass(frozen=True)
class FilePlace:
    """A folder."""

    path: Path

    def open(self, timeout_s: float = 20) -> Bucket:
        """Open the folder as the service does."""
        return Folder(self.path)

    def objects(self, prefix: str) -> dict[str, bytes]:
        """Return the content of all files under a prefix, by key, hidden and unfinished ones too."""
        files = sorted(each for each in (self.path / prefix).rglob("*") if each.is_file())
        return {each.relative_to(self.path).as_posix(): each.read_bytes() for each in files}


Place = S3Place | FilePlace


def encoded(values: list[bytes]) -> Records:
    """Return lines as a sink takes them."""
    column = pa.array(values, pa.binary())
    return Records(pa.record_batch({"value": column}), column, pa.array(["user"] * len(values)))


def records(count: int, longest: int = 300) -> list[bytes]:
    """Return so many lines, the same each time, none much longer than that."""
    rng = random.Random(count)
    return [b"%06d %s\n" % (number, b"x" * rng.randrange(longest)) for number in range(count)]


def sink(
    bucket: Bucket,
    *,
    max_bytes: int | None = None,
    max_records: int | None = None,
    header: bytes = b"",
    compression: str = "none",
    checkpoint: Checkpoint = NEW,
    part_bytes: int = PART_BYTES,
) -> tuple[ObjectSink, str]:
    """Return a sink for lines, and the prefix under which it writes."""
    prefix = str(uuid.uuid4())
    opened = ObjectSink(
        bucket,
        prefix=prefix,
        layout=Layout(LineObjects("json", compression, header), max_bytes, max_records),
        checkpoint=checkpoint,
        part_bytes=part_bytes,
    )
    return opened, prefix


async def write_all(to: ObjectSink, values: list[bytes], *at_a_time: int) -> list[ObjectWritten]:
    """Write slices of one array, of the given sizes in turn, and return what the sink says it wrote."""
    whole = encoded(values)
    written: list[ObjectWritten] = []
    sizes = itertools.cycle(at_a_time or (len(values),))
    start = 0
    while start < len(values):
        size = next(sizes)
        await to.write(whole.slice(start, size))
        written += to.take_written().objects
        start += size
    await to.finish()
    written += to.take_written().objects
    assert to.take_written().objects == []
    return sorted(written, key=lambda each: each.key)
