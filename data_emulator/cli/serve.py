"""The service itself."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from data_emulator.cli.common import give_up, settings_with

if TYPE_CHECKING:
    from data_emulator.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; beyond loopback a token is needed.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen beyond loopback without a token.")] = False,
) -> None:
    """Run the service. All settings come from the environment: DATA_EMULATOR_<NAME>."""
    from data_emulator import logs
    from data_emulator.api.app import create_app
    from data_emulator.api.server import Server
    from data_emulator.errors import ConfigurationError

    logs.configure()
    given = {"host": host, "port": port, "insecure": insecure or None}
    settings = settings_with({name: value for name, value in given.items() if value is not None})
    try:
        settings.check_exposure()
        application = create_app(settings)
    except ConfigurationError as error:
        give_up(str(error))
    server = Server(application, settings, on_started=lambda url: _announce(url, settings))
    server.run()
    if not server.started:
        give_up(f"the service could not start on {settings.host}, port {settings.port}")


def openapi() -> None:
    """Print the service's OpenAPI document."""
    from data_emulator.api.app import create_app

    typer.echo(json.dumps(create_app(settings_with({"database_url": "sqlite://"})).openapi(), indent=2))


def _announce(url: str, settings: Settings) -> None:
    """Say where the service is and to which sinks it can write: on a terminal for people, else as an event."""
    import structlog

    from data_emulator.sinks.configured import sink_configurations

    sinks = sink_configurations(settings)
    if not sys.stderr.isatty():
        structlog.get_logger(__name__).info(
            "serving",
            url=url,
            docs=f"{url}/docs",
            sinks={name: sink.at for name, sink in sinks.items() if sink.is_configured},
            missing={name: list(sink.missing) for name, sink in sinks.items() if not sink.is_configured},
        )
        return
    lines = ["The Data Emulator Service is up.", f"  {'API':<8}{url}", f"  {'Try it':<8}{url}/docs"]
    for sink in sinks.values():
        lines.append(f"  {sink.title:<8}{sink.at if sink.is_configured else 'not configured; set'}")
        lines += [f"          {name}" for name in sink.missing]
    if settings.token is not None:
        lines.append("Each request needs the token.")
    lines.append("Ctrl-C stops it.")
    typer.echo("\n".join(lines), err=True)
