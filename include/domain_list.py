"""The list of domains to emulate, as the Airflow Variable ``emulation_domains`` holds it.

The Variable is a JSON array. An entry is a domain's name, or an object with ``emulation_domain`` and any of the other
fields of a request, which then replace the defaults::

    ["user-profile", {"emulation_domain": "transaction", "timeout": 300, "rate": 5000}]

Defaults: ``json``, ``grouped``, 1024, and a sink and duration by name: user-profile goes to minio for 30 s, device-log
and transaction to kafka for 60 s, and any other name, a domain added by a user, to minio for 60 s. ``rate``,
``max_records``, ``seed``, ``compression``, ``start_time`` and ``end_time`` are left to the service unless given; a rate
of ``null`` or ``"unlimited"`` means as fast as it goes.

Nothing here imports Airflow, so that a list can be checked anywhere: in a task, a test or an editor's hook.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
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

_DOMAIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.IGNORECASE)


class DomainListError(ValueError):
    """The list cannot be used.

    :param problems: one sentence each: which entry, which field, what it is and what is allowed
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__(f"The Airflow Variable {VARIABLE!r} cannot be used:\n" + "\n".join(f"- {p}" for p in problems))
        self.problems = problems


def parse_domain_list(text: str | None) -> list[dict[str, Any]]:
    """Read and check the list.

    :param text: the Variable's value; None if it is not set
    :return: for each entry the keyword arguments of the DAG's mapped task group: the six fields of the request;
        those that are left to the service, as None, unless given; ``emulation_label``, which differs between entries;
        and ``wait_timeout`` in seconds
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
    if not isinstance(entries, list):
        raise DomainListError([f"it must be a JSON array of domains, not {_json_type(entries)}"])

    problems: list[str] = []
    requests = [_request(index, entry, problems) for index, entry in enumerate(entries)]
    if problems:
        raise DomainListError(problems)
    seen: Counter[str] = Counter()
    for request in requests:
        domain = request["emulation_domain"]
        seen[domain] += 1
        request["emulation_label"] = domain if seen[domain] == 1 else f"{domain} #{seen[domain]}"
        request["wait_timeout"] = request["timeout"] + WAIT_MARGIN_S
    return requests


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
        if name not in _FIELDS:
            close = difflib.get_close_matches(name, _FIELDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"allowed are {', '.join(_FIELDS)}"
            problems.append(f"{where}: unknown field {name!r}; {hint}")
    if "emulation_domain" not in entry:
        problems.append(f"{where}: emulation_domain is missing; it names the domain to emulate")
    for name, (is_allowed, allowed) in _FIELDS.items():
        if name in entry and not is_allowed(entry[name]):
            problems.append(f"{where}: {name} is {json.dumps(entry[name])}; allowed is {allowed}")

    name = domain.lower() if isinstance(domain, str) else ""
    request = {
        **_COMMON_DEFAULTS,
        **_DEFAULTS_BY_DOMAIN.get(name, _DEFAULTS_ELSEWHERE),
        **dict.fromkeys(_LEFT_TO_THE_SERVICE),
        **entry,
        "emulation_domain": name,
    }
    if "rate" in entry and entry["rate"] is None:
        request["rate"] = "unlimited"  # on the wire null; None in a task's arguments already means "not given"
    return request


def _one_of(*values: str) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value in values), " or ".join(json.dumps(value) for value in values)


def _integer_from(least: int, *, or_null: bool = False) -> tuple[Callable[[Any], bool], str]:
    def is_allowed(value: Any) -> bool:
        return (or_null and value is None) or (_is_integer(value) and value >= least)

    return is_allowed, f"an integer of at least {least}{', or null' if or_null else ''}"


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_rate(value: Any) -> bool:
    if value is None or value == "unlimited":
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _is_time(value: Any) -> bool:
    if value is None:
        return True
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


_TIME = (_is_time, 'a time with a zone, like "2026-01-31T00:00:00+00:00", or null')

# Field -> (is a value allowed, what is).
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "emulation_domain": (
        lambda value: isinstance(value, str) and _DOMAIN_NAME.fullmatch(value) is not None,
        "a name of letters, digits, '.', '_' and '-'",
    ),
    "emulator_sync": _one_of("minio", "kafka"),
    "format_type": _one_of("json", "csv", "parquet", "avro"),
    "sync_type": _one_of("grouped", "chunked", "single"),
    "max_chunk_size": _integer_from(1),
    "timeout": _integer_from(1),
    "rate": (_is_rate, 'a number above 0, "unlimited" or null'),
    "max_records": _integer_from(1, or_null=True),
    "seed": (lambda value: value is None or _is_integer(value), "an integer or null"),
    "compression": (lambda value: value is None or (isinstance(value, str) and value != ""), "a name or null"),
    "start_time": _TIME,
    "end_time": _TIME,
}


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = ((bool, "a boolean"), (dict, "an object"), (list, "an array"), (str, "a string"))
    return next((name for kind, name in names if isinstance(value, kind)), "a number")
