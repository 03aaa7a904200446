"""Which formats and compressions go with which sink, and how the others are refused."""

import pyarrow as pa
import pytest

from data_emulator.domains import all_domains
from data_emulator.domains.transaction import Transaction
from data_emulator.errors import InvalidRequest
from data_emulator.formats.catalog import FORMATS
from data_emulator.service.format_rules import checked_avro_schema, checked_compression
from data_emulator.wire import EmulationRequest
from tests.support.running_service import request


def checked(*, registry: bool = False, **changes: object) -> str | None:
    return checked_compression(EmulationRequest(**request(**changes)), has_schema_registry=registry)


@pytest.mark.parametrize(
    ("name", "usual"), [("json", "none"), ("csv", "none"), ("parquet", "snappy"), ("avro", "null")]
)
def test_left_out_it_is_the_usual_one(name: str, usual: str) -> None:
    assert checked(format_type=name) == checked(format_type=name, compression=None) == usual


@pytest.mark.parametrize(
    ("name", "compression"), [(each.name, c) for each in FORMATS.values() for c in each.compressions]
)
def test_what_is_allowed_is_taken(name: str, compression: str) -> None:
    assert checked(format_type=name, compression=compression) == compression


@pytest.mark.parametrize(
    ("name", "compression", "allowed"),
    [
        ("json", "snappy", "none, gzip, zstd"),
        ("csv", "GZIP", "none, gzip, zstd"),
        ("parquet", "lz4", "snappy, none, gzip, zstd"),
        ("avro", "snappy", "null, deflate"),
        ("json", "", "none, gzip, zstd"),
    ],
)
def test_another_compression_is_refused_with_what_is_allowed(name: str, compression: str, allowed: str) -> None:
    with pytest.raises(InvalidRequest, match=f"compression '{compression}' with format_type '{name}'.*{allowed}"):
        checked(format_type=name, compression=compression)


@pytest.mark.parametrize("sink", ["minio", "kafka"])
def test_an_unknown_format_is_refused_with_what_there_is(sink: str) -> None:
    with pytest.raises(InvalidRequest, match="format_type 'orc'; there are json, csv, parquet, avro"):
        checked(format_type="orc", emulator_sync=sink)


def test_kafka_takes_json_and_csv_and_with_a_registry_avro() -> None:
    assert [checked(format_type=name, emulator_sync="kafka") for name in ("json", "csv")] == [None, None]
    assert checked(format_type="avro", emulator_sync="kafka", registry=True) is None


@pytest.mark.parametrize("registry", [False, True])
def test_parquet_in_kafka_is_refused_with_the_reason(registry: bool) -> None:
    with pytest.raises(
        InvalidRequest, match=r"format_type 'parquet'.* a Kafka message is one record.*json, csv or avro"
    ):
        checked(format_type="parquet", emulator_sync="kafka", registry=registry)


def test_avro_in_kafka_without_a_registry_is_refused_with_what_to_set() -> None:
    with pytest.raises(InvalidRequest, match=r"format_type 'avro'.*set DATA_EMULATOR_SCHEMA_REGISTRY_URL"):
        checked(format_type="avro", emulator_sync="kafka")


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_a_compression_in_kafka_is_refused_with_the_reason(compression: str) -> None:
    with pytest.raises(InvalidRequest, match=f"compression '{compression}' is for objects and files.*leave it out"):
        checked(compression=compression, emulator_sync="kafka")


def test_a_domain_that_avro_cannot_have_is_refused_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(Transaction):
        name = "odd"
        schema = pa.schema([pa.field("größe", pa.float64())])

    monkeypatch.setitem(all_domains(), "odd", Odd)
    with pytest.raises(InvalidRequest, match=r"format_type 'avro' for domain 'odd': field 'data\.größe'"):
        checked_avro_schema("odd")
