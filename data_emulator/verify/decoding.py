"""Reading records in every format that the service writes, by readers that share no code with its encoders."""

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from data_emulator.errors import ConfigurationError, SinkUnavailable
from data_emulator.formats.confluent import split_prefix
from data_emulator.formats.envelope import EMULATION_ID, TIMESTAMP
from data_emulator.settings import Settings
from data_emulator.sinks.kafka.schema_registry import SchemaRegistry
from data_emulator.verify.readback import ReadBackError

_BUFFER_BYTES = 1 << 20
_PAGE_BYTES = 1 << 16
# No line and no Avro block is nearly as long; a damaged one may claim any length.
_MAX_HELD_BYTES = 256 << 20
_BATCH_RECORDS = 65_536
_FEW_RECORDS = 64
_REASON_CHARS = 200

Record = dict[str, Any]
"""A record in its envelope, of JSON's types. Of CSV it is flat, and every value is text."""


class DamagedError(Exception):
    """An object or a message is not what its format says that it is; the message ends with the decoder's words."""

    def __init__(self, error: Exception) -> None:
        first_line = str(error).strip().partition("\n")[0][:_REASON_CHARS]
        super().__init__(f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__)


def object_ids(content: BinaryIO, format_type: str, compression: str) -> Iterator[object]:
    """Yield, for each record of an object in S3, the emulation that its envelope names; `None` for a row without one.

    A line, a block of Avro or a batch of one Parquet column is held at a time, and a Parquet file, which is read from
    its end, lies on disk meanwhile.

    :param content: read once, from its start, but not necessarily to its end.
    :param compression: one of the format's in `formats.catalog`; Parquet and Avro tell it themselves.
    :raises DamagedError: behind the last record that could be decoded.
    :raises ReadBackError: when `content` raises it, or there is no room on disk.
    """
    with _damage_told():
        if format_type == "parquet":
            yield from _parquet_ids(content)
        elif format_type == "avro":
            yield from map(_id_in, fastavro.reader(_BoundedReads(content)))  # type: ignore[arg-type]
        elif format_type == "csv":
            yield from _csv_ids(_lines(_decompressed(content, compression)))
        else:
            yield from map(_json_line_id, _lines(_decompressed(content, compression)))


def object_records(content: BinaryIO, format_type: str, compression: str) -> Iterator[Record]:
    """Yield the records of an object in S3, for those who want the first few: no more is read than they take.

    :param content: at its start, and seekable: Parquet is read from its end.
    :param compression: as for `object_ids`.
    :raises DamagedError: behind the last record that could be decoded.
    :raises ReadBackError: when `content` raises it.
    """
    with _damage_told():
        if format_type == "parquet":
            file = pq.ParquetFile(content, buffer_size=_PAGE_BYTES, pre_buffer=False)
            for batch in file.iter_batches(_FEW_RECORDS, use_threads=False):
                yield from batch.to_pylist()
        elif format_type == "avro":
            yield from map(_checked, fastavro.reader(_BoundedReads(content)))  # type: ignore[arg-type]
        elif format_type == "csv":
            rows = _csv_rows(_lines(_decompressed(content, compression)))
            header = next(rows, [])
            yield from (dict(zip(header, row, strict=True)) for row in rows)
        else:
            yield from (_checked(json.loads(line)) for line in _lines(_decompressed(content, compression)))


@contextmanager
def _damage_told() -> Iterator[None]:
    """Raise what a decoder raises as DamagedError; given garbage, it is nearly anything, MemoryError among it."""
    try:
        yield
    except ReadBackError:
        raise
    except Exception as error:
        raise DamagedError(error) from error


def _checked(record: object) -> Record:
    if not isinstance(record, dict):
        raise ValueError(f"a record is an object, not {type(record).__name__}")
    return record


def _decompressed(content: BinaryIO, compression: str) -> BinaryIO:
    if compression == "none":
        return content
    stream: Any = pa.CompressedInputStream(pa.PythonFile(content, "r"), compression)
    return io.BufferedReader(stream, _BUFFER_BYTES)


def _lines(content: BinaryIO) -> Iterator[bytes]:
    while line := content.readline(_MAX_HELD_BYTES):
        if len(line) == _MAX_HELD_BYTES:
            raise ValueError(f"a line has no end within {_MAX_HELD_BYTES:,} bytes")
        yield line


def _json_line_id(line: bytes) -> object:
    try:
        return _id_in(json.loads(line))
    except ValueError:
        return None


