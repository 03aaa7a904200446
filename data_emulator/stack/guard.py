"""Ends a supervisor's children when the supervisor dies without having done so.

Run as `python -m data_emulator.stack.guard` with a pipe on standard input, each line of which is the JSON list of the
processes that run. The system closes the pipe when the supervisor is gone, however it went; what the last line names is
then ended. A pipe works on every Unix and reaches grandchildren, which a parent-death signal does not.
"""

import signal
import sys

from data_emulator.stack import records
from data_emulator.stack.records import Recorded

_GRACE_S = 5.0


def main() -> None:
    """Read until the pipe closes, then end what was named last."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # It ends when its supervisor does, and not before.
    running: list[Recorded] = []
    for line in sys.stdin:
        if line.endswith("\n"):  # The last one may have been cut off.
            running = records.from_json(line)
    records.end(running, grace_s=_GRACE_S)


if __name__ == "__main__":
    main()
