"""Watching the servers of a running stack: one that dies is started again, unless it keeps dying."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from data_emulator.stack.disk import full_disk
from data_emulator.stack.incidents import Incident, record_incident
from data_emulator.stack.processes import ServerStartError, StackError, StoppedError, read_tail
from data_emulator.stack.server import Server, cause_of_death

_POLL_INTERVAL_S = 0.5
_DISK_POLL_INTERVAL_S = 5.0
# A server that dies more often than this within the time is given up.
_RESTARTS, _WITHIN_S = 5, 600.0
# The wait before a start, doubled with each death within that time.
_FIRST_DELAY_S = 0.5
_LOG_LINES_SHOWN, _LOG_LINE_WIDTH = 5, 200


class GaveUpError(StackError):
    """A server of the stack died again and again."""


class Restarts:
    """Starts the servers of the stack in `run_dir` again when they die, and notices when the disk is full.

    `say` is given a line about each death and each return, from another thread; all is recorded as incidents, too.
    `failure` is set once a server is given up; nothing is done to the others then.
    """

    def __init__(self, run_dir: Path, servers: Sequence[Server], say: Callable[[str], None]) -> None:
        self.failure: GaveUpError | None = None
        self._run_dir = run_dir
        self._say = say
        self._over = threading.Event()
        self._failed = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._watch, args=(server,), name="restarts", daemon=True) for server in servers
        ]
        self._threads.append(threading.Thread(target=self._watch_disk, name="disk", daemon=True))

    def begin(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Let servers die from now on."""
        self._over.set()

    def wait_for_failure(self) -> GaveUpError | None:
        """Block until a server is given up, for ever if none is, and return the failure."""
        self._failed.wait()
        return self.failure

    def _watch(self, server: Server) -> None:
        died_at: list[float] = []
        while not self._over.wait(_POLL_INTERVAL_S):
            child = server.bury()
            if child is None or self._over.is_set():
                continue
            reason: str | None = f"died ({cause_of_death(child.process.returncode)})"
            while reason:
                now = time.monotonic()
                died_at = [at for at in died_at if now - at < _WITHIN_S] + [now]
                self._tell(child.name, child.log_path, reason, len(died_at))
                if len(died_at) > _RESTARTS or self._over.wait(_FIRST_DELAY_S * 2 ** (len(died_at) - 1)):
                    return
                reason = _start(server)
                if reason is None:
                    return
            self._say(f"{child.name} runs again")

    def _tell(self, name: str, log_path: Path, reason: str, deaths: int) -> None:
        full = full_disk(self._run_dir)
        text = f"{name} {reason}" + (f": {full}" if full else "")
        given_up = deaths > _RESTARTS
        if given_up:
            text = f"{text}, for the {deaths}th time within {_WITHIN_S / 60:.0f} minutes"
        tail = "".join(f"\n  {line[:_LOG_LINE_WIDTH]}" for line in read_tail(log_path, _LOG_LINES_SHOWN).splitlines())
        advice = "it is given up" if given_up else "starting it again"
        self._say(f"{text}; {advice}. The end of its log, {log_path}:{tail}")
        with self._lock:
            record_incident(self._run_dir, Incident(time.time(), text, server=name, final=given_up))
            if given_up and self.failure is None:
                self.failure = GaveUpError(f"{text}. The end of its log, {log_path}:{tail}")
                self._failed.set()

    def _watch_disk(self) -> None:
        was_full = False
        while not self._over.wait(_DISK_POLL_INTERVAL_S):
            full = full_disk(self._run_dir)
            if full and not was_full:
                self._say(full)
                with self._lock:
                    record_incident(self._run_dir, Incident(time.time(), full))
            elif was_full and not full:
                self._say(f"the disk with {self._run_dir} has room again")
            was_full = full is not None


def _start(server: Server) -> str | None:
    """Start a server. Return "" when it is ready, why it is not otherwise, and None when nothing is to be started."""
    try:
        server.start()
    except StoppedError:
        return None
    except ServerStartError as error:
        return error.reason
    return ""
