"""A disk without enough room is told of with the figures: before a stack starts, and when it fails."""

from pathlib import Path

import pytest

from data_emulator.stack import disk
from data_emulator.stack.disk import check_space, full_disk
from data_emulator.stack.processes import StackError
from data_emulator.stack.stack import Stack

MB, GB = 10**6, 10**9


@pytest.fixture
def sized(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(disk, "total_bytes", lambda path: 10 * GB)
    return monkeypatch


def test_a_stack_is_not_started_where_it_would_run_out_of_space(sized: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sized.setattr(disk, "free_bytes", lambda path: 250 * MB)
    check_space(tmp_path, with_airflow=False)
    with pytest.raises(StackError, match=r"has 250 MB free, and the stack needs 300 MB; .* leaves 100 MB, 1 %"):
        check_space(tmp_path, with_airflow=True)
    sized.setattr(disk, "free_bytes", lambda path: 149 * MB)
    started: list[str] = []
    with pytest.raises(StackError, match=r"has 149 MB free, and the stack needs 150 MB"):
        Stack(tmp_path / "run", with_airflow=False, scheduled=False).start(started.append)
    assert started == []


@pytest.mark.parametrize(
    ("total", "free", "said"),
    [
        (10 * GB, 100 * MB, None),
        (10 * GB, 99 * MB, "is full (99 MB free; the S3 store leaves 100 MB, 1 % of the disk, unused)"),
        (1 * GB, 20 * MB, None),
        (1 * GB, 19 * MB, "is full (19 MB free)"),
    ],
)
def test_a_disk_is_full_for_the_store_before_it_is_for_others(
    total: int, free: int, said: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(disk, "total_bytes", lambda path: total)
    monkeypatch.setattr(disk, "free_bytes", lambda path: free)
    assert full_disk(tmp_path) == (said and f"the disk with {tmp_path} {said}")


def test_a_start_that_fails_on_a_full_disk_says_so_first(
    sized: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([300 * MB, 5 * MB])
    sized.setattr(disk, "free_bytes", lambda path: next(free))

    def fail(self: Stack, say: object) -> None:
        raise StackError("seaweedfs was not ready after 60 s")

    monkeypatch.setattr(Stack, "_start", fail)
    with pytest.raises(StackError, match=r"^the disk with .* is full \(5 MB free.*\)\. seaweedfs was not ready"):
        Stack(tmp_path / "run", with_airflow=False, scheduled=False).start(print)
