"""The embedded stack, and the demo on it."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The embedded stack: S3, Kafka and the service, without Docker.")


def demo() -> None:
    """Run all_emulations_dag for real on a throw-away stack, and count what it wrote."""
    from data_emulator.demo import demo

    raise typer.Exit(demo.run())


@app.command()
def up(airflow: Annotated[bool, typer.Option("--airflow", help="Airflow too.")] = False) -> None:
    """Start S3, Kafka and the service, print where they are, and leave them running."""
    from data_emulator.stack.up import up

    raise typer.Exit(up(airflow))


@app.command()
def down() -> None:
    """Stop what `up` has started. The data stays, for the next `up`."""
    from data_emulator.stack.down import down

    raise typer.Exit(down())


@app.command()
def reset() -> None:
    """Stop what `up` has started, and delete its data and what failed demos left."""
    from data_emulator.stack.down import reset

    raise typer.Exit(reset())
