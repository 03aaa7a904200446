"""An emulation's id and status, in every shape that known services send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from ..exceptions import DataEmulatorAnswerError
from ..wording import size
from .answer import Answer


class EmulationState(StrEnum):
    """The state of an emulation."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the emulation has ended and will not change any more."""
        return self in (EmulationState.COMPLETED, EmulationState.FAILED, EmulationState.CANCELLED)


@dataclass(frozen=True)
class Progress:
    """The progress of an emulation; None where the service does not report it."""

    records: int | None = None
    bytes: int | None = None
    elapsed_s: float | None = None
    records_per_s: float | None = None
    percent: float | None = None

    def __str__(self) -> str:
        parts = []
        if self.percent is not None:
            parts.append(f"{self.percent:.0f}%")
        if self.records is not None:
            parts.append(f"{self.records:,} records")
        if self.bytes is not None:
            parts.append(size(self.bytes))
        if self.elapsed_s is not None:
            parts.append(f"{self.elapsed_s:.1f} s")
        if self.records_per_s is not None:
            parts.append(f"{self.records_per_s:,.0f} records/s")
        return ", ".join(parts)


@dataclass(frozen=True)
class Waiting:
    """That an emulation waits, since what it writes to is away.

    :param reason: what is away, and why
    :param since: since when, in ISO 8601; None when the service does not tell
    :param until: when the service gives the emulation up, likewise
    """

    reason: str
    since: str | None = None
    until: str | None = None

    def __str__(self) -> str:
        since = f"since {self.since}" if self.since else ""
        until = f"the service gives up at {self.until}" if self.until else ""
        when = "; ".join(each for each in (since, until) if each)
        return f"{self.reason} ({when})" if when else self.reason


@dataclass(frozen=True)
class Shortfall:
    """That an emulation completed with fewer records than were asked for, as its time was up."""

    asked: int
    made: int

    def __str__(self) -> str:
        return f"only {self.made:,} of the {self.asked:,} records asked for, as its time was up"


