"""Emulating without a service: to a folder, S3 or Kafka, and a receipt at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, cast

import typer

from data_emulator.cli.common import give_up, known_domain, settings_with, with_running_stack

if TYPE_CHECKING:
    from data_emulator.cli.local import LocalEmulation
    from data_emulator.service.store.emulation import Emulation
    from data_emulator.settings import Settings
    from data_emulator.wire import EmulationRequest

_SINKS = {"s3": "minio", "minio": "minio", "kafka": "kafka"}
_OUTAGE_S = 30.0
_CHUNK_BYTES = 16 * 2**20


def emulate(
    domain: Annotated[str, typer.Argument(help="user-profile, device-log, transaction, or one of yours.")],
    records: Annotated[int, typer.Option("--records", "-n", min=1, help="How many.")] = 1000,
    to: Annotated[str, typer.Option(help="A folder, s3 or kafka.")] = "data",
    format_type: Annotated[str, typer.Option("--format", help="json, csv, parquet or avro.")] = "json",
    compression: Annotated[str | None, typer.Option(help="gzip, zstd ...; by default the format's own.")] = None,
    chunk_bytes: Annotated[
        int | None, typer.Option(min=1, help="Several files of about this size; by default one file.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Records a second; by default as fast as possible.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same data.")] = None,
) -> None:
    """Make records of a domain, write them, read them back and compare; exit status 1 if anything is wrong.

    S3 and Kafka come from DATA_EMULATOR_S3_... and DATA_EMULATOR_KAFKA_..., or from a running 'make up'.
    """
    from data_emulator.cli.local import emulating
    from data_emulator.errors import ConfigurationError, RequestRefused
    from data_emulator.stack.interrupts import Interrupted, interrupts_raise

    domain = known_domain(domain)
    sink = _SINKS.get(to, "file")
    settings = settings_with({"file_root": to} if sink == "file" else {})
    if sink != "file":
        settings = with_running_stack(settings)
    if "sink_outage_s" not in settings.model_fields_set:
        settings = settings.model_copy(update={"sink_outage_s": _OUTAGE_S})  # somebody waits for it
    request = _request(
        emulator_sync=sink,
        emulation_domain=domain,
        format_type=format_type,
        compression=compression,
        sync_type="grouped" if chunk_bytes is None else "chunked",
        max_chunk_size=chunk_bytes or _CHUNK_BYTES,
        max_records=records,
        rate=rate,
        seed=seed,
    )
    _quiet_logs()
    with interrupts_raise():
        try:
            with emulating(request, settings) as emulation:
                try:
                    end = _watch(emulation, records)
                except Interrupted as interruption:
                    emulation.cancel()
                    typer.echo("Interrupted. What was written until then stays:", err=True)
                    _receipt(emulation, settings)
                    raise typer.Exit(interruption.exit_status) from None
                right = _receipt(emulation, settings)
        except Interrupted as interruption:  # before it had begun
            raise typer.Exit(interruption.exit_status) from None
        except (ConfigurationError, RequestRefused) as error:
            give_up(str(error).replace("in the service's environment", "in the environment, or run 'make up'"))
    raise typer.Exit(0 if right and end.state == "completed" else 1)


def _request(**fields: Any) -> EmulationRequest:
    """Return a request that ends with its records, whenever that is."""
    from pydantic import ValidationError

    from data_emulator.wire import MAX_TIMEOUT_S, EmulationRequest

    if fields["rate"] and fields["max_records"] / fields["rate"] > MAX_TIMEOUT_S:
        give_up(f"at --rate {fields['rate']:g} this would take more than {MAX_TIMEOUT_S // 86400} days")
    try:
        return EmulationRequest(timeout=MAX_TIMEOUT_S, **fields)
    except ValidationError as error:
        give_up("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()))


def _quiet_logs() -> None:
    """Let the engine log warnings only: what it does is shown here."""
    import logging

    import structlog

    from data_emulator.logs import StandardError

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, StandardError())),
    )


def _watch(emulation: LocalEmulation, records: int) -> Emulation:
    """Show how far it is until it has ended, and return its end."""
    with _bar(records) as show:
        for found in emulation.looks():
            show(found.records, emulation.waits_for())
    return found


@contextmanager
def _bar(records: int) -> Iterator[Any]:
    """Give what shows a progress bar on a terminal; elsewhere it shows only what is waited for."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(bar_width=None), TextColumn("{task.completed:,.0f} of {task.total:,}"), TimeElapsedColumn())
    told: str | None = None
    with Progress(*columns, console=console, disable=not console.is_terminal, expand=True, transient=True) as progress:
        task = progress.add_task("", total=records)

        def show(done: int, waits_for: str | None) -> None:
            nonlocal told
            progress.update(task, completed=done)
            if waits_for is not None and waits_for != told:
                progress.console.print(f"Waiting: {waits_for}", markup=False, soft_wrap=True)
            told = waits_for

        yield show


def _receipt(emulation: LocalEmulation, settings: Settings) -> bool:
    """Print what was written and what was found when it was read back; return whether all of it is right."""
    from data_emulator.cli import receipt

    end, manifest = emulation.look(), emulation.manifest()
    if end.error:
        typer.echo(f"The emulation has failed: {end.error}", err=True)
    place = manifest.place or ""
    if manifest.sink == "file" and settings.file_root is not None:
        folder = settings.file_root / str(manifest.bucket) / manifest.id
        place = str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder) + os.sep
    return receipt.show(manifest, place, settings)
