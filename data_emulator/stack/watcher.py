"""The process that runs the stack of `up` and outlives it, until `down` ends it.

Run as `python -m data_emulator.stack.watcher RUN_DIR [--airflow]`. On its standard output it tells `up` line by line,
in JSON, how far the start is: `{"say": TEXT}`, and last `{"ready": true}` or `{"failed": TEXT}`. If `up` goes away
before that, the stack is stopped. From then on it only logs, to its standard error.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from data_emulator.stack.incidents import clock
from data_emulator.stack.interrupts import Interrupted, interrupts_raise
from data_emulator.stack.processes import StackError
from data_emulator.stack.stack import Stack


class _Teller:
    """Tells `up` while it listens, and the log always."""

    def __init__(self) -> None:
        self._listening = True

    def say(self, text: str) -> None:
        """Tell what happens. Raises StackError when `up` has gone away while it should listen."""
        print(clock(time.time()), text, file=sys.stderr, flush=True)
        self._send({"say": text})

    def end(self, message: dict[str, object]) -> None:
        """Tell `up` how the start ended; from now on there is only the log."""
        self._send(message)
        self.stop_listening()

    def stop_listening(self) -> None:
        """Tell `up` nothing any more, and let go of its pipe."""
        self._listening = False
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def _send(self, message: dict[str, object]) -> None:
        if not self._listening:
            return
        try:
            print(json.dumps(message), flush=True)
        except BrokenPipeError:
            self.stop_listening()
            raise StackError("the command that started the stack has gone away") from None


def main() -> int:
    """Start the stack, keep it running until this process is told to end, or a server cannot be kept running."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--airflow", action="store_true")
    arguments = parser.parse_args()
    teller = _Teller()
    stack = Stack(arguments.run_dir, with_airflow=arguments.airflow, scheduled=True)
    with interrupts_raise():
        try:
            try:
                stack.start(teller.say)
                teller.end({"ready": True})
                teller.say(f"stopping the stack: {stack.wait_for_failure()}")
            except StackError as error:
                teller.end({"failed": str(error)})
            finally:
                stack.stop()
        except Interrupted:  # Raised once only: what follows is not disturbed.
            teller.stop_listening()
            stack.stop()
            teller.say("stopped")
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
