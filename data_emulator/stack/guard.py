"""Ends a supervisor's children when the supervisor dies without having done so.

Run as `python -m data_emulator.stack.guard` with a pipe on standard input, each line of which is the JSON list of the
sessions that run. The system closes the pipe when the supervisor is gone, however it went; what the last line names is
then ended. A pipe works on every Unix and reaches grandchildren, which a parent-death signal does not.
"""

import json
import signal
import sys

from data_emulator.stack import sessions
from data_emulator.stack.sessions import Session

_GRACE_S = 5.0


def main() -> None:
    """Read until the pipe closes, then end what was named last."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # It ends when its supervisor does, and not before.
    state: list[dict[str, object]] = []
    for line in sys.stdin:
        if line.endswith("\n"):
            state = json.loads(line)
    found = [Session(int(str(entry["id"])), float(str(entry["started_at"]))) for entry in state]
    sessions.end(found, grace_s=_GRACE_S)


if __name__ == "__main__":
    main()
