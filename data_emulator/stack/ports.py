"""Free ports on the loopback address."""

import errno
import random
import socket
from collections.abc import Sequence
from types import TracebackType

LOOPBACK = "127.0.0.1"

# Below what Linux (32768) and macOS (49152) hand out to outgoing connections, so that a connection made while the
# stack starts cannot take a port that was chosen for a server.
_RANGE = range(15_000, 32_000)


class PortReservation:
    """Ports that are held from when they are chosen until the server that is to listen on them starts.

    The i-th of `ports` is the i-th of `wanted` where that is given and free, and any free one otherwise. Use as a
    context manager, or call `release()` right before the start. Raises RuntimeError when no free port can be found.
    """

    def __init__(self, count: int, wanted: Sequence[int] = ()) -> None:
        self._sockets: list[socket.socket] = []
        candidates = iter(random.sample(_RANGE, k=len(_RANGE)))
        try:
            for position in range(count):
                held = _hold(wanted[position]) if position < len(wanted) else None
                while held is None:
                    held = _hold(next(candidates))
                self._sockets.append(held)
        except StopIteration:
            self.release()
            raise RuntimeError(f"no free port between {_RANGE.start} and {_RANGE.stop} on {LOOPBACK}") from None
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
