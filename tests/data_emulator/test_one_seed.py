"""One seed gives the same bytes of `data` with more workers and after a kill: the program that shows it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks import same_bytes


@pytest.mark.integration
def test_more_workers_and_a_kill_leave_the_bytes_of_a_seed_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(same_bytes, "_CHUNK_BYTES", 100_000)
    one, _, killed = same_bytes.WAYS
    monkeypatch.setattr(same_bytes, "WAYS", (one, replace(killed, workers=2)))
    assert same_bytes.main(["--seed", "5", "--records", "12000"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary == {"seed": 5, "records": 12_000, "emulations": 5, "equal": 5}


def test_digest_is_of_the_data_and_not_of_the_envelope() -> None:
    envelope = b'{"emulation_id":"a","timestamp":1.5,"data":'
    lines = envelope + b'{"x":29.0}}\n' + envelope + b'{"x":1.5}}\n'
    rows = b'emulation_id,timestamp,x\n"a",1.5,29.0\n"a",2.5,1.5\n'
    for content, format_type in ((lines, "json"), (rows, "csv")):
        records, digest = same_bytes.digest([content], format_type)
        assert records == 2
        assert same_bytes.digest([content.replace(b'"a"', b'"b"')], format_type) == (2, digest)
        assert same_bytes.digest([content.replace(b"29.0", b"29")], format_type)[1] != digest


def test_missing_or_changed_records_are_not_the_same() -> None:
    made = [same_bytes.Made(10, "abc", None), same_bytes.Made(10, "abc", 5)]
    assert same_bytes.is_same(made, 10)
    assert not same_bytes.is_same(made, 11)
    assert not same_bytes.is_same([*made, same_bytes.Made(10, "abd", None)], 10)
