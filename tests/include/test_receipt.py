from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.context import OutletEventAccessors

from include.assets import EMULATIONS, EMULATIONS_BY_DOMAIN, emit
from include.exceptions import ReceiptError
from include.receipt import Receipt
from include.wire.manifest import Manifest

FULL = Receipt(
    id="e1",
    domain="user-profile",
    sink="s3",
    place="s3://user-profiles/e1/",
    records=5,
    bytes=50,
    duration_s=1.5,
    manifest="/emulator/e1/manifest",
    label="profiles of today",
)
LEAST = Receipt(id="e1", domain="orders", sink="kafka", place="kafka://orders")


@pytest.mark.parametrize("receipt", [FULL, LEAST])
def test_a_receipt_survives_json(receipt: Receipt) -> None:
    assert Receipt.from_dict(json.loads(json.dumps(receipt.as_dict()))) == receipt


def test_what_may_be_none_may_be_missing_and_what_is_not_known_is_ignored() -> None:
    stated = {"id": "e1", "domain": "orders", "sink": "kafka", "place": "kafka://orders"}
    assert Receipt.from_dict({**stated, "new": 1}) == LEAST


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ""}, "id must be a non-empty string, got ''"),
        ({"domain": None}, "domain must be a non-empty string, got None"),
        ({"domain": "d" * 251}, "domain must have at most 250 characters, got 251"),
        ({"sink": "minio"}, "sink must be one of s3, kafka, file, got 'minio'"),
        ({"records": -1}, "records must be a whole number of at least 0, or null, got -1"),
        ({"bytes": True}, "bytes must be a whole number of at least 0, or null, got True"),
        ({"duration_s": "1"}, "duration_s must be a number of at least 0, or null, got '1'"),
        ({"manifest": 1}, "manifest must be a string, or null, got 1"),
        ({"label": 1}, "label must be a string, or null, got 1"),
    ],
)
def test_what_is_no_receipt_says_why(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ReceiptError) as caught:
        Receipt.from_dict({**FULL.as_dict(), **changes})
    assert message in str(caught.value)
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("value", [None, [], "e1"])
def test_what_is_no_object_is_no_receipt(value: Any) -> None:
    with pytest.raises(ReceiptError, match="must be an object, not"):
        Receipt.from_dict(value)


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(ReceiptError, match=r"id must be .* domain must be .* place must be .* sink must be"):
        Receipt.from_dict({})


def manifest(sink: str) -> Manifest:
    place = {"bucket": "b", "topic": None} if sink == "s3" else {"bucket": None, "topic": "t"}
    return Manifest("e1", "orders", "json", sink, **place, objects=(), partitions=(), records=5, bytes=50)


@pytest.mark.parametrize(("sink", "place"), [("s3", "s3://b/e1/"), ("kafka", "kafka://t")])
def test_the_receipt_of_a_manifest(sink: str, place: str) -> None:
    receipt = Receipt.of_manifest(manifest(sink), duration_s=2.0)
    assert receipt == Receipt("e1", "orders", sink, place, 5, 50, 2.0, "/emulator/e1/manifest")
    assert Receipt.from_dict(receipt.as_dict()) == receipt


def test_each_asset_among_the_outlets_gets_the_receipt_and_one_of_them_the_domain_as_partition() -> None:
    for outlets in ([EMULATIONS], [EMULATIONS_BY_DOMAIN], [EMULATIONS, EMULATIONS_BY_DOMAIN], []):
        events = OutletEventAccessors()
        emit({"outlet_events": events}, FULL, outlets)  # type: ignore[typeddict-item]
        assert len(events) == len(outlets)
        for asset in outlets:
            assert events[asset].extra == FULL.as_dict()
            assert events[asset].partition_keys == ({"user-profile"} if asset is EMULATIONS_BY_DOMAIN else set())


def test_a_receipt_reads_well_in_a_log() -> None:
    receipt = Receipt("e1", "user-profile", "s3", "s3://user-profiles/e1/", 1234567, 98765432, 30.12)
    assert str(receipt) == "1,234,567 records, 98.8 MB in s3://user-profiles/e1/, generated in 30.1 s"
    assert str(Receipt("e1", "user-profile", "kafka", "kafka://user-profiles")) == "data in kafka://user-profiles"
