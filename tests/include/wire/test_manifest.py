from __future__ import annotations

import json
from typing import Any

import pytest

from include.exceptions import DataEmulatorAnswerError
from include.wire.answer import Answer
from include.wire.call import status_call
from include.wire.manifest import ManifestObject, ManifestPartition, parse_manifest

COMMON = {"id": "e1", "emulation_domain": "transaction", "format_type": "json", "state": "completed", "new": 1}
TOTALS = {"records": 5, "bytes": 50, "objects": 1, "partitions": 0}
S3 = {**COMMON, "sink": "s3", "bucket": "transactions", "topic": None, "totals": TOTALS, "partitions": []} | {
    "objects": [{"key": "k", "records": 5, "bytes": 50, "checksum": "sha256:0"}]
}
KAFKA = {**COMMON, "sink": "kafka", "bucket": None, "topic": "transactions", "totals": TOTALS, "objects": []} | {
    "partitions": [{"partition": 2, "first_offset": 10, "next_offset": 15, "records": 5, "bytes": 50}]
}


def parse(body: Any) -> Any:
    return parse_manifest("e1", Answer(status_call("e1"), "http://e", 200, {}, json.dumps(body)))


def test_a_manifest_of_objects() -> None:
    manifest = parse(S3)
    assert manifest.place == "s3://transactions/e1/"
    assert manifest.objects == (ManifestObject("k", 5, 50, "sha256:0"),)
    assert (manifest.records, manifest.bytes) == (5, 50)


def test_the_place_of_files_is_the_services() -> None:
    place = "file:///data/transactions/e1/"
    manifest = parse({**S3, "sink": "file", "place": place})
    assert (manifest.sink, manifest.bucket, manifest.place) == ("file", "transactions", place)
    assert len(manifest.objects) == 1


def test_a_manifest_of_partitions() -> None:
    manifest = parse(KAFKA)
    assert manifest.place == "kafka://transactions"
    assert manifest.partitions == (ManifestPartition(2, 10, 15, 5, 50),)


@pytest.mark.parametrize("missing", ["totals", "sink", "emulation_domain"])
def test_a_manifest_without_what_it_needs(missing: str) -> None:
    with pytest.raises(DataEmulatorAnswerError, match=missing):
        parse({name: value for name, value in S3.items() if name != missing})
