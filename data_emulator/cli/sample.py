"""A few records, printed at once: no store, no broker and no service."""

from __future__ import annotations

import sys
import time
import uuid
from typing import Annotated

import typer

from data_emulator.cli.common import give_up, known_domain, settings_with

_BINARY = ("parquet", "avro")


def sample(
    domain: Annotated[str, typer.Argument(help="user-profile, device-log, transaction, or one of yours.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1_000_000, help="How many records.")] = 5,
    seed: Annotated[int | None, typer.Option(help="The same seed prints the same; without it, new records.")] = None,
    format_type: Annotated[str, typer.Option("--format", help="json, csv, parquet or avro.")] = "json",
) -> None:
    """Print records of a domain. They are those that an emulation writes, in the same format."""
    from data_emulator.domains.people import name_pools
    from data_emulator.engine.layout import layout
    from data_emulator.engine.plan import Plan
    from data_emulator.engine.source import SAMPLE_START_US, RecordSource
    from data_emulator.formats.catalog import FORMATS
    from data_emulator.suggestion import suggestion

    domain = known_domain(domain)
    settings = settings_with({})
    if format_type not in FORMATS:
        give_up(f"there is no format {format_type!r}; {suggestion(format_type, FORMATS)}")
    if format_type in _BINARY and sys.stdout.isatty():
        give_up(f"{format_type} is not for a terminal: add '> records.{format_type}', or take json or csv")
    name_pools()
    of_now = uuid.uuid4()
    rate = settings.default_rate
    plan = Plan(
        emulation_id=str(of_now if seed is None else uuid.UUID(int=0)),
        domain=domain,
        sink="file",
        format=format_type,  # type: ignore[arg-type]  # one of FORMATS
        compression=FORMATS[format_type].usual_compression,
        sync_type="grouped",
        max_chunk_size=1,
        duration_s=int(count / rate) + 1,
        rate=rate,
        max_records=count,
        world_seed=settings.world_seed if seed is None else seed,
        world_users=settings.world_users,
        seed=of_now.int % 2**63 if seed is None else seed,
        started_us=int((time.time() - count / rate) * 1e6) if seed is None else SAMPLE_START_US,
        fraud_share=settings.fraud_share,
    )
    source = RecordSource(plan)
    encoder = layout(plan, source).format.encoder("sample")
    left = count
    while left:
        records = source.take(left)
        left -= len(records)
        sys.stdout.buffer.write(encoder.add(records))
    sys.stdout.buffer.write(encoder.close())
    sys.stdout.buffer.flush()
