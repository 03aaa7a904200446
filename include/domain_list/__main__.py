"""Check a list of domains in a file, or print its JSON Schema."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from . import parse_domain_list
from .schema import json_schema

_USAGE = "Usage: python -m include.domain_list FILE, or python -m include.domain_list --schema"


def main(arguments: Sequence[str]) -> str | None:
    """Check the list in a file, or print the schema.

    :param arguments: of the command line: the file's path, or ``--schema``
    :return: what is wrong; None if nothing is
    """
    if len(arguments) != 1:
        return _USAGE
    if arguments[0] == "--schema":
        sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
        return None
    try:
        parse_domain_list(Path(arguments[0]).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
