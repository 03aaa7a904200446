"""The command line, ``data-emulator``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from data_emulator import logs
from data_emulator.api.app import create_app
from data_emulator.api.server import Server
from data_emulator.domains import all_domains
from data_emulator.errors import ConfigurationError
from data_emulator.report import write_report
from data_emulator.settings import Settings
from data_emulator.suggestion import suggestion

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The Data Emulator Service.", pretty_exceptions_enable=False
)

stack = typer.Typer(no_args_is_help=True, help="The embedded stack: S3, Kafka and the service, without Docker.")
app.add_typer(stack, name="stack")


# The stack and the receipt are imported by the commands that need them: they come with the extra `embedded`.
@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; beyond loopback a token is needed.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen beyond loopback without a token.")] = False,
) -> None:
    """Run the service. All settings come from the environment: DATA_EMULATOR_<NAME>."""
    logs.configure()
    given = {"host": host, "port": port, "insecure": insecure or None}
    settings = _settings({name: value for name, value in given.items() if value is not None})
    try:
        settings.check_exposure()
        application = create_app(settings)
    except ConfigurationError as error:
        _give_up(str(error))
    server = Server(application, settings)
    server.run()
    if not server.started:
        _give_up(f"the service could not start on {settings.host}, port {settings.port}")


@app.command()
def openapi() -> None:
    """Print the service's OpenAPI document."""
    typer.echo(json.dumps(create_app(_settings({"database_url": "sqlite://"})).openapi(), indent=2))


@app.command()
def verify(
    emulation_ids: Annotated[list[str], typer.Argument(help="Ids of emulations that have ended.")],
    url: Annotated[str | None, typer.Option(help="The service; by default the one on this machine.")] = None,
) -> None:
    """Read back what emulations have written, and compare it with their manifests; exit status 1 if they differ.

    The store, the broker and the token come from the same environment variables as the service's.
    """
    from data_emulator.stack import receipt

    settings = _settings({})
    service_url = url or f"http://{settings.host}:{settings.port}"
    raise typer.Exit(receipt.verify(emulation_ids, service_url=service_url, settings=settings))


@app.command()
def report(
    domain: Annotated[str, typer.Argument(help="The domain, as in a request.")],
    seed: Annotated[int, typer.Option(help="Of the users and the records, as in a request.")] = 20,
    records: Annotated[int, typer.Option(min=1000, help="How many; the bounds are meant for a million.")] = 1_000_000,
    to: Annotated[Path | None, typer.Option(help="The page to write; by default realism-<domain>.html here.")] = None,
) -> None:
    """Write a page about how realistic a domain's records are; exit status 1 if a check does not hold."""
    if domain not in all_domains():
        _give_up(f"there is no domain {domain!r}; {suggestion(domain, all_domains())}")
    settings = _settings({})
    path = to or Path(f"realism-{domain}.html")
    try:
        checks = write_report(domain, seed, records, path, users=settings.world_users, fraud_share=settings.fraud_share)
    except OSError as error:
        _give_up(f"cannot write {path}: {error.strerror}")
        raise  # not reached
    for check in checks:
        if not check.holds:
            typer.echo(f"does not hold: {check.name} is {check.value:g}, not within {check.low:g} and {check.high:g}")
    typer.echo(f"{sum(check.holds for check in checks)} of {len(checks)} checks hold; the page is {path}")
    raise typer.Exit(0 if all(check.holds for check in checks) else 1)


@app.command()
def demo() -> None:
    """Run all_emulations_dag for real on a throw-away stack, and count what it wrote."""
    from data_emulator.stack import demo

    raise typer.Exit(demo.run())


@stack.command()
def up(airflow: Annotated[bool, typer.Option("--airflow", help="Airflow too.")] = False) -> None:
    """Start S3, Kafka and the service, print where they are, and leave them running."""
    from data_emulator.stack.up import up

    raise typer.Exit(up(airflow))


@stack.command()
def down() -> None:
    """Stop what `up` has started. The data stays, for the next `up`."""
    from data_emulator.stack.down import down

    raise typer.Exit(down())


@stack.command()
def reset() -> None:
    """Stop what `up` has started, and delete its data and what failed demos left."""
    from data_emulator.stack.down import reset

    raise typer.Exit(reset())


def _settings(given: dict[str, object]) -> Settings:
    try:
        return Settings.model_validate({**Settings().model_dump(exclude_unset=True), **given})
    except ValidationError as error:
        # The values are not shown: one of them may be a secret.
        wrong = [f"DATA_EMULATOR_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        _give_up("; ".join(wrong))
        raise  # not reached


def _give_up(message: str) -> None:
    typer.echo(f"data-emulator: {message}", err=True)
    raise typer.Exit(2)


def main() -> None:
    """Run the command line."""
    app()
