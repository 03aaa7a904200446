from __future__ import annotations

from typing import Any

import pytest

from include.bronze.partitions import PartitionReader
from include.exceptions import DataEmulatorConfigError
from include.wire.manifest import Manifest, ManifestPartition

MANIFEST = Manifest(
    "e1",
    "a",
    "json",
    "kafka",
    None,
    "t",
    objects=(),
    partitions=(ManifestPartition(0, 0, 1, 1, 1),),
    records=1,
    bytes=1,
)


@pytest.mark.parametrize("properties", [{"security.protocol": "a-secret"}, {"no.such": "a-secret"}])
def test_properties_that_librdkafka_refuses_are_named_and_their_values_are_not(properties: dict[str, Any]) -> None:
    reader = PartitionReader({"bootstrap.servers": "127.0.0.1:9", **properties}, "data_emulator_kafka", MANIFEST)
    with pytest.raises(DataEmulatorConfigError) as caught:
        list(reader.rows())
    assert f"Connection 'data_emulator_kafka': librdkafka refuses \"{next(iter(properties))}\"" in str(caught.value)
    assert "a-secret" not in str(caught.value)
