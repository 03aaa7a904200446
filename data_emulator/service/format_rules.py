"""Which formats and compressions a request may ask for, of which sink."""

from __future__ import annotations

from data_emulator.domains import all_domains
from data_emulator.errors import InvalidRequest
from data_emulator.formats.avro import NoAvroForm, avro_schema
from data_emulator.formats.catalog import FORMATS
from data_emulator.formats.envelope import envelope_schema
from data_emulator.sinks.catalog import SINKS
from data_emulator.suggestion import suggestion
from data_emulator.wire import EmulationRequest


def checked_compression(request: EmulationRequest, *, has_schema_registry: bool) -> str | None:
    """Return how the objects are compressed, the format's usual way filled in; `None` in Kafka, which has none.

    :raises InvalidRequest: when the format is not known, the sink cannot have it, or it cannot be compressed like this.
    """
    name, compression = request.format_type, request.compression
    if name not in FORMATS:
        raise InvalidRequest(f"Format not supported: format_type {name!r}; {suggestion(name, FORMATS)}")
    if SINKS[request.emulator_sync].keeps_objects:
        allowed = FORMATS[name].compressions
        if compression is not None and compression not in allowed:
            raise InvalidRequest(
                f"Compression not supported: compression {compression!r} with format_type {name!r}; "
                f"{suggestion(compression, allowed)}; left out, it is {allowed[0]}"
            )
        return compression or FORMATS[name].usual_compression
    if name == "parquet":
        raise InvalidRequest(
            "Format not supported: format_type 'parquet' is for files of many records, and a Kafka message is one "
            "record; for emulator_sync 'kafka' take json, csv or avro"
        )
    if name == "avro" and not has_schema_registry:
        raise InvalidRequest(
            "Format not supported: format_type 'avro' needs a schema registry for emulator_sync 'kafka', and this "
            "service has none: set DATA_EMULATOR_SCHEMA_REGISTRY_URL, or take json or csv"
        )
    if compression is not None:
        raise InvalidRequest(
            f"Compression not supported: compression {compression!r} is for objects and files; for "
            "emulator_sync 'kafka' leave it out, since the producer compresses messages in batches by itself"
        )
    return None


def checked_avro_schema(domain: str) -> str:
    """Return the Avro schema of a domain's records, as JSON.

    :raises InvalidRequest: when it has a field that Avro cannot have.
    """
    try:
        return avro_schema(domain, envelope_schema(all_domains()[domain].schema))
    except NoAvroForm as error:
        raise InvalidRequest(f"Format not supported: format_type 'avro' for domain {domain!r}: {error}") from None
