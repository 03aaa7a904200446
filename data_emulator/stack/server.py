"""What the servers of a stack have in common: a command, a probe, and start, stop and kill."""

import signal
import threading
from abc import ABC, abstractmethod

from data_emulator.stack.processes import Child, Command, Supervisor


class Server(ABC):
    """A server on fixed ports and a folder, which can be started, stopped and killed any number of times.

    It keeps its data from one start to the next, as far as the server does. Methods may be called from several threads.
    """

    ready_timeout_s = 60.0
    probe_interval_s = 0.1

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._child: Child | None = None
        self._lock = threading.Lock()

    @abstractmethod
    def command(self) -> Command:
        """Return what to run; files that it needs are written here."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Tell whether the server answers as its clients need it to."""

    def start(self) -> None:
        """Start the server and return when it is ready. Raises the errors of `Supervisor.start`."""
        with self._lock:
            self._child = self._supervisor.start(
                self.command(), self.is_ready, timeout_s=self.ready_timeout_s, probe_interval_s=self.probe_interval_s
            )

    @property
    def pid(self) -> int:
        """The id of the server's first process. Raises RuntimeError when the server does not run."""
        if self._child is None:
            raise RuntimeError(f"{type(self).__name__} does not run")
        return self._child.process.pid

    def stop(self) -> None:
        """Stop the server in order; what it acknowledged is kept."""
        with self._lock:
            if self._child is not None:
                self._supervisor.stop(self._child)
                self._child = None

    def kill(self) -> None:
        """End the server by SIGKILL, as a crash would."""
        with self._lock:
            if self._child is not None:
                self._supervisor.kill(self._child)
                self._child = None

    def bury(self) -> Child | None:
        """Return the server's process if it has died by itself, and end what it leaves running; None otherwise.

        A server that was stopped or killed by its methods, or is being started, has not died.
        """
        if self._child is None or self._child.is_running():
            return None
        with self._lock:
            child = self._child
            if child is None or child.is_running():
                return None
            self._supervisor.kill(child)
            self._child = None
            return child


def cause_of_death(returncode: int) -> str:
    """Return what a process ended with, in words."""
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit status {returncode}"
