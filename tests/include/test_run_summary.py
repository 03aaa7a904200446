from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from include.domain_list import parse_domain_list
from include.run_summary import DomainOutcome, _size, domain_outcomes, totals, verdict

DOMAINS = parse_domain_list('["user-profile", "transaction"]')


def receipt(label: str, records: int | None, size: int | None) -> dict[str, Any]:
    return {"label": label, "place": "s3://user-profiles/e1/", "records": records, "bytes": size}


def outcomes(
    states: dict[str, Any], *receipts: dict[str, Any], failures: Sequence[dict[str, Any] | None] = ()
) -> list[DomainOutcome]:
    return domain_outcomes(
        DOMAINS, states, receipts or [None], failures, start_task_id="g.start", wait_task_id="g.wait"
    )


def test_a_domain_whose_wait_succeeded_completed() -> None:
    states = {"g.start_0": "success", "g.wait_0": "success", "g.start_1": "failed", "g.wait_1": "upstream_failed"}
    done, failed = outcomes(states)
    assert (done.completed, done.text) == (True, "user-profile to minio: completed")
    assert (failed.completed, failed.label) == (False, "transaction")
    assert failed.text == "transaction to kafka: did not complete (start: failed, wait: upstream_failed)"


def test_a_receipt_is_part_of_a_completed_domain_only() -> None:
    states = {"g.start_0": "success", "g.wait_0": "success", "g.start_1": "success", "g.wait_1": "failed"}
    done, failed = outcomes(states, receipt("transaction", 1, 1), receipt("user-profile", 1200, 34567))
    assert done.text == "user-profile to minio: completed, 1,200 records, 34.6 kB in s3://user-profiles/e1/"
    assert failed.receipt is None
    assert totals([done, failed]) == {"domains": 2, "completed": 1, "records": 1200, "bytes": 34567}


def test_what_a_receipt_does_not_tell_counts_as_nothing() -> None:
    states = {"g.wait_0": "success", "g.wait_1": "success"}
    done = outcomes(states, receipt("user-profile", None, None), receipt("transaction", 7, 70))
    assert "completed, ? records, ? bytes" in done[0].text
    assert totals(done) == {"domains": 2, "completed": 2, "records": 7, "bytes": 70}


@pytest.mark.parametrize("wait", ["failed", "skipped", "removed", "upstream_failed", None])
def test_nothing_else_counts_as_completed(wait: str | None) -> None:
    states = {"g.start_0": "success", "g.wait_0": wait, "g.start_1": "success"}
    assert [outcome.completed for outcome in outcomes(states)] == [False, False]


def test_a_failed_domain_has_its_reason() -> None:
    states = {"g.start_0": "success", "g.wait_0": "success", "g.start_1": "success", "g.wait_1": "failed"}
    left = [None, {"label": "transaction", "reason": "Kafka did not come back"}, {"label": "gone", "reason": "x"}]
    assert outcomes(states, failures=left)[1].text == "transaction to kafka: did not complete: Kafka did not come back"


def test_a_reason_of_an_earlier_try_is_not_that_of_a_domain_that_completed() -> None:
    left = [{"label": "transaction", "reason": "x"}]
    assert outcomes({"g.wait_0": "success", "g.wait_1": "success"}, failures=left)[1].text.endswith(": completed")


def some(completed: int, failed: int) -> list[DomainOutcome]:
    receipt = {"records": 1_000_000, "bytes": 52_800_000}
    good = [DomainOutcome(f"d{number}", True, receipt, f"d{number}: completed") for number in range(completed)]
    return good + [DomainOutcome("bad", False, None, "bad: did not complete: why")] * failed


@pytest.mark.parametrize(
    ("completed", "failed", "share", "enough", "text"),
    [
        (3, 0, 1.0, True, "All 3 domains completed: 3,000,000 records, 158.4 MB"),
        (
            9, 1, 0.9, True,
            "9 of 10 domains completed, 9 are enough: 9,000,000 records, 475.2 MB. Not completed: bad: did not",
        ),
        (7, 3, 0.7, True, "7 of 10 domains completed, 7 are enough: "),
        (8, 2, 0.9, False, "8 of 10 domains completed, 9 are needed. Not completed: bad: did not complete: why; bad: "),
        (9, 1, 1.0, False, "9 of 10 domains completed, 10 are needed. "),
        (0, 1, 0.1, False, "0 of 1 domains completed, 1 is needed. "),
    ],
)  # fmt: skip
def test_the_verdict(completed: int, failed: int, share: float, enough: bool, text: str) -> None:
    found = verdict(some(completed, failed), share)
    assert found[0] is enough
    assert found[1].startswith(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_999, "1.0 MB"),
        (52_800_000, "52.8 MB"),
        (7 * 10**9, "7.0 GB"),
        (5 * 10**15, "5,000.0 TB"),
    ],
)
def test_a_size_has_a_unit(count: int, text: str) -> None:
    assert _size(count) == text
