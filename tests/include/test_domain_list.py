from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include.domain_list import (
    POLL_INTERVAL_S,
    WAIT_MARGIN_S,
    DomainListError,
    check_entries,
    parse_domain_list,
    with_overrides,
)
from include.wire.request import EmulationRequest

PROJECT = Path(__file__).parents[2]

USER_PROFILE = {
    "emulator_sync": "minio",
    "emulation_domain": "user-profile",
    "format_type": "json",
    "sync_type": "grouped",
    "max_chunk_size": 1024,
    "timeout": 30,
    "rate": None,
    "max_records": None,
    "seed": None,
    "compression": None,
    "window": None,
    "start_time": None,
    "end_time": None,
    "data_emulator_conn_id": None,
    "emulation_label": "user-profile",
    "wait_timeout": 30 + WAIT_MARGIN_S,
    "poll_interval": 10,
}


def parse(value: Any) -> list[dict[str, Any]]:
    return parse_domain_list(json.dumps(value))


def problems(value: Any) -> list[str]:
    with pytest.raises(DomainListError) as caught:
        parse(value)
    assert str(caught.value).startswith("The Airflow Variable 'emulation_domains' cannot be used:\n- ")
    return caught.value.problems


def test_without_the_variable_it_is_the_articles_three() -> None:
    domains = parse_domain_list(None)
    assert domains[0] == USER_PROFILE
    assert [(d["emulation_domain"], d["emulator_sync"], d["timeout"]) for d in domains] == [
        ("user-profile", "minio", 30),
        ("device-log", "kafka", 60),
        ("transaction", "kafka", 60),
    ]
    assert {(d["format_type"], d["sync_type"], d["max_chunk_size"]) for d in domains} == {("json", "grouped", 1024)}


def test_a_name_has_the_defaults_of_its_domain() -> None:
    assert parse(["user-profile", {"emulation_domain": "user-profile"}])[0] == USER_PROFILE


def test_a_domain_that_a_user_added_goes_to_minio_for_60_s() -> None:
    (orders,) = parse(["orders"])
    assert (orders["emulation_domain"], orders["emulator_sync"], orders["timeout"]) == ("orders", "minio", 60)


def test_an_object_replaces_defaults() -> None:
    given = {
        "emulator_sync": "kafka",
        "emulation_domain": "user-profile",
        "format_type": "csv",
        "sync_type": "chunked",
        "max_chunk_size": 4096,
        "timeout": 5,
        "rate": 1.5,
        "max_records": 10,
        "seed": -7,
        "compression": "gzip",
        "start_time": "2026-01-01T00:00:00Z",
        "end_time": "2026-02-01T00:00:00+01:00",
    }
    (domain,) = parse([given])
    assert {name: domain[name] for name in given} == given
    assert domain["wait_timeout"] == 5 + WAIT_MARGIN_S


def test_a_name_is_looked_up_without_regard_to_case() -> None:
    assert parse(["User-Profile"]) == [USER_PROFILE]


@pytest.mark.parametrize("rate", [None, "unlimited"])
def test_a_rate_of_null_means_unlimited_which_an_absent_one_does_not(rate: Any) -> None:
    (domain,) = parse([{"emulation_domain": "transaction", "rate": rate}])
    assert EmulationRequest.from_arguments(domain).body()["rate"] is None
    assert "rate" not in EmulationRequest.from_arguments(parse(["transaction"])[0]).body()


def test_labels_tell_entries_of_the_same_domain_apart() -> None:
    labels = [d["emulation_label"] for d in parse(["transaction", "device-log", "transaction", "Transaction"])]
    assert labels == ["transaction", "device-log", "transaction #2", "transaction #3"]


def test_a_label_is_what_an_entry_is_called() -> None:
    entries = parse(
        [
            "transaction",
            {"emulation_domain": "transaction", "label": "payments, fast 🚀"},
            {"emulation_domain": "transaction", "label": None},
            {"emulation_domain": "device-log", "label": "logins"},
            "device-log",
        ]
    )
    labels = [entry["emulation_label"] for entry in entries]
    assert labels == ["transaction", "payments, fast 🚀", "transaction #2", "logins", "device-log"]


