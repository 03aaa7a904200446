"""``data-emulator emulate``: a real engine, without a service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from data_emulator.stack import sessions
from data_emulator.stack.processes import Command, Supervisor
from tests.support.running_service import PATIENCE_S, wait_until


def emulate(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, on a narrow terminal."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DATA_EMULATOR_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-m", "data_emulator", "emulate", *arguments],
        env={**inherited, "COLUMNS": "60", **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
        check=False,
    )


def records_in(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in sorted(folder.rglob("part-*")) for line in path.read_text().splitlines()]


def test_records_come_into_a_folder_and_are_read_back(tmp_path: Path) -> None:
    done = emulate(tmp_path, "transaction", "--records", "1000", "--to", "data", "--seed", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(records_in(tmp_path / "data" / "transactions")) == 1000
    assert "1,000 records of transaction in 1 file" in done.stdout
    assert "checksums: equal" in done.stdout
    (folder,) = (tmp_path / "data" / "transactions").iterdir()
    assert f"data-emulator show data/transactions/{folder.name} -n 3" in done.stdout
    assert done.stderr == ""
    assert [each.name for each in tmp_path.iterdir()] == ["data"]

    again = emulate(
        tmp_path, "transaction", "--records", "1000", "--to", "again", "--seed", "5", "--chunk-bytes", "50000"
    )
    assert again.returncode == 0, again.stdout + again.stderr
    (folder,) = (tmp_path / "again" / "transactions").iterdir()
    assert len([*folder.iterdir()]) > 5
    assert "and " in again.stdout
    ids = [[one["data"]["transaction_id"] for one in records_in(tmp_path / to)] for to in ("data", "again")]  # type: ignore[index]
    assert ids[0] == ids[1]


def test_what_cannot_be_carried_out_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = {"HOME": str(tmp_path)}
    for arguments, words in (
        (["transactoin"], "did you mean 'transaction'?"),
        (["transaction", "--to", "file"], f"{tmp_path}/file/transactions is not a folder"),
        (["transaction", "--format", "parqet"], "did you mean 'parquet'?"),
        (["transaction", "--rate", "0.001"], "would take more than 7 days"),
    ):
        done = emulate(tmp_path, *arguments, **home)
        assert done.returncode == 2, done.stdout + done.stderr
        assert done.stdout == ""
        assert done.stderr.startswith("data-emulator: ")
        assert done.stderr.count("\n") == 1
        assert words in done.stderr


def test_ctrl_c_cancels_and_tells_what_was_written(tmp_path: Path, supervisor: Supervisor) -> None:
    log = tmp_path / "output.log"
    arguments = ("-n", "1000000", "--rate", "500", "--to", str(tmp_path / "data"), "--chunk-bytes", "1000")
    child = supervisor.launch(
        Command(
            name="emulate",
            argv=(sys.executable, "-m", "data_emulator", "emulate", "transaction", *arguments),
            log_path=log,
            cleared_prefixes=("DATA_EMULATOR_", "AWS_"),
        )
    )
    wait_until(lambda: len([*(tmp_path / "data").rglob("part-*")]) > 3, "files are written")
    time.sleep(1)
    for process in sessions.members(child.record.session):
        os.kill(process, signal.SIGINT)  # as a terminal does: the worker gets it too
    assert child.process.wait(PATIENCE_S) == 130
    wait_until(lambda: sessions.members(child.record.session) == [], "no worker is left")
    output = log.read_text()
    assert "Traceback" not in output
    assert "Interrupted. What was written until then stays:" in output
    found = records_in(tmp_path / "data")
    assert f"{len(found):,} records of transaction in" in output
    assert "equal" in output
