"""Read a list, check every entry, and fill in its defaults."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .fields import FIELDS, plain

VARIABLE = "emulation_domains"

#: The list if the Variable is not set: the article's three domains.
ARTICLE_DOMAINS = ("user-profile", "device-log", "transaction")

#: The largest list that Airflow maps a task over, unless ``[core] max_map_length`` says otherwise.
MAX_ENTRIES = 1024

#: Seconds to wait beyond the emulation's duration, for queueing before it and finishing after it.
WAIT_MARGIN_S = 600

#: Seconds between two status requests to a service without long polls.
POLL_INTERVAL_S = 10

_COMMON_DEFAULTS = {"format_type": "json", "sync_type": "grouped", "max_chunk_size": 1024}
_DEFAULTS_BY_DOMAIN = {
    "user-profile": {"emulator_sync": "minio", "timeout": 30},
    "device-log": {"emulator_sync": "kafka", "timeout": 60},
    "transaction": {"emulator_sync": "kafka", "timeout": 60},
}
_DEFAULTS_ELSEWHERE = {"emulator_sync": "minio", "timeout": 60}
#: None unless given: the service or the DAG decides.
_LEFT_OPEN = (
    "rate",
    "max_records",
    "seed",
    "compression",
    "window",
    "start_time",
    "end_time",
    "data_emulator_conn_id",
)

_POOL = (
    "pool cannot be set here: Airflow needs a task's pool when it parses the DAG file, before this list is read. "
    "Set it in the DAG file, as pool='data_emulator', and change its number of slots under Admin > Pools, or with "
    "`airflow pools set --include-deferred data_emulator SLOTS DESCRIPTION`"
)


class DomainListError(ValueError):
    """The list of domains, or an override, is invalid.

    :param problems: one sentence each: the entry, the field, its value and what is allowed
    :param what: what is invalid
    """

    def __init__(self, problems: list[str], what: str = f"The Airflow Variable {VARIABLE!r}") -> None:
        super().__init__(f"{what} cannot be used:\n" + "\n".join(f"- {p}" for p in problems))
        self.problems = problems


class _Object(dict[str, Any]):
    """A JSON object that remembers its repeated keys, of which a dictionary keeps only the last."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]


def parse_domain_list(
    text: str | None, *, variable: str = VARIABLE, max_entries: int = MAX_ENTRIES
) -> list[dict[str, Any]]:
    """Parse and check the list in an Airflow Variable.

    :param text: the Variable's value; None if it is not set: then the list is that of the article
    :param variable: the Variable's name, for errors
    :param max_entries: how many entries the list may have
    :return: as :func:`check_entries`
    :raises DomainListError: naming everything that is wrong, entries counted from 0 as Airflow's map index is
    """
    what = f"The Airflow Variable {variable!r}"
    if text is None:
        return check_entries(list(ARTICLE_DOMAINS), what=what, max_entries=max_entries)
    try:
        entries = json.loads(text, object_pairs_hook=_Object)
    except json.JSONDecodeError as error:
        problem = f"it is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise DomainListError([problem], what) from None
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond what Python reads
        raise DomainListError([f"it cannot be parsed as JSON: {error}"], what) from None
    return check_entries(entries, what=what, max_entries=max_entries)


def check_entries(
    entries: Any, *, what: str = "The list of domains", max_entries: int = MAX_ENTRIES
) -> list[dict[str, Any]]:
    """Check a list of entries and fill in their defaults.

    :param entries: domains' names and mappings of fields
    :param what: what the list is, for errors
    :param max_entries: how many entries the list may have
    :return: for each entry the ``arguments`` of the operators that start and wait: the six fields of the request; those
        that are left open, as None, unless given; ``emulation_label``, which differs between entries; ``wait_timeout``
        and ``poll_interval``, in seconds
    :raises DomainListError: naming everything that is wrong, entries counted from 0 as Airflow's map index is
    """
    if not isinstance(entries, list):
        raise DomainListError([f"it must be a JSON array of domains, not {_json_type(entries)}"], what)
    if not 1 <= len(entries) <= max_entries:
        size = f"it has {len(entries)} entries; " if entries else "it is empty; "
        hint = "" if entries else ". To emulate nothing, pause the DAG"
        raise DomainListError([f"{size}it must have 1 to {max_entries} ([core] max_map_length in Airflow){hint}"], what)
    problems: list[str] = []
    requests = [_request(index, entry, problems) for index, entry in enumerate(entries)]
    if not problems:
        _label(requests, problems)
    if problems:
        raise DomainListError(problems, what)
    return requests


