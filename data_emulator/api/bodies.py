"""Build response bodies from stored emulations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Literal

from pydantic_core import to_json

from data_emulator.domains import all_domains
from data_emulator.engine.outage import Outage
from data_emulator.errors import InvalidRequest
from data_emulator.model import ObjectWritten, PartitionWritten, State
from data_emulator.service.store.emulation import Emulation
from data_emulator.settings import Settings
from data_emulator.sinks.catalog import SINKS
from data_emulator.wire import (
    EmulationCreated,
    EmulationStatus,
    Manifest,
    ManifestObject,
    ManifestPartition,
    ManifestTotals,
    Progress,
    Shortfall,
    StatusDetail,
    Waiting,
)

_THREAD: dict[State, Literal["started", "error", "finished"]] = {
    State.QUEUED: "started",
    State.PROCESSING: "started",
    State.COMPLETED: "finished",
    State.CANCELLED: "finished",
    State.FAILED: "error",
}


def created(emulation: Emulation) -> EmulationCreated:
    """Return the answer to a start: the request with its defaults, and the id."""
    # Not checked again: what was accepted by an older version may be refused by this one.
    return EmulationCreated.model_construct(id=emulation.id, **emulation.request.model_dump(exclude={"unreadable"}))


def status(emulation: Emulation, settings: Settings, outage: Outage | None = None) -> EmulationStatus:
    """Return the status of an emulation. It has one part, `0`, where the original had several threads.

    :param outage: what it waits for, if it does.
    """
    if emulation.state.is_terminal:
        outage = None  # it ended in the moment in which it was looked at
    return EmulationStatus(
        id=emulation.id,
        status=StatusDetail(global_status=emulation.state, threads={"0": _THREAD[emulation.state]}),
        emulation_domain=emulation.request.emulation_domain,
        emulator_sync=emulation.request.emulator_sync,
        place=_place(emulation, settings),
        manifest=f"/emulator/{emulation.id}/manifest",
        error=emulation.error if emulation.state.is_terminal else None,
        waiting=outage and _waiting(outage),
        shortfall=_shortfall(emulation),
        progress=_progress(emulation, is_waiting=outage is not None),
    )


def _waiting(outage: Outage) -> Waiting:
    since, until = (datetime.fromtimestamp(int(at), UTC) for at in (outage.since, outage.until))
    return Waiting.model_validate({"for": outage.reason, "since": since, "until": until})


def _shortfall(emulation: Emulation) -> Shortfall | None:
    asked = emulation.request.records_asked
    if emulation.state is not State.COMPLETED or asked is None or emulation.records >= asked:
        return None
    return Shortfall(asked=asked, made=emulation.records)


def _progress(emulation: Emulation, *, is_waiting: bool) -> Progress:
    elapsed_s = emulation.elapsed_s
    return Progress(
        records=emulation.records,
        bytes=emulation.bytes,
        elapsed_s=round(elapsed_s, 3),
        records_per_s=round(emulation.records / elapsed_s, 1) if elapsed_s else 0.0,
        percent=round(100 * _share(emulation, is_waiting=is_waiting), 1),
    )


def _share(emulation: Emulation, *, is_waiting: bool) -> float:
    """Return the completed share of an emulation, from 0 to 1.

    Time counts while it goes on. Once it is over, stands still, or the emulation has ended before its end, what is
    written counts.
    """
    request = emulation.request
    if emulation.state is State.COMPLETED:
        return 1.0
    by_time = min(emulation.elapsed_s / request.timeout, 1.0) if request.timeout else 0.0
    by_rate = None if request.rate is None else int(request.rate * request.timeout)
    planned = min((each for each in (by_rate, request.max_records) if each is not None), default=0)
    by_records = min(emulation.records / planned, 1.0) if planned else None
    if emulation.state is State.PROCESSING and not is_waiting and by_time < 1:
        return max(by_time, by_records or 0.0)
    if by_records is not None:
        return by_records
    return by_time if emulation.records else 0.0


def manifest(
    emulation: Emulation, objects: list[ObjectWritten], partitions: list[PartitionWritten], settings: Settings
) -> Manifest:
    """Return the manifest of an emulation.

    :raises InvalidRequest: when its sink is none of today's.
    """
    request = emulation.request
    destination, kind = _destination(emulation), SINKS.get(request.emulator_sync)
    if kind is None:
        raise InvalidRequest(f"There is no manifest of {emulation.id}: its sink {request.emulator_sync!r} is not known")
    parts: list[ObjectWritten | PartitionWritten] = [*objects, *partitions]
    return Manifest(
        id=emulation.id,
        emulation_domain=request.emulation_domain,
        emulator_sync=request.emulator_sync,
        format_type=request.format_type,
        state=emulation.state,
        sink=kind.manifest_name,
        place=_place(emulation, settings),
        bucket=destination if kind.keeps_objects else None,
        topic=None if kind.keeps_objects else destination,
        objects=[ManifestObject(**vars(each)) for each in objects],
        partitions=[ManifestPartition(**vars(each)) for each in partitions],
        totals=ManifestTotals(
            records=sum(each.records for each in parts),
            bytes=sum(each.bytes for each in parts),
            objects=len(objects),
            partitions=len(partitions),
        ),
    )


def manifest_stream(
    emulation: Emulation,
    pages: Iterable[list[ObjectWritten]],
    partitions: list[PartitionWritten],
    settings: Settings,
) -> Iterator[bytes]:
    """Give the manifest of an emulation as JSON, a page of its objects at a time."""
    before, _, after = manifest(emulation, [], partitions, settings).model_dump_json().partition('"objects":[]')
    records = bytes_ = objects = 0
    yield f'{before}"objects":['.encode()
    for page in pages:
        encoded = to_json([vars(each) for each in page])[1:-1]
        yield b"," + encoded if objects else encoded
        objects += len(page)
        records += sum(each.records for each in page)
        bytes_ += sum(each.bytes for each in page)
    rest, _, totals = after.rpartition('"totals":')
    counted = ManifestTotals.model_validate_json(totals.removesuffix("}"))
    counted.objects += objects
    counted.records += records
    counted.bytes += bytes_
    yield f']{rest}"totals":{counted.model_dump_json()}}}'.encode()


def _destination(emulation: Emulation) -> str:
    """Return the name of the bucket or topic."""
    name = emulation.request.emulation_domain
    domain = all_domains().get(name)
    return domain.destination if domain else name  # a domain that was installed once, and is no more


def _place(emulation: Emulation, settings: Settings) -> str:
    name, destination = emulation.request.emulator_sync, _destination(emulation)
    kind = SINKS.get(name)
    return kind.place(settings, destination, emulation.id) if kind else f"{name}:{destination}/{emulation.id}/"