def _id_in(record: object) -> object:
    return record.get(EMULATION_ID) if isinstance(record, dict) else None


def _csv_ids(lines: Iterator[bytes]) -> Iterator[object]:
    rows = _csv_rows(lines)
    header = next(rows, [])
    position = header.index(EMULATION_ID) if EMULATION_ID in header else None
    for row in rows:
        yield row[position] if position is not None and len(row) == len(header) else None


def _csv_rows(lines: Iterable[bytes]) -> Iterator[list[str]]:
    # Python's own limit would refuse a field of more than 128 KiB. It can be set for the whole process only.
    csv.field_size_limit(_MAX_HELD_BYTES)
    return csv.reader((line.decode() for line in lines), strict=True)


def _parquet_ids(content: BinaryIO) -> Iterator[object]:
    with tempfile.TemporaryFile() as file:
        try:
            shutil.copyfileobj(content, file, _BUFFER_BYTES)
        except OSError as error:
            raise ReadBackError(f"no room for a Parquet file in {tempfile.gettempdir()}: {error}") from error
        parquet = pq.ParquetFile(file)
        if EMULATION_ID not in parquet.schema_arrow.names:
            raise ValueError(f"there is no column {EMULATION_ID}")
        for batch in parquet.iter_batches(_BATCH_RECORDS, columns=[EMULATION_ID]):
            yield from batch.column(0).to_pylist()


class _BoundedReads:
    """What an Avro reader reads from: it asks for as many bytes at once as a file says that follow."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_HELD_BYTES:
            raise ValueError(f"a block of {size:,} bytes")
        return self._content.read(size)


class MessageDecoder:
    """Decodes the values of an emulation's Kafka messages.

    :param settings: where the schema registry is, which is asked once for each schema that is met.
    :param csv_columns: the names of a CSV row's fields, since it has no header; beyond those known they are numbered.
    :raises ReadBackError: when the format is Avro and the settings lead to no schema registry.
    """

    def __init__(
        self, format_type: str, settings: Settings, csv_columns: Sequence[str] = (EMULATION_ID, TIMESTAMP)
    ) -> None:
        self._csv_columns = csv_columns
        self._decoded: Callable[[bytes], object]
        if format_type == "avro":
            self._decoded = _AvroMessages(settings).record
        else:
            self._decoded = self._csv_record if format_type == "csv" else json.loads

    def emulation_id(self, value: bytes) -> object:
        """Return the emulation that the record names; `None` if it names none.

        :raises DamagedError: when the value is no record of the format.
        :raises ReadBackError: when the schema registry cannot be asked.
        """
        with _damage_told():
            return _id_in(self._decoded(value))

    def record(self, value: bytes) -> Record:
        """Return the record. Raises as `emulation_id` does."""
        with _damage_told():
            return _checked(self._decoded(value))

    def _csv_record(self, value: bytes) -> Record:
        row = next(_csv_rows([value]), [])
        numbered = [f"column_{number}" for number in range(len(self._csv_columns) + 1, len(row) + 1)]
        return dict(zip([*self._csv_columns, *numbered], row, strict=False))


class _AvroMessages:
    """Values in Confluent's framing, each decoded whole with the schema that it names."""

    def __init__(self, settings: Settings) -> None:
        if settings.schema_registry_url is None:
            raise ReadBackError("Avro in Kafka is read with its schema: set DATA_EMULATOR_SCHEMA_REGISTRY_URL")
        try:
            self._registry = SchemaRegistry(settings.schema_registry_url, settings)
        except ConfigurationError as error:
            raise ReadBackError(str(error)) from error
        self._schemas: dict[int, Any] = {}

    def record(self, value: bytes) -> object:
        schema_id, encoded = split_prefix(value)
        if schema_id not in self._schemas:
            self._schemas[schema_id] = self._fetched(schema_id)
        schema = self._schemas[schema_id]
        if schema is None:
            raise ValueError(f"the schema registry has no schema {schema_id}")
        stream = io.BytesIO(encoded)
        record = fastavro.schemaless_reader(stream, schema, None)
        if rest := len(encoded) - stream.tell():
            raise ValueError(f"{rest:,} bytes are left behind the record")
        return record

    def _fetched(self, schema_id: int) -> Any:
        """Return a schema, parsed; `None` if the registry does not know it."""
        try:
            schema = self._registry.schema(schema_id)
        except SinkUnavailable as error:
            raise ReadBackError(str(error)) from error
        return None if schema is None else fastavro.parse_schema(json.loads(schema))