@dataclass(frozen=True)
class EmulationStatus:
    """The status of one emulation.

    :param emulation_id: the emulation
    :param state: where it stands; ``FAILED`` as soon as any thread is in error, whatever the service's own summary says
    :param threads: state by thread number, empty when the service does not tell
    :param error: why it failed, None otherwise
    :param progress: None when the service does not tell
    :param waiting: what it waits for, None if for nothing, or when the service does not tell
    :param waited: whether the service held the request until something happened (``Preference-Applied``)
    :param domain: what is emulated; None when the service does not tell, and so are the following
    :param sink: ``s3``, ``kafka`` or ``file``
    :param place: where the data lies: ``s3://BUCKET/ID/``, ``kafka://TOPIC`` or ``file:///FOLDER/ID/``
    :param manifest: the path of the manifest
    :param shortfall: None unless it completed with fewer records than asked for, and the service tells
    """

    emulation_id: str
    state: EmulationState
    threads: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    progress: Progress | None = None
    waited: bool = False
    domain: str | None = None
    sink: str | None = None
    place: str | None = None
    manifest: str | None = None
    waiting: Waiting | None = None
    shortfall: Shortfall | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form, for a trigger's event."""
        return {**asdict(self), "state": self.state.value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EmulationStatus:
        """The inverse of :meth:`as_dict`."""
        progress, waiting, shortfall = data["progress"], data.get("waiting"), data.get("shortfall")
        return cls(
            **{
                **data,
                "state": EmulationState(data["state"]),
                "progress": None if progress is None else Progress(**progress),
                "waiting": None if waiting is None else Waiting(**waiting),
                "shortfall": None if shortfall is None else Shortfall(**shortfall),
            }
        )


@dataclass(frozen=True)
class Started:
    """The answer to a request that starts an emulation.

    :param emulation_id: the emulation
    :param replayed: whether the idempotency key had started it before
    """

    emulation_id: str
    replayed: bool


def parse_emulation_id(value: Any) -> str:
    """Return the id as a string, from a plain string or the original service's ``{"value": "..."}``.

    :raises DataEmulatorAnswerError: for anything else, an empty string included
    """
    if isinstance(value, Mapping):
        value = value.get("value")
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise DataEmulatorAnswerError(f"An emulation's id must be a string or {{'value': string}}, got {value!r}")


def parse_started(answer: Answer) -> Started:
    """Read the answer to ``POST /emulator/``.

    :raises DataEmulatorError: as :meth:`Answer.json_object` and :func:`parse_emulation_id` do
    """
    emulation_id = parse_emulation_id(answer.json_object().get("id"))
    return Started(emulation_id, replayed=answer.headers.get("Idempotency-Replayed", "").lower() == "true")


def parse_cancelled(answer: Answer) -> bool:
    """Return whether the service will cancel the emulation; False if it had already ended (409).

    :raises DataEmulatorError: for any other answer that is not 2xx
    """
    if answer.status_code == 409:
        return False
    answer.raise_for_status()
    return True


@dataclass(frozen=True)
class Statuses:
    """The status of many emulations.

    :param found: by id, those that it tells of
    :param not_found: those that it does not know
    :param waited: as for :class:`EmulationStatus`
    """

    found: Mapping[str, EmulationStatus]
    not_found: tuple[str, ...]
    waited: bool


def parse_status(emulation_id: str, answer: Answer) -> EmulationStatus:
    """Read the answer to ``GET /emulator/{id}/status``.

    ``status`` may be flat (``"completed"``) or nested (``{"global_status": ..., "threads": {...}}``); ``error``,
    ``progress`` and ``threads`` may be missing; what is not known is ignored.

    :param emulation_id: the emulation that was asked for
    :param answer: what came back
    :raises DataEmulatorAnswerError: when no state that we know can be read from it
    :raises DataEmulatorError: as :meth:`Answer.json_object` does
    """
    body = answer.json_object()
    if body.get("id") is not None and parse_emulation_id(body["id"]) != emulation_id:
        raise answer.not_understood(f"it is for emulation {body['id']!r}, not {emulation_id!r}")
    return _status(emulation_id, body, _was_held(answer))


def parse_statuses(answer: Answer) -> Statuses:
    """Read the answer to ``POST /emulator/status``.

    :raises DataEmulatorAnswerError: when it is not made of an object for each emulation, each with its ``id``
    :raises DataEmulatorError: as :meth:`Answer.json_object` does
    """
    body = answer.json_object()
    bodies, not_found = body.get("emulations"), body.get("not_found", [])
    if not isinstance(bodies, list) or not isinstance(not_found, list):
        raise answer.not_understood("it has no list of emulations")
    waited = _was_held(answer)
    found: dict[str, EmulationStatus] = {}
    for each in bodies:
        if not isinstance(each, Mapping):
            raise answer.not_understood("one of its emulations is not an object")
        emulation_id = parse_emulation_id(each.get("id"))
        found[emulation_id] = _status(emulation_id, each, waited)
    return Statuses(found, tuple(str(each) for each in not_found), waited)


def _was_held(answer: Answer) -> bool:
    return "wait" in answer.headers.get("Preference-Applied", "")


def _status(emulation_id: str, body: Mapping[str, Any], waited: bool) -> EmulationStatus:
    status = body.get("status")
    nested: Mapping[str, Any] = status if isinstance(status, Mapping) else {}
    name = nested.get("global_status") if isinstance(status, Mapping) else status
    try:
        state = EmulationState(str(name).lower())
    except ValueError:
        known = ", ".join(EmulationState)
        raise DataEmulatorAnswerError(
            f"The status of emulation {emulation_id} is {name!r}; the states known are {known}"
        ) from None
    threads_value = nested.get("threads")
    threads = {str(k): str(v) for k, v in threads_value.items()} if isinstance(threads_value, Mapping) else {}
    error_value = body.get("error") or nested.get("error")
    error = None if error_value is None else str(error_value)

    # The original says "completed" when writes failed, and stays "processing" for ever when all of them did. A thread
    # in error does not recover, so the first one ends the wait.
    in_error = sorted(number for number, thread in threads.items() if thread.lower() == "error")
    if in_error and state is not EmulationState.CANCELLED:
        if state is not EmulationState.FAILED or error is None:
            reason = f"{len(in_error)} of {len(threads)} threads in error while the service reports {state.value!r}"
            error = f"{error} ({reason})" if error else reason
        state = EmulationState.FAILED
    return EmulationStatus(
        emulation_id,
        state,
        threads,
        error,
        _parse_progress(body.get("progress")),
        waited,
        domain=_text(body, "emulation_domain"),
        sink={"minio": "s3", "kafka": "kafka", "file": "file"}.get(str(body.get("emulator_sync"))),
        place=_text(body, "place"),
        manifest=_text(body, "manifest"),
        waiting=_parse_waiting(body.get("waiting")),
        shortfall=_parse_shortfall(body.get("shortfall")),
    )


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None


def _parse_waiting(value: Any) -> Waiting | None:
    if not isinstance(value, Mapping) or (reason := _text(value, "for")) is None:
        return None
    return Waiting(" ".join(reason.split()), _text(value, "since"), _text(value, "until"))


def _parse_shortfall(value: Any) -> Shortfall | None:
    if not isinstance(value, Mapping):
        return None
    asked, made = value.get("asked"), value.get("made")
    return Shortfall(asked, made) if type(asked) is int and type(made) is int else None


def _parse_progress(value: Any) -> Progress | None:
    if not isinstance(value, Mapping):
        return None

    def number(name: str) -> Any:
        found = value.get(name)
        return found if isinstance(found, int | float) and not isinstance(found, bool) else None

    return Progress(
        records=number("records"),
        bytes=number("bytes"),
        elapsed_s=number("elapsed_s"),
        records_per_s=number("records_per_s"),
        percent=number("percent"),
    )