def test_two_equal_labels_are_an_error_that_names_both_entries() -> None:
    orders = {"emulation_domain": "orders", "label": "x"}
    (problem,) = problems([orders, "user-profile", {**orders, "emulation_domain": "payment"}])
    assert problem == ("entry 2 ('payment'): its label 'x' is also that of entry 0 ('orders'); give each its own label")
    # Also with one that was given by itself.
    (problem,) = problems([{"emulation_domain": "orders", "label": "orders #2"}, "orders", "orders"])
    assert problem.startswith("entry 2 ('orders'): its label 'orders #2' is also that of entry 0 ('orders')")


def test_how_an_entry_is_waited_for() -> None:
    entry = {"emulation_domain": "transaction", "timeout": 60, "wait_timeout": 90.5, "poll_interval": 0.5}
    assert (parse([entry])[0]["wait_timeout"], parse([entry])[0]["poll_interval"]) == (90.5, 0.5)
    by_itself = parse([{**entry, "wait_timeout": None, "poll_interval": None}])[0]
    assert (by_itself["wait_timeout"], by_itself["poll_interval"]) == (60 + WAIT_MARGIN_S, POLL_INTERVAL_S)


def test_a_whole_number_is_an_integer_however_it_is_written() -> None:
    (entry,) = parse_domain_list('[{"emulation_domain": "transaction", "timeout": 3e2, "seed": 7.0, "rate": 5e3}]')
    assert [(type(entry[name]), entry[name]) for name in ("timeout", "seed", "rate")] == [
        (int, 300),
        (int, 7),
        (int, 5000),
    ]


class TestOverrides:
    LIST = parse_domain_list('["user-profile", {"emulation_domain": "transaction", "rate": 5, "seed": 1}]')

    def test_none_is_as_in_the_list(self) -> None:
        assert with_overrides(self.LIST) == self.LIST

    def test_what_is_given_replaces_what_is_in_every_entry(self) -> None:
        before = copy.deepcopy(self.LIST)
        replaced = with_overrides(self.LIST, rate=100, timeout=7.0, seed=3)
        assert [(e["rate"], e["timeout"], e["seed"]) for e in replaced] == [(100, 7, 3)] * 2
        assert [e["wait_timeout"] for e in replaced] == [7 + WAIT_MARGIN_S] * 2
        untouched = set(USER_PROFILE) - {"rate", "timeout", "seed", "wait_timeout"}
        assert [{k: e[k] for k in untouched} for e in replaced] == [{k: e[k] for k in untouched} for e in self.LIST]
        assert before == self.LIST
        assert EmulationRequest.from_arguments(with_overrides(self.LIST, rate="unlimited")[1]).body()["rate"] is None

    @pytest.mark.parametrize(("wait", "timeout", "then"), [(90, 600, 630), (90, 5, 35), (60, 5, 5), (50, 600, 50)])
    def test_the_wait_keeps_its_margin(self, wait: int, timeout: int, then: int) -> None:
        domains = parse([{"emulation_domain": "transaction", "timeout": 60, "wait_timeout": wait}])
        assert with_overrides(domains, timeout=timeout)[0]["wait_timeout"] == then

    @pytest.mark.parametrize(
        ("override", "problem"),
        [
            ({"rate": 0}, 'rate is 0; it must be a number above 0 and at most 1000000000, "unlimited" or null'),
            ({"rate": "fast"}, 'rate is "fast"; it must be'),
            ({"timeout": 0}, "timeout is 0; it must be an integer of at least 1"),
            ({"timeout": "60"}, 'timeout is "60"; it must be an integer of at least 1'),
            ({"seed": 1.5}, "seed is 1.5; it must be an integer from -2^63 to 2^63 - 1, or null"),
            ({"seed": {1}}, 'seed is "{1}"; it must be an integer from'),
        ],
    )
    def test_what_cannot_be_used_is_named(self, override: dict[str, Any], problem: str) -> None:
        with pytest.raises(DomainListError) as caught:
            with_overrides(self.LIST, **override)
        (found,) = caught.value.problems
        assert found.startswith(problem)
        assert str(caught.value).startswith("The overrides of this run cannot be used:\n- ")

    @pytest.mark.parametrize(("rate", "then"), [("100", 100), ("0.5", 0.5), ("unlimited", "unlimited"), (7, 7)])
    def test_a_rate_may_be_text_as_the_form_sends_it(self, rate: Any, then: Any) -> None:
        assert [entry["rate"] for entry in with_overrides(self.LIST, rate=rate)] == [then, then]

    @pytest.mark.parametrize(
        ("only", "left"),
        [(None, [0, 1]), ([], [0, 1]), (["transaction"], [1]), (["transaction", "user-profile"], [0, 1])],
    )
    def test_only_some_labels(self, only: Any, left: list[int]) -> None:
        assert with_overrides(self.LIST, only=only) == [self.LIST[index] for index in left]

    @pytest.mark.parametrize(
        ("only", "problem"),
        [
            (["transactions"], "only names 'transactions', but no entry has that label; did you mean 'transaction'?"),
            (["x"], "only names 'x', but no entry has that label; the labels are 'user-profile', 'transaction'"),
            ("transaction", "only is 'transaction'; it must be an array of labels, or null"),
            ([5], "only is [5]; it must be an array of labels, or null"),
        ],
    )
    def test_a_label_that_there_is_not(self, only: Any, problem: str) -> None:
        with pytest.raises(DomainListError) as caught:
            with_overrides(self.LIST, only=only)
        assert caught.value.problems == [problem]

    def test_all_mistakes_are_named_at_once_also_for_an_empty_list(self) -> None:
        with pytest.raises(DomainListError) as caught:
            with_overrides([], rate=-1, timeout=-1, seed="x", only=["a"])
        assert len(caught.value.problems) == 4


