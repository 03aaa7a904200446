"""A demo that is interrupted, or killed, at whatever moment, leaves no process behind."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from data_emulator.demo.demo import DAG_ID
from data_emulator.stack.addresses import running_addresses
from data_emulator.stack.airflow_api import AirflowApi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# Inherited by every process that the demo starts, whatever session or process group it moves to.
MARK = "INTERRUPTED_DEMO"
_RUN = """
import sys
from pathlib import Path
from data_emulator.demo import demo
demo.lab_dir = lambda: Path(sys.argv[1])
sys.exit(demo.run())
"""


class Demo:
    """A demo as a terminal would run it, and the lines that it prints."""

    def __init__(self, lab_dir: Path) -> None:
        self.mark = uuid.uuid4().hex
        self.lab_dir = lab_dir
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RUN, str(lab_dir)],
            env={**os.environ, MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def read_until(self, text: str) -> None:
        """Read lines until one of them contains `text`."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if text in line:
                return
        pytest.fail(f"the demo ended without {text!r}:\n{''.join(lines)}")

    def others(self) -> list[str]:
        """Return the processes that carry the mark, the demo itself excepted."""
        found = []
        for process in psutil.process_iter():
            try:
                marked = process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE
                if marked and process.pid != self.process.pid:
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path)
    yield demo
    if demo.process.poll() is None:
        demo.process.send_signal(signal.SIGTERM)
    demo.process.communicate()


def wait_until(condition: Callable[[], bool], timeout_s: float = 300) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_ctrl_c_while_starting(demo: Demo) -> None:
    demo.read_until("S3 store ready")
    assert demo.others()
    demo.process.send_signal(signal.SIGINT)
    output, _ = demo.process.communicate(timeout=300)
    assert demo.others() == []
    assert "nothing is left running" in output
    assert demo.process.returncode == 128 + signal.SIGINT


def test_ctrl_c_pressed_again_and_again_while_it_runs(demo: Demo) -> None:
    demo.read_until(": generating")
    assert any("airflow" in command for command in demo.others())
    assert_only_started_by_hand(demo)
    demo.process.send_signal(signal.SIGINT)
    while demo.process.poll() is None:
        demo.process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    assert demo.others() == []
    assert demo.process.returncode == 128 + signal.SIGINT
    assert list(demo.lab_dir.iterdir()) == []


def assert_only_started_by_hand(demo: Demo) -> None:
    """Check that no schedule starts a run beside the demo's own."""
    (run_dir,) = demo.lab_dir.iterdir()
    addresses = running_addresses(run_dir)
    assert addresses is not None
    assert addresses.airflow_url is not None
    with AirflowApi(addresses.airflow_url) as api:
        assert api.request("GET", f"/dags/{DAG_ID}")["next_dagrun_run_after"] is None
        assert [run["run_type"] for run in api.runs(DAG_ID)] == ["manual"]


def test_kill_9_while_starting(demo: Demo) -> None:
    demo.read_until("Kafka broker ready")
    assert demo.others()
    demo.process.kill()
    demo.process.wait()
    wait_until(lambda: demo.others() == [])
