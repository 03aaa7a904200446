"""How realistic a domain is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data_emulator.cli.common import give_up, known_domain, settings_with


def report(
    domain: Annotated[str, typer.Argument(help="The domain, as in a request.")],
    seed: Annotated[int, typer.Option(help="Of the users and the records, as in a request.")] = 20,
    records: Annotated[int, typer.Option(min=1000, help="How many; the bounds are meant for a million.")] = 1_000_000,
    to: Annotated[Path | None, typer.Option(help="The page to write; by default realism-<domain>.html here.")] = None,
) -> None:
    """Write a page about how realistic a domain's records are; exit status 1 if a check does not hold."""
    from data_emulator.report import write_report

    domain = known_domain(domain)
    settings = settings_with({})
    path = to or Path(f"realism-{domain}.html")
    try:
        checks = write_report(domain, seed, records, path, users=settings.world_users, fraud_share=settings.fraud_share)
    except OSError as error:
        give_up(f"cannot write {path}: {error.strerror}")
    for check in checks:
        if not check.holds:
            typer.echo(f"does not hold: {check.name} is {check.value:g}, not within {check.low:g} and {check.high:g}")
    typer.echo(f"{sum(check.holds for check in checks)} of {len(checks)} checks hold; the page is {path}")
    raise typer.Exit(0 if all(check.holds for check in checks) else 1)
