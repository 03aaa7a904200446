from __future__ import annotations

import json
from typing import Any

import pytest

from include.exceptions import DataEmulatorAnswerError
from include.wire.answer import Answer
from include.wire.call import status_call
from include.wire.status import EmulationState, EmulationStatus, Progress, Waiting, parse_emulation_id, parse_status


def status(body: Any, **headers: str) -> EmulationStatus:
    return parse_status("e1", Answer(status_call("e1"), "http://e", 200, headers, json.dumps(body)))


@pytest.mark.parametrize("value", ["abc", {"value": "abc"}, {"value": "abc", "more": 1}, " abc "])
def test_both_shapes_of_an_id(value: Any) -> None:
    assert parse_emulation_id(value) == "abc"


@pytest.mark.parametrize("value", [None, "", 7, {}, {"value": None}, {"id": "abc"}, ["abc"]])
def test_what_is_no_id(value: Any) -> None:
    with pytest.raises(DataEmulatorAnswerError):
        parse_emulation_id(value)


@pytest.mark.parametrize("state", list(EmulationState))
def test_both_shapes_of_a_status(state: EmulationState) -> None:
    assert status({"status": state.value}).state is state
    assert status({"id": "e1", "status": {"global_status": state.value, "threads": {}}, "new": 1}).state is state


@pytest.mark.parametrize(
    "body", [{}, {"status": None}, {"status": "paused"}, {"status": {}}, {"status": ["completed"]}]
)
def test_a_status_that_is_not_known_is_an_error_and_never_an_end(body: Any) -> None:
    with pytest.raises(DataEmulatorAnswerError, match="queued, processing, completed, failed, cancelled"):
        status(body)


def test_a_status_of_another_emulation_is_no_answer() -> None:
    with pytest.raises(DataEmulatorAnswerError, match="for emulation 'e2', not 'e1'"):
        status({"id": "e2", "status": {"global_status": "completed", "threads": {}}})


def test_a_thread_in_error_is_a_failure_even_when_the_whole_says_completed() -> None:
    seen = status({"status": {"global_status": "completed", "threads": {"0": "finished", "1": "error"}}})
    assert seen.state is EmulationState.FAILED
    assert seen.error == "1 of 2 threads in error while the service reports 'completed'"


def test_the_services_own_error_is_kept() -> None:
    seen = status({"status": {"global_status": "failed", "threads": {"0": "error"}}, "error": "bucket is gone"})
    assert (seen.state, seen.error) == (EmulationState.FAILED, "bucket is gone")


def test_a_cancelled_emulation_is_cancelled_whatever_its_threads_say() -> None:
    seen = status({"status": {"global_status": "cancelled", "threads": {"0": "error"}}})
    assert seen.state is EmulationState.CANCELLED


def test_progress_is_read_where_it_is_told() -> None:
    progress = {"records": 10, "bytes": 20, "elapsed_s": 1.5, "records_per_s": 6.7, "percent": None}
    assert status({"status": "processing", "progress": progress}).progress == Progress(10, 20, 1.5, 6.7, None)
    assert status({"status": "processing", "progress": {"records": "many"}}).progress == Progress()
    assert status({"status": "processing", "progress": "half"}).progress is None


def test_what_it_waits_for_is_read_where_it_is_told() -> None:
    waiting = {"for": "S3 object e1/part-0:\n no answer", "since": "2026-01-31T12:00:00Z", "until": None}
    read = status({"status": "processing", "waiting": waiting}).waiting
    assert read == Waiting("S3 object e1/part-0: no answer", "2026-01-31T12:00:00Z", None)
    assert status({"status": "processing"}).waiting is None
    for other in (None, "a store", {}, {"for": ""}, {"for": 5}):
        assert status({"status": "processing", "waiting": other}).waiting is None


def test_waited_tells_whether_the_service_held_its_answer() -> None:
    assert status({"status": "processing"}, **{"Preference-Applied": "wait=30"}).waited
    assert not status({"status": "processing"}).waited


def test_a_status_survives_a_triggers_event() -> None:
    seen = status(
        {
            "status": {"global_status": "processing", "threads": {"0": "error"}},
            "progress": {"records": 1},
            "waiting": {"for": "it"},
            "shortfall": {"asked": 10, "made": 3},
        }
    )
    assert EmulationStatus.from_dict(json.loads(json.dumps(seen.as_dict()))) == seen


def test_a_shortfall_is_told_in_words_and_anything_else_is_none() -> None:
    read = status({"status": "completed", "shortfall": {"asked": 1_000_000, "made": 512_000}}).shortfall
    assert str(read) == "only 512,000 of the 1,000,000 records asked for, as its time was up"
    for other in (None, 5, {}, {"asked": 5}, {"asked": "5", "made": 1}, {"asked": True, "made": 1}):
        assert status({"status": "completed", "shortfall": other}).shortfall is None