def test_every_entry_has_the_same_keys() -> None:
    entries = parse(["transaction", {"emulation_domain": "orders", "rate": 5}, {"emulation_domain": "x", "seed": 1}])
    assert {tuple(sorted(entry)) for entry in entries} == {tuple(sorted(USER_PROFILE))}


@pytest.mark.parametrize(("size", "most", "problem"), [(0, 1024, "it is empty"), (3, 2, "it has 3 entries")])
def test_a_list_of_a_size_that_airflow_does_not_map(size: int, most: int, problem: str) -> None:
    with pytest.raises(DomainListError) as caught:
        parse_domain_list(json.dumps(["transaction"] * size), max_entries=most)
    (found,) = caught.value.problems
    assert found.startswith(f"{problem}; it must have 1 to {most} ([core] max_map_length in Airflow)")


def test_the_largest_list() -> None:
    assert len(parse_domain_list(json.dumps(["transaction"] * 1024))) == 1024


def test_a_field_that_is_there_twice_is_named() -> None:
    text = '["user-profile", {"emulation_domain": "transaction", "timeout": 5, "rate": 1, "timeout": 6}]'
    with pytest.raises(DomainListError) as caught:
        parse_domain_list(text)
    assert caught.value.problems == ["entry 1 ('transaction'): timeout is given twice"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"start_time": "2026-01-01T00:00:00Z"}, "start_time and end_time belong together"),
        ({"end_time": "2026-01-01T00:00:00Z"}, "start_time and end_time belong together"),
        (
            {"start_time": "2026-01-02T00:00:00Z", "end_time": "2026-01-01T00:00:00Z"},
            'end_time is "2026-01-01T00:00:00Z"; it must be later than start_time, "2026-01-02T00:00:00Z"',
        ),
        (
            {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T01:00:00+01:00"},
            "end_time is",
        ),
        ({"window": "data_interval", "start_time": "2026-01-01T00:00:00Z"}, "window is the run's own interval"),
        ({"window": "data_interval", "rate": "unlimited"}, "max_records is missing; a backfill spreads a known number"),
        ({"window": "data_interval", "rate": None}, "max_records is missing"),
        (
            {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-02T00:00:00Z", "rate": "unlimited"},
            "max_records is missing",
        ),
        (
            {"start_time": "{{ data_interval_start }}"},
            'start_time is "{{ data_interval_start }}"; it must be a time with a time zone, like',
        ),
    ],
)
def test_what_does_not_go_together(fields: dict[str, Any], problem: str) -> None:
    (found,) = problems([{"emulation_domain": "transaction", **fields}])
    assert found.startswith(f"entry 0 ('transaction'): {problem}")


