"""The receipt of an emulation that was carried out here: readable at 60 columns."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from data_emulator.settings import Settings
    from data_emulator.wire import Manifest

_LISTED = 5


def show(manifest: Manifest, place: str, settings: Settings) -> bool:
    """Print where the data is and what there is, read it back, and print how to look at it.

    :param place: as a person types it.
    :return: whether what was read back is what was written.
    """
    if not manifest.totals.records:
        typer.echo("Nothing was written.")
        return False
    parts = manifest.totals.objects or manifest.totals.partitions
    noun = {"s3": "object", "file": "file"}.get(manifest.sink, "partition") + ("" if parts == 1 else "s")
    typer.echo(f"{manifest.totals.records:,} records of {manifest.emulation_domain} in {parts:,} {noun}:")
    typer.echo(f"  {place}")
    lines = list(_parts(manifest))
    for line in lines[:_LISTED]:
        typer.echo(f"    {line}")
    if len(lines) > _LISTED:
        typer.echo(f"    and {len(lines) - _LISTED:,} more")
    problems = _problems(manifest, settings)
    if problems is None:
        typer.echo("Not read back: that needs lakehouse-data-emulator[verify].")
        return True
    if problems:
        typer.echo("Read back, and it is NOT what was written:")
        for problem in problems[:_LISTED]:
            typer.echo(f"  {problem}")
        return False
    checksums = ", checksums" if manifest.in_objects else ""
    typer.echo(f"Read back: {manifest.totals.records:,} records, {manifest.totals.bytes:,} bytes{checksums}: equal.")
    typer.echo("Look at it:")
    typer.echo(f"  data-emulator show {shlex.quote(place.rstrip('/'))} -n 3")
    return True


def _parts(manifest: Manifest) -> Iterator[str]:
    for each in manifest.objects:
        name = each.key.rpartition("/")[2]
        yield f"{name}  {each.records:,} records, {each.bytes:,} bytes"
    for part in manifest.partitions:
        offsets = f"offsets {part.first_offset:,} to {part.next_offset - 1:,}"
        yield f"partition {part.partition}  {part.records:,} records, {part.bytes:,} bytes, {offsets}"


def _problems(manifest: Manifest, settings: Settings) -> list[str] | None:
    """Return in what the data that is there differs from the manifest; `None` if nobody can read it here."""
    try:
        from data_emulator.verify.compare import differences
        from data_emulator.verify.messages import count_messages
        from data_emulator.verify.objects import count_objects
        from data_emulator.verify.readback import ReadBackError
    except ModuleNotFoundError:
        return None
    try:
        counted = count_objects(manifest, settings) if manifest.in_objects else count_messages(manifest, settings)
    except ReadBackError as error:
        return [str(error)]
    return list(differences(manifest, counted))
