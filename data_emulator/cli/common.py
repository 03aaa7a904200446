"""What commands share: settings, the running stack, and how they refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from data_emulator.settings import Settings
    from data_emulator.stack.addresses import Addresses


def give_up(message: str) -> NoReturn:
    """Print why the command cannot be carried out, and end with exit status 2."""
    typer.echo(f"data-emulator: {message}", err=True)
    raise typer.Exit(2)


def settings_with(given: Mapping[str, object]) -> Settings:
    """Return the settings of the environment, with those that are `given` in their place."""
    from pydantic import ValidationError

    from data_emulator.settings import Settings

    try:
        return Settings.model_validate({**Settings().model_dump(exclude_unset=True), **given})
    except ValidationError as error:
        # The values are not shown: one of them may be a secret.
        wrong = [f"DATA_EMULATOR_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        give_up("; ".join(wrong))


def known_domain(name: str) -> str:
    """Return a domain's name in lower case; give up if there is none like it."""
    from data_emulator.domains import all_domains
    from data_emulator.suggestion import suggestion

    domain = name.lower()
    if domain not in all_domains():
        give_up(f"there is no domain {name!r}; {suggestion(domain, all_domains())}")
    return domain


def running_stack() -> Addresses | None:
    """Return where the stack that `make up` has started is reached, or `None`."""
    try:
        from data_emulator.stack.addresses import running_addresses
        from data_emulator.stack.folders import up_dir
    except ModuleNotFoundError:  # the extra `embedded` is not installed, so that there is no stack
        return None
    return running_addresses(up_dir())


def with_running_stack(settings: Settings) -> Settings:
    """Return the settings; where the environment leads to no store, broker or service, those of a running stack.

    That it is used is told on standard error.
    """
    from data_emulator.sinks.configured import s3_configuration
    from data_emulator.stack.folders import up_dir
    from data_emulator.stack.incidents import describe_incidents, recorded_incidents

    found = running_stack()
    if found is None:
        return settings
    of_stack = found.settings()
    given = settings.model_fields_set
    used: dict[str, object] = {}
    if not any(name.startswith("s3_") for name in given) and not s3_configuration(settings).is_configured:
        used |= {name: getattr(of_stack, name) for name in type(settings).model_fields if name.startswith("s3_")}
    if not any(name.startswith("kafka_") for name in given):
        used |= {"kafka_bootstrap_servers": found.kafka_bootstrap_servers, "kafka_delivery": "at-least-once"}
    if not given & {"host", "port", "token"}:
        host, _, port = found.service_url.removeprefix("http://").partition(":")
        used |= {"host": host, "port": int(port)}
    if used:
        typer.echo("Using the stack that 'make up' started.", err=True)
        for line in describe_incidents(recorded_incidents(up_dir())):
            typer.echo(line, err=True)
    return settings.model_copy(update=used)


@contextmanager
def needs_extra(what: str) -> Iterator[None]:
    """Give up with what to install, if a library is missing that the extra `verify` brings."""
    try:
        yield
    except ModuleNotFoundError as error:
        give_up(f"{what} needs {error.name}: install lakehouse-data-emulator[verify]")
