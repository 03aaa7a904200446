"""Free ports on the loopback address."""

import errno
import random
import socket
from collections.abc import Iterable
from types import TracebackType

LOOPBACK = "127.0.0.1"

# Below what Linux (32768) and macOS (49152) hand out to outgoing connections, so that a connection made while the
# stack starts cannot take a port that was chosen for a server.
_RANGE = range(15_000, 32_000)


class PortReservation:
    """Ports that are held from when they are chosen until the server that is to listen on them starts.

    `wanted` ports are taken when they are free, and replaced when they are not. Use as a context manager, or call
    `release()` right before the start. Raises RuntimeError when no free port can be found.
    """

    def __init__(self, count: int, wanted: Iterable[int] = ()) -> None:
        self._sockets: list[socket.socket] = []
        candidates = [*wanted, *random.sample(_RANGE, k=1000)]
        try:
            for port in candidates:
                if len(self._sockets) == count:
                    break
                held = _hold(port)
                if held is not None:
                    self._sockets.append(held)
            if len(self._sockets) < count:
                raise RuntimeError(
                    f"no {count} free ports found between {_RANGE.start} and {_RANGE.stop} on {LOOPBACK}"
                )
        except BaseException:
            self.release()
            raise
        self.ports: tuple[int, ...] = tuple(held.getsockname()[1] for held in self._sockets)

    def release(self) -> None:
        """Let go of the ports."""
        for held in self._sockets:
            held.close()
        self._sockets.clear()

    def __enter__(self) -> "PortReservation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_listening(port: int) -> bool:
    """Tell whether something accepts connections on `port` of the loopback address."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def _hold(port: int) -> socket.socket | None:
    """Return a socket bound to `port`, or None when it is taken."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # A port with old connections in TIME_WAIT is free for a server, which sets the same option.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOOPBACK, port))
        held.listen(1)  # Two sockets that only bind, with this option, may have the same port on Linux.
    except OSError as error:
        held.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            return None
        raise
    return held
