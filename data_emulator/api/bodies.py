"""From stored emulations to bodies on the wire."""

from __future__ import annotations

from typing import Literal

from data_emulator.domains import all_domains
from data_emulator.sinks.base import ObjectWritten, PartitionWritten
from data_emulator.store import Emulation
from data_emulator.wire import (
    EmulationCreated,
    EmulationStatus,
    Manifest,
    ManifestObject,
    ManifestPartition,
    ManifestTotals,
    Progress,
    State,
    StatusDetail,
)

_THREAD: dict[State, Literal["started", "error", "finished"]] = {
    State.QUEUED: "started",
    State.PROCESSING: "started",
    State.COMPLETED: "finished",
    State.CANCELLED: "finished",
    State.FAILED: "error",
}


def created(emulation: Emulation) -> EmulationCreated:
    """Return the answer to a start: the request as it is carried out, and the id."""
    return EmulationCreated(id=emulation.id, **emulation.request.model_dump())


def status(emulation: Emulation) -> EmulationStatus:
    """Return where an emulation is. It has one part, `0`, where the original had several threads."""
    destination, in_s3 = _destination(emulation)
    return EmulationStatus(
        id=emulation.id,
        status=StatusDetail(global_status=emulation.state, threads={"0": _THREAD[emulation.state]}),
        emulation_domain=emulation.request.emulation_domain,
        emulator_sync=emulation.request.emulator_sync,
        place=f"s3://{destination}/{emulation.id}/" if in_s3 else f"kafka://{destination}",
        manifest=f"/emulator/{emulation.id}/manifest",
        error=emulation.error if emulation.state.is_terminal else None,
        progress=_progress(emulation),
    )


def _progress(emulation: Emulation) -> Progress:
    elapsed_s = emulation.elapsed_s
    request = emulation.request
    if emulation.state is State.COMPLETED:
        share = 1.0
    else:
        by_time = elapsed_s / request.timeout if request.timeout else 0.0
        by_records = emulation.records / request.max_records if request.max_records else 0.0
        share = min(max(by_time, by_records), 1.0)
    return Progress(
        records=emulation.records,
        bytes=emulation.bytes,
        elapsed_s=round(elapsed_s, 3),
        records_per_s=round(emulation.records / elapsed_s, 1) if elapsed_s else 0.0,
        percent=round(100 * share, 1),
    )


def manifest(emulation: Emulation, objects: list[ObjectWritten], partitions: list[PartitionWritten]) -> Manifest:
    """Return where an emulation's data lies."""
    request = emulation.request
    destination, in_s3 = _destination(emulation)
    parts: list[ObjectWritten | PartitionWritten] = [*objects, *partitions]
    return Manifest(
        id=emulation.id,
        emulation_domain=request.emulation_domain,
        emulator_sync=request.emulator_sync,
        format_type=request.format_type,
        state=emulation.state,
        sink="s3" if in_s3 else "kafka",
        bucket=destination if in_s3 else None,
        topic=None if in_s3 else destination,
        objects=[ManifestObject(**vars(each)) for each in objects],
        partitions=[ManifestPartition(**vars(each)) for each in partitions],
        totals=ManifestTotals(
            records=sum(each.records for each in parts),
            bytes=sum(each.bytes for each in parts),
            objects=len(objects),
            partitions=len(partitions),
        ),
    )


def _destination(emulation: Emulation) -> tuple[str, bool]:
    """Return the name of the bucket or topic, and whether it is a bucket."""
    request = emulation.request
    return all_domains()[request.emulation_domain].destination, request.emulator_sync == "minio"
