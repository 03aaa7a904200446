"""The receipt: what is actually in the store and the broker, counted by reading it, beside what the service says."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.text import Text

from data_emulator.console import console
from data_emulator.settings import Settings
from data_emulator.sinks.catalog import BY_MANIFEST_NAME
from data_emulator.verify.compare import Receipt, write_receipt
from data_emulator.verify.readback import ReadBackError

_REQUEST_TIMEOUT_S = 60.0
_PROBLEMS_SHOWN = 10


def print_receipts(receipts: Sequence[Receipt], bronze_rows: Mapping[str, Sequence[int | None]] | None = None) -> bool:
    """Print what was found beside what the service says, and return whether it is the same.

    `bronze_rows` are, by emulation, the rows that each run has put into bronze, None for a run that failed: there has
    to be one run, with as many rows as the service says. Left out, bronze is no part of it.
    """
    right = True
    blocks: list[tuple[str, list[_Row]]] = []
    for receipt in receipts:
        manifest, counted, totals = receipt.manifest, receipt.counted, receipt.manifest.totals
        in_objects, kind = manifest.in_objects, BY_MANIFEST_NAME[manifest.sink]
        place = f"{kind.title}, {kind.destination} {manifest.bucket or manifest.topic}"
        stated_places = totals.objects if in_objects else totals.partitions
        rows = [
            _row("counted", _places(counted.places, in_objects), counted.records, counted.bytes, not receipt.problems),
            _row("service says", _places(stated_places, in_objects), totals.records, totals.bytes),
        ]
        if bronze_rows is not None:
            runs = bronze_rows.get(manifest.id, ())
            equal = list(runs) == [totals.records]
            right = right and equal
            in_bronze = ", ".join("failed" if found is None else f"{found:,}" for found in runs)
            rows.append(_Row("in bronze", _number(len(runs), "run"), in_bronze, "", equal))
        blocks.append((f"{manifest.emulation_domain} in {place}", rows))
    _print_aligned(blocks)
    return right and not any(receipt.problems for receipt in receipts)


class _Row(NamedTuple):
    """A line of the receipt, as texts; `equal` is None where nothing is compared."""

    what: str
    places: str
    records: str
    bytes: str
    equal: bool | None


def _row(what: str, places: str, records: int, size: int, equal: bool | None = None) -> _Row:
    return _Row(what, places, f"{records:,}", f"{size:,}", equal)


def _print_aligned(blocks: Sequence[tuple[str, Sequence[_Row]]]) -> None:
    """Print rows under their headings, in columns that are as wide over all of them as the widest text."""
    headings = _Row("", "", "records", "bytes", None)
    rows = [headings, *(row for _, rows in blocks for row in rows)]
    widths = [max(len(str(row[column])) for row in rows) for column in range(4)]

    def show(row: _Row) -> None:
        first, *others = (text.ljust(width) for text, width in zip(row[:4], widths, strict=True))
        line = Text("  ".join([f"  {first}", *(text.strip().rjust(len(text)) for text in others)]))
        if row.equal is not None:
            line.append("  equal" if row.equal else "  WRONG", style="green" if row.equal else "red")
        line.rstrip()
        console.print(line, soft_wrap=True)

    show(headings)
    for heading, block in blocks:
        console.print(heading, markup=False, soft_wrap=True)
        for row in block:
            show(row)


def _places(number: int, in_objects: bool) -> str:
    return _number(number, "object" if in_objects else "partition")


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def verify(emulation_ids: Sequence[str], *, service_url: str, settings: Settings) -> int:
    """Print the receipt of emulations and return the exit status: 0 if each completed and was counted right, else 1."""
    try:
        receipts = [write_receipt(each, service_url=service_url, settings=settings) for each in emulation_ids]
    except ReadBackError as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    right = print_receipts(receipts)
    for receipt in receipts:
        for problem in receipt.problems[:_PROBLEMS_SHOWN]:
            line = f"{receipt.manifest.emulation_domain} ({receipt.manifest.id}): {problem}"
            console.print(line, markup=False, soft_wrap=True)
        if len(receipt.problems) > _PROBLEMS_SHOWN:
            console.print(f"and {len(receipt.problems) - _PROBLEMS_SHOWN:,} more")
    return 0 if right else 1
