"""``data-emulator sample``: records at once."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from data_emulator.cli import app
from data_emulator.settings import Settings


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DATA_EMULATOR_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def sample(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["sample", *arguments])


@pytest.mark.parametrize("domain", ["user-profile", "device-log", "transaction", "Transaction"])
def test_a_line_a_record(domain: str, tmp_path: Path) -> None:
    done = sample(domain)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 5
    assert all(line.keys() == {"emulation_id", "timestamp", "data"} for line in lines)
    assert [*tmp_path.iterdir()] == []


def test_a_seed_prints_the_same_and_none_prints_others() -> None:
    with_seed = [sample("transaction", "-n", "3", "--seed", "7").stdout for _ in range(2)]
    assert with_seed[0] == with_seed[1]
    assert sample("transaction", "-n", "3", "--seed", "8").stdout != with_seed[0]
    assert sample("transaction").stdout != sample("transaction").stdout


def test_as_many_as_asked_for() -> None:
    assert len(sample("transaction", "-n", "9000").stdout.splitlines()) == 9000


def test_other_formats() -> None:
    rows = [*csv.DictReader(io.StringIO(sample("device-log", "-n", "3", "--format", "csv").stdout))]
    assert len(rows) == 3
    assert rows[0]["device_id"]
    parquet = sample("transaction", "-n", "3", "--format", "parquet").stdout_bytes
    assert pq.read_table(io.BytesIO(parquet)).num_rows == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tranaction"], ["there is no domain 'tranaction'; did you mean 'transaction'?"]),
        (["transaction", "--format", "jsn"], ["there is no format 'jsn'; did you mean 'json'?"]),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(arguments: list[str], words: list[str]) -> None:
    done = sample(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    for word in words:
        assert word in done.stderr
