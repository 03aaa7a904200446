"""What has gone wrong with a stack while it ran: written by the process that runs it, shown by `up` and `down`."""

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from data_emulator.stack.folders import incidents_path


@dataclass(frozen=True)
class Incident:
    """Something that went wrong at Unix time `at`.

    `server` is the name of the one that died, None when it is about the whole stack. `text` is one sentence, without
    its full stop. After an incident that is `final` the stack was stopped.
    """

    at: float
    text: str
    server: str | None = None
    final: bool = False


def record_incident(run_dir: Path, incident: Incident) -> None:
    """Add an incident to those of the stack in `run_dir`, unless the disk is full."""
    with contextlib.suppress(OSError), incidents_path(run_dir).open("a") as file:
        file.write(json.dumps(asdict(incident)) + "\n")


def recorded_incidents(run_dir: Path) -> list[Incident]:
    """Return what has gone wrong with the stack in `run_dir` since it was started, the oldest first."""
    path = incidents_path(run_dir)
    incidents = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):  # one that was cut off when the disk became full
            incidents.append(Incident(**json.loads(line)))
    return incidents


def forget_incidents(run_dir: Path) -> None:
    """Begin anew, for a stack that is being started."""
    incidents_path(run_dir).unlink(missing_ok=True)


def describe_incidents(incidents: Sequence[Incident]) -> list[str]:
    """Return a line for each server that has died and for whatever else went wrong, as it was the last time."""
    lines = []
    for server in dict.fromkeys(incident.server for incident in incidents):
        about = [incident for incident in incidents if incident.server == server]
        again = " and was started again" if server is not None and not about[-1].final else ""
        times = f" (so far {len(about)} times)" if server is not None and len(about) > 1 else ""
        lines.append(f"{clock(about[-1].at)} {about[-1].text}{again}{times}.")
    return lines


def describe_end(run_dir: Path) -> str | None:
    """Return a sentence about why the last stack in `run_dir` has ended by itself, or None if it has not."""
    ended = [incident for incident in recorded_incidents(run_dir) if incident.final]
    return f"The last stack ended by itself at {clock(ended[-1].at)}: {ended[-1].text}." if ended else None


def clock(at: float) -> str:
    """Return a Unix time as the local date and time of day."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
