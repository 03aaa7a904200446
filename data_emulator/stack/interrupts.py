"""Ctrl-C, SIGTERM and a closed terminal as an exception, once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The process was asked to end. `exit_status` is what a shell expects of one that a signal ended."""

    def __init__(self, signal_number: int) -> None:
        self.exit_status = 128 + signal_number
        super().__init__(f"interrupted by {signal.Signals(signal_number).name}")


@contextmanager
def interrupts_raise() -> Iterator[None]:
    """Within, the first signal raises Interrupted in the main thread; later ones cannot disturb the cleaning up.

    After an interruption the signals stay ignored, for the process is about to exit, and with the status of the first.
    Must be entered in the main thread.
    """
    raised = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal raised
        if not raised:
            raised = True
            raise Interrupted(number)

    previous = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_IGN if raised else handler)
