"""Children are started, waited for and ended, with all that they start in their turn."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from data_emulator.stack import sessions
from data_emulator.stack.processes import (
    Command,
    ServerDiedError,
    ServerNotReadyError,
    StoppedError,
    Supervisor,
)
from data_emulator.stack.records import recorded, stop_recorded
from data_emulator.stack.sessions import Session

# A server in two processes: a child in a process group of its own, both deaf to SIGTERM. Its file names both.
_STUBBORN = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    time.sleep(600)
path = pathlib.Path(sys.argv[1])
path.with_suffix('.new').write_text(f'{os.getpid()} {child}')
path.with_suffix('.new').rename(path)
time.sleep(600)
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "processes.json", guarded=False)
    yield supervisor
    supervisor.stop_all(grace_s=0)


def python(tmp_path: Path, source: str, *arguments: str, name: str = "server") -> Command:
    return Command(name, (sys.executable, "-c", source, *arguments), tmp_path / f"{name}.log")


def start_stubborn(supervisor: Supervisor, tmp_path: Path) -> list[int]:
    path = tmp_path / "pids"
    supervisor.start(python(tmp_path, _STUBBORN, str(path)), path.exists, timeout_s=30)
    return [int(pid) for pid in path.read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_start_returns_when_ready(supervisor: Supervisor, tmp_path: Path) -> None:
    answers = iter([False, False, True])
    child = supervisor.start(python(tmp_path, "import time; time.sleep(600)"), lambda: next(answers), timeout_s=30)
    assert child.is_running()
    assert next(answers, "all asked") == "all asked"


def test_death_while_starting_is_an_error_with_the_end_of_the_log(supervisor: Supervisor, tmp_path: Path) -> None:
    source = "import sys; print('the port is taken', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ServerDiedError, match=r"server ended with exit status 3(.|\n)*the port is taken"):
        supervisor.start(python(tmp_path, source), lambda: False, timeout_s=60)


def test_a_ready_answer_of_another_server_does_not_hide_a_death(supervisor: Supervisor, tmp_path: Path) -> None:
    def answered_by_another() -> bool:
        wait_until(lambda: not recorded(tmp_path / "processes.json")[0].is_running())
        return True

    with pytest.raises(ServerDiedError):
        supervisor.start(python(tmp_path, "raise SystemExit(1)"), answered_by_another, timeout_s=60)


def test_never_ready_is_an_error_and_leaves_nothing(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(ServerNotReadyError, match="server was not ready after 0 s"):
        supervisor.start(python(tmp_path, "import time; time.sleep(600)"), lambda: False, timeout_s=0.2)
    assert recorded(tmp_path / "processes.json") == []


def test_stop_ends_grandchildren_in_other_groups_that_ignore_sigterm(supervisor: Supervisor, tmp_path: Path) -> None:
    pids = start_stubborn(supervisor, tmp_path)
    assert all(is_running(pid) for pid in pids)
    assert os.getpgid(pids[1]) != os.getpgid(pids[0])

    supervisor.stop_all(grace_s=0.5)

    assert not any(is_running(pid) for pid in pids)


def test_stop_lets_a_child_end_in_order(supervisor: Supervisor, tmp_path: Path) -> None:
    source = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path(sys.argv[1]).write_text('flushed')
    sys.exit()
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1]).write_text('started')
time.sleep(600)
"""
    path = tmp_path / "state"
    child = supervisor.start(python(tmp_path, source, str(path)), path.exists, timeout_s=30)
    supervisor.stop(child, grace_s=30)
    assert path.read_text() == "flushed"


def test_servers_that_others_write_to_end_after_them(supervisor: Supervisor, tmp_path: Path) -> None:
    source = """
import pathlib, signal, sys, time
def end(*_):
    with open(sys.argv[2], 'a') as ended:
        ended.write(sys.argv[1] + ' ')
    sys.exit()
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1]).touch()
time.sleep(600)
"""
    ended = tmp_path / "ended"
    for name, last in (("store", True), ("service", False)):
        ready = tmp_path / name
        argv = (sys.executable, "-c", source, str(ready), str(ended))
        supervisor.start(Command(name, argv, tmp_path / "log", outlives_others=last), ready.exists, timeout_s=30)
    supervisor.stop_all(grace_s=30)
    assert ended.read_text().split() == [str(tmp_path / "service"), str(tmp_path / "store")]


def test_what_a_server_leaves_behind_is_removed(supervisor: Supervisor, tmp_path: Path) -> None:
    source = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    left = tmp_path / "left"
    command = Command("server", (sys.executable, "-c", source, str(left)), tmp_path / "log", leftovers=(str(left),))
    supervisor.start(command, left.exists, timeout_s=30)
    supervisor.stop_all()
    assert not left.exists()


