"""The command line, ``data-emulator``: a file for each subject.

What a command needs is imported when it runs: so help is printed at once, and the libraries of the stack, which come
with the extra `embedded`, and of the readers, which come with `verify`, are needed by their commands only.
"""

from __future__ import annotations

import typer

from data_emulator.cli import emulate, look, prune, report, sample, serve, stack, verify

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Realistic data per domain, to a folder, S3 or Kafka: at once, or by a service.",
    pretty_exceptions_enable=False,
)
app.command()(sample.sample)
app.command()(emulate.emulate)
app.command("ls")(look.list_places)
app.command()(look.show)
app.command()(verify.verify)
app.command()(report.report)
app.command()(serve.serve)
app.command()(serve.openapi)
app.command()(prune.prune)
app.command()(stack.demo)
app.add_typer(stack.app, name="stack")


def main() -> None:
    """Run the command line."""
    app()
