"""Starting the servers of a stack as child processes, waiting until they are ready, and ending every one of them."""

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from data_emulator.stack import records
from data_emulator.stack.records import Recorded
from data_emulator.stack.sessions import Session

_POLL_INTERVAL_S = 0.1
_LOG_TAIL_LINES = 20
_LOG_TAIL_BYTES = 16_384
# A child begins when it is told that the guard knows of it. When this process dies before that, the child just ends.
_GATE = 'read -r _ && exec "$@" </dev/null'
# As uvicorn, tansu and weed put it.
_PORT_TAKEN = re.compile(r"address (already )?in use|port \d+ .* is not available", re.IGNORECASE)


class StackError(Exception):
    """Something about the stack that its user can act on; the base of the errors of this package."""


class ServerStartError(StackError):
    """A server could not be started. `reason` says why, in words that fit into a sentence."""

    def __init__(self, name: str, reason: str, log_path: Path) -> None:
        self.reason = reason
        super().__init__(f"{name} {reason}. The end of its log, {log_path}:\n{read_tail(log_path)}")


class ServerDiedError(ServerStartError):
    """A server ended while it was being started; `port_taken` tells whether another program has one of its ports."""

    def __init__(self, name: str, returncode: int, log_path: Path) -> None:
        self.port_taken = _PORT_TAKEN.search(read_tail(log_path)) is not None
        super().__init__(name, f"ended with exit status {returncode} while it was starting", log_path)


class ServerNotReadyError(ServerStartError):
    """A server was started and runs, and was not ready in the time given to it."""

    def __init__(self, name: str, timeout_s: float, log_path: Path) -> None:
        super().__init__(name, f"was not ready after {timeout_s:.0f} s", log_path)


class StoppedError(StackError):
    """The supervisor was told to stop while a server was being started."""


@dataclass(frozen=True)
class Command:
    """What to run.

    `env` comes on top of this process's environment, less the variables whose names start with one of
    `cleared_prefixes`: what a user has set for another server must not steer this one. It is kept out of the repr,
    for it holds secrets. `outlives_others` marks a server that the others write to until they end, and which is
    therefore ended after them. `leftovers` are files that it may leave behind, removed after its end.
    """

    name: str
    argv: tuple[str, ...]
    log_path: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cleared_prefixes: tuple[str, ...] = ()
    cwd: Path | None = None
    outlives_others: bool = False
    leftovers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Child:
    """A process that a supervisor started: what it takes to end it, and where it logs."""

    record: Recorded
    log_path: Path
    process: "subprocess.Popen[bytes]" = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """The name that its command gave it."""
        return self.record.name

    def is_running(self) -> bool:
        """Tell whether the process itself, not only a child of it, still runs."""
        return self.process.poll() is None


