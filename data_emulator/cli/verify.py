"""Reading back what emulations have written."""

from __future__ import annotations

from typing import Annotated

import typer

from data_emulator.cli.common import needs_extra, settings_with, with_running_stack


def verify(
    emulation_ids: Annotated[list[str], typer.Argument(help="Ids of emulations that have ended.")],
    url: Annotated[str | None, typer.Option(help="The service; by default the one on this machine.")] = None,
) -> None:
    """Read back what emulations have written, and compare it with their manifests; exit status 1 if they differ.

    Service, store, broker and token come from the service's environment variables, or from a running 'make up'.
    """
    with needs_extra("verify"):
        from data_emulator.verify import receipt

    settings = settings_with({})
    if url is None:
        settings = with_running_stack(settings)
        url = f"http://{settings.host}:{settings.port}"
    raise typer.Exit(receipt.verify(emulation_ids, service_url=url, settings=settings))