def problems_of(values: Mapping[str, Any]) -> list[str]:
    """Return the problems with the values of known fields, one sentence each."""
    problems = [
        f"{name} is {_shown(values[name])}; it must be {field.allowed}{_template_hint(name, values[name])}"
        for name, field in FIELDS.items()
        if name in values and not (field.allows(values[name]) and _is_in_the_calendar(name, values[name]))
    ]
    return problems or _problems_together(values)


def _request(index: int, entry: Any, problems: list[str]) -> dict[str, Any]:
    """Return one entry with its defaults filled in; add what is wrong with it to ``problems``."""
    if isinstance(entry, str):
        entry = {"emulation_domain": entry}
    if not isinstance(entry, Mapping):
        problems.append(f"entry {index}: must be a domain's name or an object, not {_json_type(entry)}")
        return {}
    domain = entry.get("emulation_domain")
    where = f"entry {index} ({domain!r})" if isinstance(domain, str) else f"entry {index}"

    problems += [f"{where}: {name} is given twice" for name in getattr(entry, "repeated", ())]
    for name in entry:
        if name == "pool":
            problems.append(f"{where}: {_POOL}")
        elif name not in FIELDS:
            close = difflib.get_close_matches(str(name), FIELDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the fields are {', '.join(FIELDS)}"
            problems.append(f"{where}: unknown field {name!r}; {hint}")
    if "emulation_domain" not in entry:
        problems.append(f"{where}: emulation_domain is missing; it names the domain to emulate")
    problems += [f"{where}: {problem}" for problem in problems_of(entry)]

    name = domain.lower() if isinstance(domain, str) else ""
    request = {
        **_COMMON_DEFAULTS,
        **_DEFAULTS_BY_DOMAIN.get(name, _DEFAULTS_ELSEWHERE),
        **dict.fromkeys(_LEFT_OPEN),
        **{field: plain(value) for field, value in entry.items()},
        "emulation_domain": name,
    }
    if "rate" in entry and entry["rate"] is None:
        request["rate"] = "unlimited"  # on the wire null; None in a task's arguments already means "not given"
    request["emulation_label"] = request.pop("label", None)
    if request.get("wait_timeout") is None and FIELDS["timeout"].allows(request["timeout"]):
        request["wait_timeout"] = request["timeout"] + WAIT_MARGIN_S
    if request.get("poll_interval") is None:
        request["poll_interval"] = POLL_INTERVAL_S
    return request


def _problems_together(values: Mapping[str, Any]) -> list[str]:
    """Return the problems with combinations of values that are each valid."""
    start, end, window = values.get("start_time"), values.get("end_time"), values.get("window")
    problems = []
    if window and (start or end):
        problems.append("window is the run's own interval and excludes start_time and end_time; give only one of them")
    elif bool(start) != bool(end):
        problems.append("start_time and end_time belong together; give both or neither")
    elif start and end and not datetime.fromisoformat(start) < datetime.fromisoformat(end):
        problems.append(f"end_time is {_shown(end)}; it must be later than start_time, {_shown(start)}")
    unpaced = "rate" in values and values["rate"] in (None, "unlimited")
    if (window or (start and end)) and unpaced and values.get("max_records") is None:
        problems.append(
            "max_records is missing; a backfill spreads a known number of records over its interval, so an "
            "unlimited rate requires it"
        )
    return problems


def _label(requests: list[dict[str, Any]], problems: list[str]) -> None:
    """Label the entries without a label; add duplicate labels to ``problems``."""
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
                f"entry {index} ({domains[1]!r}): its label {label!r} is also that of entry {first} ({domains[0]!r}); "
                "give each its own label"
            )


def _is_in_the_calendar(name: str, value: Any) -> bool:
    if name not in ("start_time", "end_time") or value is None:
        return True
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _template_hint(name: str, value: Any) -> str:
    if not isinstance(value, str) or "{{" not in value:
        return ""
    remedy = '; "window": "data_interval" is the run\'s own interval' if name in ("start_time", "end_time") else ""
    return f". Templates are not rendered in this list{remedy}"


def _shown(value: Any) -> str:
    """Format a value as JSON, or as Python does if it has no JSON form."""
    return json.dumps(value, default=repr)


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = ((bool, "a boolean"), (dict, "an object"), (list, "an array"), (str, "a string"))
    return next((name for kind, name in names if isinstance(value, kind)), "a number")
