"""What has to be known of a running process to end it: kept by its supervisor, its guard and the state file alike."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from data_emulator.stack import sessions
from data_emulator.stack.sessions import Session


@dataclass(frozen=True)
class Recorded:
    """A process by its name and session, whether it is ended after the others, and files to remove after its end."""

    name: str
    session: Session
    outlives_others: bool
    leftovers: tuple[str, ...]

    def is_running(self) -> bool:
        """Tell whether the process itself, not only a child of it, still runs."""
        return self.session.id in sessions.members(self.session)


def end(entries: Sequence[Recorded], *, grace_s: float) -> None:
    """End processes and all that they started: those that outlive others last, each with `grace_s` seconds to do so.

    What they leave behind is removed. Raises the errors of `sessions.end`.
    """
    for last in (False, True):
        sessions.end([entry.session for entry in entries if entry.outlives_others is last], grace_s=grace_s)
    for entry in entries:
        for path in entry.leftovers:
            Path(path).unlink(missing_ok=True)


def to_json(entries: Sequence[Recorded]) -> str:
    """Return `entries` as one line of JSON."""
    return json.dumps([asdict(entry) for entry in entries])


def from_json(text: str) -> list[Recorded]:
    """Return the entries that `to_json` has written."""
    return [
        Recorded(entry["name"], Session(**entry["session"]), entry["outlives_others"], tuple(entry["leftovers"]))
        for entry in json.loads(text)
    ]


def recorded(state_path: Path) -> list[Recorded]:
    """Return what a supervisor recorded in `state_path`, whether it still runs or not."""
    return from_json(state_path.read_text()) if state_path.exists() else []


def stop_recorded(state_path: Path, *, grace_s: float = 10) -> list[str]:
    """End what is recorded in `state_path`, remove the file, and return the names of what was still running."""
    entries = recorded(state_path)
    running = [entry.name for entry in entries if sessions.members(entry.session)]
    end(entries, grace_s=grace_s)
    state_path.unlink(missing_ok=True)
    return running
