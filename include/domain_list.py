"""The list of domains to emulate, as the Airflow Variable ``emulation_domains`` holds it.

The Variable is a JSON array. An entry is a domain's name, or an object with ``emulation_domain`` and any of the other
fields of a request, which then replace the defaults::

    ["user-profile", {"emulation_domain": "transaction", "timeout": 300, "rate": 5000, "label": "payments"}]

Defaults: ``json``, ``grouped``, 1024, and a sink and duration by name: user-profile goes to minio for 30 s, device-log
and transaction to kafka for 60 s, and any other name, a domain added by a user, to minio for 60 s. ``rate``,
``max_records``, ``seed``, ``compression``, ``start_time`` and ``end_time`` are left to the service unless given; a rate
of ``null`` or ``"unlimited"`` means as fast as it goes. Beside the request's fields there are ``label``,
``wait_timeout`` and ``poll_interval``, for Airflow.

``docs/emulation_domains.schema.json`` says the same as a JSON Schema, for editors. Nothing here imports Airflow, so
that a list can be checked anywhere: in a task, in a test, or by ``python -m include.domain_list FILE``.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

VARIABLE = "emulation_domains"

#: The list when the Variable is not set: the three domains of the article.
ARTICLE_DOMAINS = ("user-profile", "device-log", "transaction")

_COMMON_DEFAULTS = {"format_type": "json", "sync_type": "grouped", "max_chunk_size": 1024}
_DEFAULTS_BY_DOMAIN = {
    "user-profile": {"emulator_sync": "minio", "timeout": 30},
    "device-log": {"emulator_sync": "kafka", "timeout": 60},
    "transaction": {"emulator_sync": "kafka", "timeout": 60},
}
_LEFT_TO_THE_SERVICE = ("rate", "max_records", "seed", "compression", "start_time", "end_time")
_DEFAULTS_ELSEWHERE = {"emulator_sync": "minio", "timeout": 60}

#: How much longer than its own duration an emulation is waited for: queueing before it, and writing out after it.
WAIT_MARGIN_S = 600

#: Seconds between two looks at an emulation, at a service without long poll.
POLL_INTERVAL_S = 10

_MAX_RATE = 1_000_000_000
_MAX_WAIT_S = 366 * 24 * 3600
_MAX_POLL_INTERVAL_S = 24 * 3600

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Neither control characters and line ends nor halves of surrogate pairs, which no database stores.
_IN_A_LABEL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_LABEL = re.compile(rf"[^ {_IN_A_LABEL}](?:[^{_IN_A_LABEL}]{{0,98}}[^ {_IN_A_LABEL}])?")
_TIME = re.compile(
    r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]"
    r"(?::[0-5][0-9](?:\.[0-9]{1,6})?)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)

_POOL = (
    "pool cannot be given here: Airflow fixes the pool of a task when it reads the DAG file, before this list is read. "
    "Name it for the tasks in the DAG file, as pool='data_emulator', and change how many run at once under Admin > "
    "Pools, or by `airflow pools set --include-deferred data_emulator SLOTS DESCRIPTION`"
)


class DomainListError(ValueError):
    """The list, or what shall replace some of it, cannot be used.

    :param problems: one sentence each: which entry, which field, what it is and what is allowed
    :param what: what cannot be used
    """

    def __init__(self, problems: list[str], what: str = f"The Airflow Variable {VARIABLE!r}") -> None:
        super().__init__(f"{what} cannot be used:\n" + "\n".join(f"- {p}" for p in problems))
        self.problems = problems


def parse_domain_list(text: str | None) -> list[dict[str, Any]]:
    """Read and check the list.

    :param text: the Variable's value; None if it is not set
    :return: for each entry the ``arguments`` of the operators that start and wait: the six fields of the request;
        those that are left to the service, as None, unless given; ``emulation_label``, which differs between entries;
        ``wait_timeout`` and ``poll_interval``, in seconds
    :raises DomainListError: naming everything that is wrong, entries counted from 0 as Airflow's map index is
    """
    entries: Any = list(ARTICLE_DOMAINS)
    if text is not None:
        try:
            entries = json.loads(text)
        except json.JSONDecodeError as error:
            raise DomainListError(
                [f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"]
            ) from None
        except (ValueError, RecursionError) as error:  # a number or a nesting beyond what Python reads
            raise DomainListError([f"it cannot be read as JSON: {error}"]) from None
    if not isinstance(entries, list):
        raise DomainListError([f"it must be a JSON array of domains, not {_json_type(entries)}"])

    problems: list[str] = []
    requests = [_request(index, entry, problems) for index, entry in enumerate(entries)]
    if not problems:
        _label(requests, problems)
    if problems:
        raise DomainListError(problems)
    return requests


def with_overrides(
    domains: Sequence[Mapping[str, Any]], *, rate: Any = None, timeout: Any = None, seed: Any = None
) -> list[dict[str, Any]]:
    """The list with what a manual run replaces in every entry.

    What an entry is waited for beyond its duration stays as it is; a wait that is shorter than the duration, too.

    :param domains: as :func:`parse_domain_list` gives them; left as they are
    :param rate: records a second, or ``"unlimited"``; None as in the list
    :param timeout: how long to emulate, in seconds; None as in the list
    :param seed: None as in the list
    :return: as :func:`parse_domain_list`
    :raises DomainListError: naming each value that cannot be used
    """
    given = {"rate": rate, "timeout": timeout, "seed": seed}
    overrides = {name: value for name, value in given.items() if value is not None}
    if problems := _problems(overrides):
        raise DomainListError(problems, "What the run shall replace in the list of domains")
    overrides = {name: _plain(value) for name, value in overrides.items()}
    replaced = []
    for domain in domains:
        margin_s = domain["wait_timeout"] - domain["timeout"]
        new = {**domain, **overrides}
        if margin_s >= 0:
            new["wait_timeout"] = new["timeout"] + margin_s
        replaced.append(new)
    return replaced


def _request(index: int, entry: Any, problems: list[str]) -> dict[str, Any]:
    """One entry with its defaults filled in; what is wrong with it is added to ``problems``."""
    if isinstance(entry, str):
        entry = {"emulation_domain": entry}
    if not isinstance(entry, dict):
        problems.append(f"entry {index}: must be a domain's name or an object, not {_json_type(entry)}")
        return {}
    domain = entry.get("emulation_domain")
    where = f"entry {index} ({domain!r})" if isinstance(domain, str) else f"entry {index}"

    for name in entry:
        if name == "pool":
            problems.append(f"{where}: {_POOL}")
        elif name not in _FIELDS:
            close = difflib.get_close_matches(name, _FIELDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"allowed are {', '.join(_FIELDS)}"
            problems.append(f"{where}: unknown field {name!r}; {hint}")
    if "emulation_domain" not in entry:
        problems.append(f"{where}: emulation_domain is missing; it names the domain to emulate")
    problems += [f"{where}: {problem}" for problem in _problems(entry)]

    name = domain.lower() if isinstance(domain, str) else ""
    request = {
        **_COMMON_DEFAULTS,
        **_DEFAULTS_BY_DOMAIN.get(name, _DEFAULTS_ELSEWHERE),
        **dict.fromkeys(_LEFT_TO_THE_SERVICE),
        **{field: _plain(value) for field, value in entry.items()},
        "emulation_domain": name,
    }
    if "rate" in entry and entry["rate"] is None:
        request["rate"] = "unlimited"  # on the wire null; None in a task's arguments already means "not given"
    request["emulation_label"] = request.pop("label", None)
    if request.get("wait_timeout") is None and _is_integer(request["timeout"]):
        request["wait_timeout"] = request["timeout"] + WAIT_MARGIN_S
    if request.get("poll_interval") is None:
        request["poll_interval"] = POLL_INTERVAL_S
    return request


def _label(requests: list[dict[str, Any]], problems: list[str]) -> None:
    """Label the entries that have no label of their own; that two have the same one is added to ``problems``."""
    unlabelled: Counter[str] = Counter()
    first_with: dict[str, int] = {}
    for index, request in enumerate(requests):
        if request["emulation_label"] is None:
            domain = request["emulation_domain"]
            unlabelled[domain] += 1
            request["emulation_label"] = domain if unlabelled[domain] == 1 else f"{domain} #{unlabelled[domain]}"
        label = request["emulation_label"]
        first = first_with.setdefault(label, index)
        if first != index:
            domains = [requests[each]["emulation_domain"] for each in (first, index)]
            problems.append(
                f"entry {index} ({domains[1]!r}): its label {label!r} is that of entry {first} ({domains[0]!r}) too; "
                "give each of them a label of its own"
            )


def _problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the values of known fields."""
    return [
        f"{name} is {_shown(values[name])}; allowed is {allowed}"
        for name, (is_allowed, allowed) in _FIELDS.items()
        if name in values and not is_allowed(values[name])
    ]


