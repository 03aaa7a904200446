"""Load one emulation into bronze: read the manifest's data, check it, and store all of it or nothing."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import obstore

from ..exceptions import DataEmulatorConfigError, EmulationDataError, ReceiptError
from ..hooks.data_emulator import DataEmulatorHook
from ..receipt import Receipt
from ..wire.manifest import Manifest, ManifestObject, ManifestPartition
from .connections import KAFKA_CONN_ID, kafka_config
from .objects import ObjectReader
from .partitions import PartitionReader
from .s3_connection import S3Connection, s3_connection
from .store import STORE_ERRORS, is_missing, open_bucket, store_error
from .table import TableWriter

log = logging.getLogger(__name__)

_FORMATS = {"s3": ("json", "csv", "parquet"), "kafka": ("json", "csv")}


def ingest(receipt: Receipt, bucket: str) -> dict[str, Any]:
    """Load the emulation of a receipt; loading it again replaces its table.

    :param bucket: of the bronze tables
    :return: of the table: ``emulation_id``, ``domain``, ``rows``, ``bytes`` of the file and ``place``, its URL
    :raises ReceiptError: when the receipt and the manifest do not agree, or there is no manifest
    :raises EmulationDataError: when the data is not what the manifest says; nothing is in bronze then
    :raises DataEmulatorConfigError: when a connection cannot be used, or the format cannot be ingested
    :raises AirflowUnavailableError: when a connection cannot be read just now
    :raises StorageUnavailableError: when the store or broker cannot be read or written just now
    :raises DataEmulatorError: as :meth:`DataEmulatorHook.get_manifest` does
    """
    if receipt.manifest is None:
        raise ReceiptError(f"Emulation {receipt.id} has no manifest, so its data cannot be identified")
    manifest = DataEmulatorHook().get_manifest(receipt.id)
    check_agreement(receipt, manifest)
    connection = s3_connection()
    key = table_key(receipt)
    place = f"s3://{bucket}/{key}"
    with TemporaryDirectory(prefix="bronze-") as folder:
        path = Path(folder) / "table.parquet"
        table = TableWriter(path, manifest.emulation_id, datetime.now(UTC))
        _write(table, manifest, connection, Path(folder))
        if table.count != manifest.records:
            raise EmulationDataError(
                f"Emulation {receipt.id}: {table.count:,} records found, the manifest's total is {manifest.records:,}"
            )
        size = path.stat().st_size
        # Only what has passed all checks is sent, and an object appears in S3 when it is whole.
        try:
            obstore.put(open_bucket(connection, bucket), key, path)
        except STORE_ERRORS as error:
            raise store_error(connection, f"writing {place}", error) from None
    log.info("Emulation %s: %s rows, %s bytes in %s", receipt.id, f"{table.count:,}", f"{size:,}", place)
    return {
        "emulation_id": receipt.id,
        "domain": receipt.domain,
        "rows": table.count,
        "bytes": size,
        "place": place,
    }


def is_ingested(receipt: Receipt, bucket: str) -> bool:
    """Return whether bronze already has the table of a receipt's emulation.

    :raises DataEmulatorConfigError: when the connection cannot be used
    :raises AirflowUnavailableError: when the connection cannot be read just now
    :raises StorageUnavailableError: when the store cannot be read just now
    """
    connection = s3_connection()
    key = table_key(receipt)
    try:
        obstore.head(open_bucket(connection, bucket), key)
    except STORE_ERRORS as error:
        if is_missing(error):
            return False
        raise store_error(connection, f"looking for s3://{bucket}/{key}", error) from None
    return True


def table_key(receipt: Receipt) -> str:
    """Return the key of an emulation's table, which never changes, so that a retry replaces the table."""
    return f"{quote(receipt.domain, safe='')}/emulation_id={quote(receipt.id, safe='')}/part-00000.parquet"


def check_agreement(receipt: Receipt, manifest: Manifest) -> None:
    """Check that receipt and manifest match, and the manifest's parts its totals.

    :raises ReceiptError: naming each field in which they differ
    :raises EmulationDataError: when the emulation did not complete, or the manifest's parts do not make its totals
    :raises DataEmulatorConfigError: when the format cannot be ingested
    """
    if manifest.state not in (None, "completed"):
        raise EmulationDataError(f"Emulation {receipt.id} is {manifest.state}, not completed")
    says = Receipt.of_manifest(manifest)
    differences = [
        f"{name} is {stated!r}, the manifest says {getattr(says, name)!r}"
        for name in ("domain", "sink", "place", "records", "bytes")
        if (stated := getattr(receipt, name)) is not None and stated != getattr(says, name)
    ]
    if differences:
        raise ReceiptError(f"The receipt of emulation {receipt.id} and its manifest differ: " + "; ".join(differences))
    parts: list[ManifestObject | ManifestPartition] = [*manifest.objects, *manifest.partitions]
    sums = sum(part.records for part in parts), sum(part.bytes for part in parts)
    if sums != (manifest.records, manifest.bytes):
        raise EmulationDataError(
            f"Emulation {receipt.id}: the manifest's parts add up to {sums[0]:,} records, {sums[1]:,} bytes, "
            f"its totals are {manifest.records:,} records, {manifest.bytes:,} bytes"
        )
    if manifest.format_type not in _FORMATS.get(manifest.sink, ()):
        raise DataEmulatorConfigError(
            f"Emulation {receipt.id} is {manifest.format_type} in {manifest.sink}, which cannot be ingested; bronze "
            "takes " + " and ".join(f"{', '.join(formats)} in {sink}" for sink, formats in _FORMATS.items())
        )


def _write(table: TableWriter, manifest: Manifest, connection: S3Connection, folder: Path) -> None:
    if manifest.sink == "kafka":
        table.write_rows(PartitionReader(kafka_config(), KAFKA_CONN_ID, manifest).rows())
    elif manifest.format_type == "parquet":
        for source, first_position, batch in ObjectReader(connection, manifest).batches(folder):
            table.write_batch(source, first_position, batch)
    else:
        table.write_rows(ObjectReader(connection, manifest).rows())
    table.close()
