"""The JSON Schema of the Variable accepts what the parser accepts, and refuses what it refuses."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from include.domain_list import ARTICLE_DOMAINS, DomainListError, parse_domain_list
from include.domain_list.fields import FIELDS

FILE = Path(__file__).parents[2] / "docs" / "emulation_domains.schema.json"
SCHEMA: dict[str, Any] = json.loads(FILE.read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
PROPERTIES: dict[str, Any] = SCHEMA["$defs"]["entry"]["properties"]

TIMES = [None, "2026-01-31T00:00:00Z", "2026-01-31 23:59+05:30", "2024-02-29T12:00:00.123456-00:00"]
NO_TIMES = [
    5, "", "now", "2026-01-31", "2026-01-31T00:00:00", "2026-01-31T00:00:00z", "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T00:60:00Z", "20260131T000000Z",
    "2026-W01-1T00:00:00Z", "2026-01-31T00:00:00+24:00", "0000-01-31T00:00:00Z", "2026-01-31T00:00:00Z\n",
    "2026-01-31T00:00:00,5Z", "2026-01-31T00:00:00.1234567Z", "٢٠٢٦-01-31T00:00:00Z",
]  # fmt: skip
WHOLE = [1, 60, 1.0, 6e1, 10**20]
NO_WHOLE = [0, -1, 1.5, "1", True, [1], {"a": 1}]

#: For each field what is good, and what is not.
VALUES: dict[str, tuple[list[Any], list[Any]]] = {
    "emulation_domain": (
        ["user-profile", "Transaction", "a", "0", "my.domain_2", "x" * 100],
        [None, 5, "", " ", "-a", "a b", "a/b", "x" * 101, "\u017f", "\u212a", "é", "a\n", ["a"], True],
    ),
    "emulator_sync": (["minio", "kafka"], [None, "", "s3", "MINIO", 1, ["minio"]]),
    "format_type": (["json", "csv", "parquet", "avro"], [None, "", "xml", "JSON", {}]),
    "sync_type": (["grouped", "chunked", "single"], [None, "", "grouped ", False]),
    "max_chunk_size": (WHOLE, [None, *NO_WHOLE]),
    "timeout": (WHOLE, [None, *NO_WHOLE]),
    "rate": (
        [None, "unlimited", 0.001, 1, 1_000_000_000, 1e9],
        [0, -1, 0.0, 1e400, 1e10, "", "fast", "5", True, [], {}],
    ),
    "max_records": ([None, *WHOLE], NO_WHOLE),
    "seed": ([None, 0, -7, 7.0, 2**63 - 1, -(2**63)], [1.5, "7", False, [], 2**63, -(2**63) - 1, 1e400]),
    "compression": ([None, "gzip", "none"], ["", " ", "g zip", 5, "gzip\n", True]),
    "window": ([None, "data_interval"], ["", "day", "Data_Interval", 1, True, ["data_interval"], {}]),
    "start_time": (TIMES, NO_TIMES),
    "end_time": (TIMES, NO_TIMES),
    "data_emulator_conn_id": (
        [None, "data_emulator_default", "team/a:emulator-2", "x" * 200],
        ["", " ", "a b", "a\n", "x" * 201, 5, True, []],
    ),
    "label": (
        [None, "x", "payments, fast", "a  b", "é", "🚀", "x" * 100, "🚀" * 100, "{{ ds }}", '"', "\u00a0"],
        ["", " ", " x", "x ", "x" * 101, "a\nb", "a\n", "\n", "a\tb", "\x7f", "\x85", "a\u2028", "\ud800", 5, True, []],
    ),
    "wait_timeout": ([None, 0.5, 1, 31_622_400], [0, -1, 31_622_401, 1e400, "60", True, []]),
    "poll_interval": ([None, 0.05, 10, 86_400], [0, -0.5, 86_401, 1e400, "10", False, {}]),
}


#: What an entry needs beside a field, for the field's value to be good.
COMPANIONS: dict[str, dict[str, Any]] = {
    "start_time": {"end_time": "9999-01-01T00:00:00Z"},
    "end_time": {"start_time": "0001-01-01T00:00:00Z"},
}


def is_good(text: str) -> bool:
    try:
        parse_domain_list(text)
    except DomainListError:
        return False
    return True


def assert_they_agree(value: Any, good: bool) -> None:
    text = json.dumps(value)
    errors = [error.message for error in VALIDATOR.iter_errors(json.loads(text))]
    assert (not errors) is good, f"the schema on {text}: {errors}"
    assert is_good(text) is good, f"the parser on {text}"


def test_the_file_is_what_the_command_prints() -> None:
    command = [sys.executable, "-m", "include.domain_list", "--schema"]
    printed = subprocess.run(command, cwd=FILE.parents[1], capture_output=True, text=True, check=True).stdout
    assert FILE.read_text() == printed, "generate it anew, as docs/airflow.md says"


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_it_has_the_parsers_fields() -> None:
    assert list(PROPERTIES) == list(FIELDS) == list(VALUES)


@pytest.mark.parametrize("name", VALUES)
def test_a_fields_values(name: str) -> None:
    good, bad = VALUES[name]
    for values, is_allowed in ((good, True), (bad, False)):
        for value in values:
            companions = COMPANIONS.get(name, {}) if value is not None else {}
            assert_they_agree([{"emulation_domain": "transaction", **companions, name: value}], is_allowed)


@pytest.mark.parametrize("value", VALUES["emulation_domain"][0])
def test_a_name_alone(value: Any) -> None:
    assert_they_agree([value], True)


@pytest.mark.parametrize("value", [*VALUES["emulation_domain"][1], {}, {"timeout": 5}, [[]]])
def test_what_is_no_entry(value: Any) -> None:
    assert_they_agree([value], False)


@pytest.mark.parametrize("value", [[], {}, "user-profile", None, 5, True, {"emulation_domain": "transaction"}])
def test_what_is_no_list(value: Any) -> None:
    assert_they_agree(value, False)


@pytest.mark.parametrize("name", ["pool", "formattype", "emulation_label", "Timeout", "", "$schema"])
def test_what_is_no_field(name: str) -> None:
    assert_they_agree([{"emulation_domain": "transaction", name: 1}], False)


@pytest.mark.parametrize("value", [["transaction", "transaction"], list(ARTICLE_DOMAINS), *SCHEMA["examples"]])
def test_good_lists(value: Any) -> None:
    assert_they_agree(value, True)


INDEPENDENT = sorted({*VALUES} - {"window", "start_time", "end_time"})


@pytest.mark.parametrize("seed", range(20))
def test_lists_made_at_random(seed: int) -> None:
    """Entries of any good values are good, and one bad value anywhere makes a list bad."""
    chance = random.Random(seed)
    for _ in range(25):
        entries: list[Any] = []
        for index in range(chance.randint(1, 4)):
            # Those that depend on one another have a test of their own.
            fields = chance.sample(INDEPENDENT, chance.randint(0, len(INDEPENDENT)))
            entry = {name: chance.choice(VALUES[name][0]) for name in {*fields, "emulation_domain"}}
            if entry.get("label") is not None:
                entry["label"] = f"label {index}"
            entries.append(entry)
        assert_they_agree(entries, True)

        spoilt = chance.choice(entries)
        name = chance.choice(sorted(VALUES))
        spoilt[name] = chance.choice(VALUES[name][1])
        assert_they_agree(entries, False)


def test_what_a_schema_cannot_say() -> None:
    for value in (
        [{"emulation_domain": "a", "label": "x"}, {"emulation_domain": "b", "label": "x"}],
        [{"emulation_domain": "a", "start_time": "2026-02-30T00:00:00Z", "end_time": "2026-03-01T00:00:00Z"}],
        [{"emulation_domain": "a", "start_time": "2026-03-01T00:00:00Z", "end_time": "2026-03-01T00:00:00Z"}],
        [{"emulation_domain": "a", "start_time": "2026-03-01T00:00:00Z"}],
        [{"emulation_domain": "a", "window": "data_interval", "rate": None}],
    ):
        assert VALIDATOR.is_valid(value)
        assert not is_good(json.dumps(value))


def test_the_defaults_that_it_states_are_the_parsers() -> None:
    (entry,) = parse_domain_list('["orders"]')
    stated = {name: each["default"] for name, each in PROPERTIES.items() if "default" in each}
    assert stated == {name: entry[name] for name in ("format_type", "sync_type", "max_chunk_size", "poll_interval")}


def test_every_field_is_described() -> None:
    for name, each in PROPERTIES.items():
        described = each if "$ref" not in each or "description" in each else SCHEMA["$defs"]["domain"]
        assert described["description"].endswith("."), name
