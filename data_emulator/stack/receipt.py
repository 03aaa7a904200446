"""The receipt: what lies in the store and the broker, counted by reading it, beside what the service says it wrote."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import httpx
from rich.table import Table

from data_emulator.errors import ConfigurationError
from data_emulator.settings import Settings
from data_emulator.stack.console import console
from data_emulator.stack.readback import Counted, ReadBackError
from data_emulator.stack.readback_messages import count_messages
from data_emulator.stack.readback_objects import count_objects
from data_emulator.wire import Manifest, State

_REQUEST_TIMEOUT_S = 60.0
_PROBLEMS_SHOWN = 10


@dataclass(frozen=True)
class Receipt:
    """An emulation's manifest, what was counted, and all that is wrong: nothing, if `problems` is empty."""

    manifest: Manifest
    counted: Counted
    problems: tuple[str, ...]


def write_receipt(emulation_id: str, *, service_url: str, settings: Settings) -> Receipt:
    """Count the data of an emulation, and compare it with the service's manifest.

    `settings` say where the store and the broker are, and the service's token. Raises ReadBackError when the service
    does not know the emulation, or when the service, the store or the broker is not configured or cannot be read.
    """
    manifest = fetch_manifest(emulation_id, service_url=service_url, settings=settings)
    try:
        counted = count_objects(manifest, settings) if manifest.sink == "s3" else count_messages(manifest, settings)
    except ConfigurationError as error:
        raise ReadBackError(str(error)) from None
    return Receipt(manifest, counted, tuple(compare(manifest, counted)))


def fetch_manifest(emulation_id: str, *, service_url: str, settings: Settings) -> Manifest:
    """Ask the service for the manifest of an emulation. Raises ReadBackError."""
    headers = {"Authorization": f"Bearer {settings.token.get_secret_value()}"} if settings.token else {}
    url = f"{service_url}/emulator/{emulation_id}/manifest"
    try:
        response = httpx.get(url, headers=headers, timeout=_REQUEST_TIMEOUT_S)
    except httpx.TransportError as error:
        raise ReadBackError(f"the service at {service_url} cannot be reached: {error}") from error
    if response.is_error:
        raise ReadBackError(f"the service answered GET {url} with {response.status_code}: {response.text[:300]}")
    return Manifest.model_validate_json(response.content)


def compare(manifest: Manifest, counted: Counted) -> Iterator[str]:
    """Yield a sentence for all in which count and manifest differ, and for an emulation that is not completed."""
    if manifest.state != State.COMPLETED:
        yield f"the emulation is {manifest.state}, not completed"
    totals = manifest.totals
    places = totals.objects if manifest.sink == "s3" else totals.partitions
    for name, found, stated in (
        ("objects" if manifest.sink == "s3" else "partitions", counted.places, places),
        ("records", counted.records, totals.records),
        ("bytes", counted.bytes, totals.bytes),
    ):
        if found != stated:
            yield f"{found:,} {name} found, the service says {stated:,}"
    yield from counted.problems


def print_receipts(receipts: Sequence[Receipt], bronze_rows: Mapping[str, Sequence[int | None]] | None = None) -> bool:
    """Print the table, and what is wrong. Return whether nothing is.

    `bronze_rows` are, by emulation, the rows that each run has put into bronze, None for a run that failed: there has
    to be one run, with as many rows as the service says. Left out, bronze is no part of it.
    """
    right = True
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("receipt", ""):
        table.add_column(heading, no_wrap=True)
    for heading in ("objects or\npartitions", "records", "bytes", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for receipt in receipts:
        manifest, counted, totals = receipt.manifest, receipt.counted, receipt.manifest.totals
        in_s3 = manifest.sink == "s3"
        verdict = "[red]WRONG[/red]" if receipt.problems else "[green]equal[/green]"
        table.add_row(
            manifest.emulation_domain,
            "read back",
            _places(counted.places, in_s3),
            f"{counted.records:,}",
            f"{counted.bytes:,}",
            verdict,
        )
        table.add_row(
            f" {'S3' if in_s3 else 'Kafka'} {manifest.bucket or manifest.topic}",
            "service says",
            _places(totals.objects if in_s3 else totals.partitions, in_s3),
            f"{totals.records:,}",
            f"{totals.bytes:,}",
        )
        if bronze_rows is not None:
            runs = bronze_rows.get(manifest.id, ())
            equal = list(runs) == [totals.records]
            right = right and equal
            table.add_row(
                "",
                "in bronze",
                f"{len(runs)} run" + ("" if len(runs) == 1 else "s"),
                ", ".join("failed" if rows is None else f"{rows:,}" for rows in runs),
                "",
                "[green]equal[/green]" if equal else "[red]WRONG[/red]",
            )
    console.print(table)
    for receipt in receipts:
        for problem in receipt.problems[:_PROBLEMS_SHOWN]:
            line = f"{receipt.manifest.emulation_domain} ({receipt.manifest.id}): {problem}"
            console.print(line, markup=False, soft_wrap=True)
        if len(receipt.problems) > _PROBLEMS_SHOWN:
            console.print(f"and {len(receipt.problems) - _PROBLEMS_SHOWN:,} more")
    return right and not any(receipt.problems for receipt in receipts)


def _places(number: int, in_s3: bool) -> str:
    noun = "object" if in_s3 else "partition"
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def verify(emulation_ids: Sequence[str], *, service_url: str, settings: Settings) -> int:
    """Print the receipt of emulations and return the exit status: 0 if each completed and was counted right, else 1."""
    try:
        receipts = [write_receipt(each, service_url=service_url, settings=settings) for each in emulation_ids]
    except ReadBackError as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    return 0 if print_receipts(receipts) else 1
