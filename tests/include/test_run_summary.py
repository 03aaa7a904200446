from __future__ import annotations

import pytest

from include.domain_list import parse_domain_list
from include.run_summary import domain_outcomes

DOMAINS = parse_domain_list('["user-profile", "transaction"]')


def test_a_domain_whose_wait_succeeded_completed() -> None:
    states = {"g.start_0": "success", "g.wait_0": "success", "g.start_1": "failed", "g.wait_1": "upstream_failed"}
    done, failed = domain_outcomes(DOMAINS, states, start_task_id="g.start", wait_task_id="g.wait")
    assert (done.completed, done.text) == (True, "user-profile to minio: completed")
    assert (failed.completed, failed.label) == (False, "transaction")
    assert failed.text == "transaction to kafka: did not complete (start: failed, wait: upstream_failed)"


@pytest.mark.parametrize("wait", ["failed", "skipped", "removed", "upstream_failed", None])
def test_nothing_else_counts_as_completed(wait: str | None) -> None:
    states = {"start_0": "success", "wait_0": wait, "start_1": "success"}
    outcomes = domain_outcomes(DOMAINS, states, start_task_id="start", wait_task_id="wait")
    assert [outcome.completed for outcome in outcomes] == [False, False]