def test_a_window_with_a_number_of_records_is_good() -> None:
    for more in ({}, {"rate": 5}, {"rate": "unlimited", "max_records": 7}):
        (entry,) = parse([{"emulation_domain": "transaction", "window": "data_interval", **more}])
        assert entry["window"] == "data_interval"


def test_entries_given_in_code_are_checked_alike() -> None:
    assert check_entries(["user-profile"]) == [USER_PROFILE]
    with pytest.raises(DomainListError, match=r"^The list of domains cannot be used:\n- entry 0 \('a'\): timeout is 0"):
        check_entries([{"emulation_domain": "a", "timeout": 0}])


def test_an_entry_names_its_service() -> None:
    (entry,) = parse([{"emulation_domain": "transaction", "data_emulator_conn_id": "emulator_b"}])
    assert entry["data_emulator_conn_id"] == "emulator_b"


def test_text_that_is_not_json_is_located() -> None:
    with pytest.raises(DomainListError, match=r"it is not valid JSON: .* at line 3, column 3"):
        parse_domain_list('[\n  "user-profile"\n  "device-log"\n]')


@pytest.mark.parametrize("value", [{"user-profile": 1}, "user-profile", 7, None, True])
def test_what_is_no_array(value: Any) -> None:
    (problem,) = problems(value)
    assert problem.startswith("it must be a JSON array of domains, not ")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (7, "entry 1: must be a domain's name or an object, not a number"),
        (None, "entry 1: must be a domain's name or an object, not null"),
        (["a"], "entry 1: must be a domain's name or an object, not an array"),
        ("", "entry 1 (''): emulation_domain is \"\"; it must be a name of letters, digits, '.', '_' and '-'"),
        ("a b", "entry 1 ('a b'): emulation_domain is \"a b\"; it must be"),
        ({}, "entry 1: emulation_domain is missing"),
        ({"emulation_domain": 5}, "entry 1: emulation_domain is 5; it must be a name"),
        ({"emulator_sync": "rabbit"}, 'emulator_sync is "rabbit"; it must be "minio" or "kafka"'),
        ({"format_type": "xml"}, 'format_type is "xml"; it must be "json" or "csv" or "parquet" or "avro"'),
        ({"sync_type": "chunkd"}, 'sync_type is "chunkd"; it must be "grouped" or "chunked" or "single"'),
        ({"max_chunk_size": 0}, "max_chunk_size is 0; it must be an integer of at least 1"),
        ({"timeout": "60"}, 'timeout is "60"; it must be an integer of at least 1'),
        ({"timeout": 1.5}, "timeout is 1.5; it must be"),
        ({"timeout": True}, "timeout is true; it must be"),
        ({"timeout": None}, "timeout is null; it must be"),
        ({"timeout": -1}, "timeout is -1; it must be"),
        ({"rate": 0}, 'rate is 0; it must be a number above 0 and at most 1000000000, "unlimited" or null'),
        ({"rate": "fast"}, 'rate is "fast"; it must be'),
        ({"max_records": 0}, "max_records is 0; it must be an integer of at least 1, or null"),
        ({"seed": 1.5}, "seed is 1.5; it must be an integer from -2^63 to 2^63 - 1, or null"),
        ({"compression": ""}, 'compression is ""; it must be a name, like "gzip", or null'),
        ({"compression": "g zip"}, 'compression is "g zip"; it must be a name'),
        (
            {"start_time": "yesterday"},
            'start_time is "yesterday"; it must be a time with a time zone, like "2026-01-31T',
        ),
        ({"end_time": "2026-01-01T00:00:00"}, 'end_time is "2026-01-01T00:00:00"; it must be a time with a time zone'),
        (
            {"end_time": "2026-02-30T00:00:00Z"},
            'end_time is "2026-02-30T00:00:00Z"; it must be a time with a time zone',
        ),
        ({"label": ""}, 'label is ""; it must be one line of 1 to 100 characters, without spaces at its ends'),
        ({"label": "x" * 101}, f'label is "{"x" * 101}"; it must be one line of 1 to 100 characters'),
        ({"label": " x"}, 'label is " x"; it must be'),
        ({"label": "a\nb"}, 'label is "a\\nb"; it must be'),
        ({"label": 5}, "label is 5; it must be"),
        (
            {"wait_timeout": 0},
            "wait_timeout is 0; it must be a number of seconds above 0 and at most 31622400, or null",
        ),
        ({"wait_timeout": "1h"}, 'wait_timeout is "1h"; it must be'),
        (
            {"poll_interval": -1},
            "poll_interval is -1; it must be a number of seconds above 0 and at most 86400, or null",
        ),
        ({"poll_interval": True}, "poll_interval is true; it must be"),
        ({"pool": "mine"}, "pool cannot be set here: Airflow needs a task's pool when it parses the DAG file"),
        ({"end_time": 5}, "end_time is 5; it must be a time with a time zone"),
        ({"formattype": "csv"}, "unknown field 'formattype'; did you mean 'format_type'?"),
        ({"window": "day"}, 'window is "day"; it must be "data_interval" or null'),
        ({"seed": 2**63}, "seed is 9223372036854775808; it must be an integer from"),
        ({"zzz": 1}, "unknown field 'zzz'; the fields are emulation_domain, emulator_sync, format_type, sync_type"),
    ],
)
def test_a_mistake_is_named_with_its_entry_and_what_is_allowed(entry: Any, problem: str) -> None:
    if isinstance(entry, dict) and entry and "emulation_domain" not in entry:
        entry = {"emulation_domain": "transaction", **entry}
        problem = f"entry 1 ('transaction'): {problem}"
    (found,) = problems(["user-profile", entry])
    assert found.startswith(problem)


