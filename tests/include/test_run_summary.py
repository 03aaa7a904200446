from __future__ import annotations

from typing import Any

import pytest

from include.domain_list import parse_domain_list
from include.run_summary import DomainOutcome, domain_outcomes, totals

DOMAINS = parse_domain_list('["user-profile", "transaction"]')


def receipt(label: str, records: int | None, size: int | None) -> dict[str, Any]:
    return {"label": label, "place": "s3://user-profiles/e1/", "records": records, "bytes": size}


def outcomes(states: dict[str, Any], *receipts: dict[str, Any]) -> list[DomainOutcome]:
    return domain_outcomes(DOMAINS, states, receipts or [None], start_task_id="g.start", wait_task_id="g.wait")


def test_a_domain_whose_wait_succeeded_completed() -> None:
    states = {"g.start_0": "success", "g.wait_0": "success", "g.start_1": "failed", "g.wait_1": "upstream_failed"}
    done, failed = outcomes(states)
    assert (done.completed, done.text) == (True, "user-profile to minio: completed")
    assert (failed.completed, failed.label) == (False, "transaction")
    assert failed.text == "transaction to kafka: did not complete (start: failed, wait: upstream_failed)"


def test_a_receipt_is_part_of_a_completed_domain_only() -> None:
    states = {"g.start_0": "success", "g.wait_0": "success", "g.start_1": "success", "g.wait_1": "failed"}
    done, failed = outcomes(states, receipt("transaction", 1, 1), receipt("user-profile", 1200, 34567))
    assert done.text == "user-profile to minio: completed, 1,200 records, 34,567 bytes in s3://user-profiles/e1/"
    assert failed.receipt is None
    assert totals([done, failed]) == {"domains": 2, "records": 1200, "bytes": 34567}


def test_what_a_receipt_does_not_tell_counts_as_nothing() -> None:
    states = {"g.wait_0": "success", "g.wait_1": "success"}
    done = outcomes(states, receipt("user-profile", None, None), receipt("transaction", 7, 70))
    assert "completed, ? records, ? bytes" in done[0].text
    assert totals(done) == {"domains": 2, "records": 7, "bytes": 70}


@pytest.mark.parametrize("wait", ["failed", "skipped", "removed", "upstream_failed", None])
def test_nothing_else_counts_as_completed(wait: str | None) -> None:
    states = {"g.start_0": "success", "g.wait_0": wait, "g.start_1": "success"}
    assert [outcome.completed for outcome in outcomes(states)] == [False, False]