class Supervisor:
    """Starts child processes, each in a session of its own, and ends them all.

    `state_path`, when given, always holds the sessions that run, so that another process can end them with
    `stop_recorded`. With `guarded`, a small guard process ends them when this process dies without doing so, kill -9
    included; without it they outlive this process.

    Methods may be called from several threads; a `stop_all` makes a `start` in another thread raise StoppedError.
    """

    def __init__(self, state_path: Path | None = None, *, guarded: bool) -> None:
        self._state_path = state_path
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._children: list[Child] = []
        self._guard: subprocess.Popen[bytes] | None = None
        if guarded:
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "data_emulator.stack.guard"],
                stdin=subprocess.PIPE,
                start_new_session=True,
                # The guard's modules must be found from whatever folder this process was started in.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )

    def start(
        self, command: Command, is_ready: Callable[[], bool], *, timeout_s: float, probe_interval_s: float = 0.1
    ) -> Child:
        """Run `command`, ask `is_ready()` every `probe_interval_s` seconds until it says so, and return the child.

        Raises ServerDiedError as soon as the child ends, ServerNotReadyError after `timeout_s` seconds (the child is
        ended then), and StoppedError when `stop_all` is called meanwhile.
        """
        child = self.launch(command)
        deadline = time.monotonic() + timeout_s
        while not is_ready() or not child.is_running():
            returncode = child.process.poll()
            if returncode is not None:
                self.kill(child)
                raise ServerDiedError(child.name, returncode, child.log_path)
            if time.monotonic() >= deadline:
                self.kill(child)
                raise ServerNotReadyError(child.name, timeout_s, child.log_path)
            if self._stopped.wait(probe_interval_s):
                raise StoppedError(f"{child.name} was stopped while it was starting")
        return child

    def launch(self, command: Command) -> Child:
        """Run `command` without waiting for anything. Raises StoppedError after `stop_all`."""
        command.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, command.log_path.open("ab") as log:
            if self._stopped.is_set():
                raise StoppedError(f"{command.name} was not started: the stack is stopping")
            process = subprocess.Popen(  # noqa: S603 - what the stack itself composed
                ("/bin/sh", "-c", _GATE, command.name, *command.argv),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(command),
                cwd=command.cwd,
                start_new_session=True,
            )
            record = Recorded(
                command.name, Session.led_by(process.pid), command.outlives_others, tuple(command.leftovers)
            )
            child = Child(record, command.log_path, process)
            self._children.append(child)
            self._record()
            if process.stdin is not None:
                _write_line(process.stdin, "go")
                _close(process.stdin)
        return child

    def run(self, command: Command, *, timeout_s: float) -> None:
        """Run `command` to its end.

        Raises ServerDiedError for an exit status other than 0, ServerNotReadyError after `timeout_s` seconds, and
        StoppedError when `stop_all` is called meanwhile.
        """
        child = self.launch(command)
        deadline = time.monotonic() + timeout_s
        while (returncode := child.process.poll()) is None:
            if time.monotonic() >= deadline:
                self.kill(child)
                raise ServerNotReadyError(child.name, timeout_s, child.log_path)
            if self._stopped.wait(_POLL_INTERVAL_S):
                raise StoppedError(f"{child.name} was stopped while it ran")
        self.kill(child)
        if returncode != 0:
            raise ServerDiedError(child.name, returncode, child.log_path)

    def stop(self, child: Child, *, grace_s: float = 10) -> None:
        """End `child` and all that it started, by SIGTERM, and by SIGKILL after `grace_s` seconds."""
        self._end([child], grace_s)

    def kill(self, child: Child) -> None:
        """End `child` and all that it started by SIGKILL, as a crash would."""
        self._end([child], 0)

    def stop_all(self, *, grace_s: float = 10) -> None:
        """End everything and start nothing any more. Safe to call again, also after it was interrupted."""
        with self._lock:
            self._stopped.set()
            children = list(self._children)
        self._end(children, grace_s)
        if self._guard is not None and self._guard.stdin is not None:
            _close(self._guard.stdin)  # With no session left to end, the guard ends at once.
            self._guard.wait()

    def _end(self, children: list[Child], grace_s: float) -> None:
        reaper = threading.Thread(target=_reap, args=(children,), daemon=True)
        reaper.start()
        records.end([child.record for child in children], grace_s=grace_s)
        reaper.join()
        with self._lock:
            self._children = [child for child in self._children if child not in children]
            self._record()

    def _record(self) -> None:
        """Write down what runs, for the guard and in the state file."""
        state = records.to_json([child.record for child in self._children])
        if self._guard is not None and self._guard.stdin is not None and not self._guard.stdin.closed:
            _write_line(self._guard.stdin, state)
        if self._state_path is not None:
            temporary = self._state_path.with_suffix(".new")
            with contextlib.suppress(OSError):  # On a full disk servers have to be stopped all the same.
                temporary.write_text(state + "\n")
                temporary.replace(self._state_path)


def read_tail(path: Path, lines: int = _LOG_TAIL_LINES) -> str:
    """Return the last `lines` of the text file `path`, or a note that there are none."""
    if not path.exists():
        return "(it logged nothing)"
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
        tail = log.read().decode(errors="replace").splitlines()
    return "\n".join(tail[-lines:]) or "(it logged nothing)"


def _reap(children: list[Child]) -> None:
    for child in children:
        child.process.wait()


def _write_line(stream: IO[bytes], line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # The reader was killed; that is noticed where it matters.
        stream.write(line.encode() + b"\n")
        stream.flush()


def _close(stream: IO[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):  # It tries once more to write what it could not.
        stream.close()


def _environment(command: Command) -> dict[str, str]:
    """Return this process's environment and the command's, with no proxy between the servers of a stack."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(command.cleared_prefixes)}
    excluded = [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1", "localhost"]
    no_proxy = ",".join(host for host in excluded if host)
    return {**inherited, "NO_PROXY": no_proxy, "no_proxy": no_proxy, **command.env}