def test_nothing_starts_after_stop_all(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.stop_all()
    with pytest.raises(StoppedError):
        supervisor.launch(python(tmp_path, "pass"))


def test_run_waits_for_the_end(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.run(python(tmp_path, f"import pathlib; pathlib.Path({str(tmp_path / 'done')!r}).touch()"), timeout_s=30)
    assert (tmp_path / "done").exists()
    with pytest.raises(ServerDiedError, match="exit status 5"):
        supervisor.run(python(tmp_path, "raise SystemExit(5)"), timeout_s=30)


def test_the_environment_is_cleared_of_what_a_user_set_for_another(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", "/elsewhere")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    source = (
        "import os; print(os.environ.get('AIRFLOW__CORE__DAGS_FOLDER'), os.environ['NO_PROXY'], os.environ['GIVEN'])"
    )
    command = Command(
        "shown",
        (sys.executable, "-c", source),
        tmp_path / "log",
        env={"GIVEN": "secret"},
        cleared_prefixes=("AIRFLOW_",),
    )
    assert "secret" not in repr(command)
    supervisor.run(command, timeout_s=30)
    assert (tmp_path / "log").read_text().split() == ["None", "127.0.0.1,localhost", "secret"]


def test_another_process_can_stop_what_is_recorded(supervisor: Supervisor, tmp_path: Path) -> None:
    pids = start_stubborn(supervisor, tmp_path)
    source = (
        "import sys; from pathlib import Path; from data_emulator.stack.records import stop_recorded;"
        "print(stop_recorded(Path(sys.argv[1]), grace_s=0.5))"
    )
    path = tmp_path / "processes.json"
    # The recorder would reap its children; here it has not, and zombies must not count as running.
    output = subprocess.run(
        [sys.executable, "-c", source, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert output.stdout.strip() == "['server']"
    assert not any(is_running(pid) for pid in pids)
    assert not path.exists()
    assert stop_recorded(path) == []


def test_a_reused_pid_is_left_alone() -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        right = Session.led_by(stranger.pid)
        assert sessions.members(right) == [stranger.pid]
        sessions.end([Session(stranger.pid, right.started + "0")], grace_s=0.1)
        assert stranger.poll() is None
        sessions.end([right], grace_s=10)
        assert stranger.wait() == -signal.SIGTERM
    finally:
        stranger.kill()
        stranger.wait()


def test_the_guard_ends_the_children_of_a_killed_supervisor(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    source = f"""
import sys, time
from pathlib import Path
from data_emulator.stack.processes import Command, Supervisor
supervisor = Supervisor(guarded=True)
pids = Path({str(path)!r})
command = Command('server', (sys.executable, '-c', {_STUBBORN!r}, str(pids)), Path({str(tmp_path / "log")!r}))
supervisor.start(command, pids.exists, timeout_s=30)
print('ready', flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        pids = [int(pid) for pid in path.read_text().split()]
        assert all(is_running(pid) for pid in pids)
        parent.kill()
        wait_until(lambda: not any(is_running(pid) for pid in pids))
    finally:
        parent.kill()
        parent.wait()


def test_a_child_of_which_the_guard_does_not_know_yet_never_begins(tmp_path: Path) -> None:
    began = tmp_path / "began"
    source = f"""
import os, signal, sys, time
from pathlib import Path
from data_emulator.stack.processes import Command, Supervisor
supervisor = Supervisor(guarded=True)
supervisor._record = lambda: (print(supervisor._children[0].record.session.id, flush=True), os.kill(os.getpid(), 9))
program = "import pathlib, time; pathlib.Path({str(began)!r}).touch(); time.sleep(600)"
supervisor.launch(Command('server', (sys.executable, '-c', program), Path({str(tmp_path / "log")!r})))
"""
    killed = subprocess.run([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    wait_until(lambda: not is_running(int(killed.stdout)))
    assert not began.exists()


def test_a_killed_guard_does_not_keep_the_supervisor_from_its_work(tmp_path: Path) -> None:
    supervisor = Supervisor(guarded=True)
    assert supervisor._guard is not None
    supervisor._guard.kill()
    supervisor._guard.wait()
    child = supervisor.start(python(tmp_path, "import time; time.sleep(600)"), lambda: True, timeout_s=30)
    supervisor.stop_all()
    assert not child.is_running()


def test_servers_are_stopped_on_a_full_disk(supervisor: Supervisor, tmp_path: Path) -> None:
    pids = start_stubborn(supervisor, tmp_path)
    state = tmp_path / "processes.json"
    state.unlink()
    state.with_suffix(".new").symlink_to("/dev/full")
    supervisor.stop_all(grace_s=0)
    assert not any(is_running(pid) for pid in pids)