def _shown(value: Any) -> str:
    """A value as JSON, or, out of Python and none of JSON's, as Python shows it."""
    return json.dumps(value, default=repr)


def _plain(value: Any) -> Any:
    """A whole number as an integer, however it was written: JSON has one kind of numbers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _one_of(*values: str) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value in values), " or ".join(json.dumps(value) for value in values)


def _integer_from(least: int, *, or_null: bool = False) -> tuple[Callable[[Any], bool], str]:
    def is_allowed(value: Any) -> bool:
        return (or_null and value is None) or (_is_integer(value) and value >= least)

    return is_allowed, f"an integer of at least {least}{', or null' if or_null else ''}"


def _seconds_to(most: int) -> tuple[Callable[[Any], bool], str]:
    def is_allowed(value: Any) -> bool:
        return value is None or (_is_number(value) and 0 < value <= most)

    return is_allowed, f"a number of seconds above 0, up to {most}, or null"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_rate(value: Any) -> bool:
    return value is None or value == "unlimited" or (_is_number(value) and 0 < value <= _MAX_RATE)


def _is_label(value: Any) -> bool:
    return value is None or (isinstance(value, str) and _LABEL.fullmatch(value) is not None)


def _is_time(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


_A_TIME = (_is_time, 'a time with a zone, like "2026-01-31T00:00:00+00:00", or null')

# Field -> (is a value allowed, what is).
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "emulation_domain": (_is_name, "a name of letters, digits, '.', '_' and '-'"),
    "emulator_sync": _one_of("minio", "kafka"),
    "format_type": _one_of("json", "csv", "parquet", "avro"),
    "sync_type": _one_of("grouped", "chunked", "single"),
    "max_chunk_size": _integer_from(1),
    "timeout": _integer_from(1),
    "rate": (_is_rate, f'a number above 0, up to {_MAX_RATE}, "unlimited" or null'),
    "max_records": _integer_from(1, or_null=True),
    "seed": (lambda value: value is None or _is_integer(value), "an integer or null"),
    "compression": (lambda value: value is None or _is_name(value), 'a name, like "gzip", or null'),
    "start_time": _A_TIME,
    "end_time": _A_TIME,
    "label": (_is_label, "a text of 1 to 100 characters in one line, with no space at its ends, or null"),
    "wait_timeout": _seconds_to(_MAX_WAIT_S),
    "poll_interval": _seconds_to(_MAX_POLL_INTERVAL_S),
}


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = ((bool, "a boolean"), (dict, "an object"), (list, "an array"), (str, "a string"))
    return next((name for kind, name in names if isinstance(value, kind)), "a number")


def main(arguments: Sequence[str]) -> str | None:
    """Check the list in a file.

    :param arguments: of the command line: the file's path
    :return: what is wrong with it; None if nothing is
    """
    if len(arguments) != 1:
        return "Usage: python -m include.domain_list FILE"
    try:
        parse_domain_list(Path(arguments[0]).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