def test_all_mistakes_are_named_at_once() -> None:
    found = problems([{"emulation_domain": "a", "timeout": 0, "formt": 1}, "b", {"emulator_sync": "x"}, 5])
    assert [problem.split(":")[0] for problem in found] == ["entry 0 ('a')"] * 2 + ["entry 2"] * 2 + ["entry 3"]


def test_a_number_that_json_does_not_have() -> None:
    with pytest.raises(DomainListError, match="rate is NaN"):
        parse_domain_list('[{"emulation_domain": "transaction", "rate": NaN}]')


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000], ids=["a number", "nesting"])
def test_json_beyond_what_can_be_read(text: str) -> None:
    with pytest.raises(DomainListError, match="it cannot be parsed as JSON: "):
        parse_domain_list(text)


def test_a_file_is_checked_without_airflow(tmp_path: Path) -> None:
    file = tmp_path / "list.json"

    def check(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-S", "-m", "include.domain_list", *arguments]  # -S: without what is installed
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    file.write_text('["user-profile"]')
    assert (check(str(file)).returncode, check(str(file)).stderr) == (0, "")
    file.write_text('["user-profile", {"emulation_domain": "orders", "timeout": 0}]')
    assert check(str(file)).returncode == 1
    assert "- entry 1 ('orders'): timeout is 0; it must be an integer of at least 1" in check(str(file)).stderr
    assert "No such file" in check(str(tmp_path / "none.json")).stderr
    assert "Usage: python -m include.domain_list FILE" in check().stderr


def test_it_needs_no_airflow() -> None:
    code = "import sys, include.domain_list; sys.exit('airflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
