"""Looking at what is there: in buckets, topics and a folder."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import typer

from data_emulator.cli.common import give_up, needs_extra, settings_with, with_running_stack

if TYPE_CHECKING:
    from data_emulator.settings import Settings
    from data_emulator.verify.inventory import Contents

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIMEOUT = timedelta(seconds=30)
_NEWEST = 5


def list_places(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder; by default DATA_EMULATOR_FILE_ROOT, or data.")
    ] = None,
) -> None:
    """Show what is in the buckets and topics of the environment, or of the stack of 'make up', and in a folder."""
    with needs_extra("ls"):
        from data_emulator.verify import inventory
        from data_emulator.verify.readback import ReadBackError

    settings = settings_with({}) if folder else with_running_stack(settings_with({}))
    root = folder or settings.file_root or Path("data")
    if folder and not folder.is_dir():
        give_up(f"there is no folder {folder}")
    found: list[Contents] = []
    emulations = {} if folder else inventory.emulations_of(settings)
    looks: list[Callable[[], list[Contents]]] = [lambda: _folders(root)]
    if not folder:
        looks += [lambda: _buckets(settings), lambda: _topics(settings)]
    for look in looks:
        try:
            found += look()
        except ReadBackError as error:
            typer.echo(f"data-emulator: {error}", err=True)
    inventory.add_records(found, emulations)
    if not found:
        give_up("nothing is there. Try: data-emulator emulate transaction --to data")
    _print(found)
    if emulations:
        typer.echo("The newest emulations; 'data-emulator show ID' shows records:")
        for each in list(emulations.values())[:_NEWEST]:
            typer.echo(f"  {each.id} {each.emulation_domain}")


def _folders(root: Path) -> list[Contents]:
    from data_emulator.sinks.file import Folder
    from data_emulator.verify import inventory

    found = (inventory.contents_of(Folder(each), _typed(each), "file") for each in inventory.folders(root))
    return [each for each in found if each is not None]


def _buckets(settings: Settings) -> list[Contents]:
    from data_emulator.sinks.configured import s3_configuration
    from data_emulator.sinks.s3.bucket import S3Bucket
    from data_emulator.verify import inventory

    if not s3_configuration(settings).is_configured:
        return []
    names = [*inventory.destinations(), inventory.BRONZE_BUCKET]
    found = (inventory.contents_of(S3Bucket(settings, each, _TIMEOUT), f"s3://{each}", "object") for each in names)
    return [each for each in found if each is not None and each.parts]


def _topics(settings: Settings) -> list[Contents]:
    from data_emulator.verify import inventory

    return inventory.contents_of_topics(settings) if settings.kafka_bootstrap_servers else []


def _typed(path: Path) -> str:
    """Return a path as somebody in the current folder types it."""
    return str(path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path)


def _print(found: list[Contents]) -> None:
    rows = [("place", "", "records", "bytes")]
    for each in found:
        parts = f"{each.parts:,} {each.noun}" + ("" if each.parts == 1 else "s")
        figures = ["" if figure is None else f"{figure:,}" for figure in (each.records, each.bytes)]
        rows.append((each.place, parts, figures[0], figures[1]))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        typer.echo("  ".join(cells).rstrip())


def show(
    place: Annotated[str, typer.Argument(help="An emulation's id, s3://BUCKET, kafka://TOPIC, or a folder or file.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1_000_000, help="How many records.")] = 3,
) -> None:
    """Read the first records back, and print them: of an emulation, or of what was written to a place last.

    Service, store and broker come from the service's environment variables, or from a running 'make up'.
    """
    from data_emulator.errors import ConfigurationError
    from data_emulator.verify.readback import ReadBackError

    try:
        with needs_extra("show"):
            records = _records(place, count)
        for record in records:
            _print_record(record)
    except ReadBackError as error:
        give_up(str(error))
    except ConfigurationError as error:
        give_up(f"{error}, or run 'make up'")


def _records(place: str, count: int) -> list[Any]:
    from data_emulator.sinks.file import Folder
    from data_emulator.sinks.s3.bucket import S3Bucket
    from data_emulator.verify import inventory
    from data_emulator.verify.compare import fetch_manifest
    from data_emulator.verify.first_records import first_records

    url = urlsplit(place)
    if url.scheme in ("s3", "kafka") or _ID.fullmatch(place):
        settings = with_running_stack(settings_with({}))
        if url.scheme == "kafka":
            return [_decoded(value, settings) for value in inventory.first_values(url.netloc, settings, count)]
        if url.scheme == "s3":
            bucket = S3Bucket(settings, url.netloc, _TIMEOUT)
            return first_records(inventory.newest(bucket, url.netloc, url.path.strip("/")), settings, count)
        manifest = fetch_manifest(place, service_url=f"http://{settings.host}:{settings.port}", settings=settings)
        return first_records(manifest, settings, count)
    path = Path(url2pathname(url.path) if url.scheme == "file" else place).absolute()
    if not path.exists():
        give_up(f"{place} is no emulation's id, no s3:// or kafka:// URL, and there is no such folder or file")
    folder, name = (path, "") if path.is_dir() else (path.parent, path.name)
    settings = settings_with({"file_root": folder.parent})
    return first_records(inventory.newest(Folder(folder), folder.name, name), settings, count)


def _decoded(value: bytes, settings: Settings) -> Any:
    """Return a message's record; of CSV, which has no header there, its text."""
    from data_emulator.verify.decoding import MessageDecoder

    if value.startswith(b"\0"):
        return MessageDecoder("avro", settings).record(value)
    try:
        return json.loads(value)
    except ValueError:
        return value.decode(errors="replace")


def _print_record(record: Any) -> None:
    """Print a record, on a terminal over several lines, elsewhere in one."""
    if isinstance(record, str):
        typer.echo(record)
    elif sys.stdout.isatty():
        typer.echo(json.dumps(record, indent=1, ensure_ascii=False, default=str))
    else:
        typer.echo(json.dumps(record, ensure_ascii=False, default=str))
