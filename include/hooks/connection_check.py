"""The connection's *Test* button: one sentence that says what is wrong and what to do about it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

from ..connection import ConnectionSettings
from ..exceptions import (
    DataEmulatorAnswerError,
    DataEmulatorConnectionError,
    DataEmulatorError,
    EmulationNotFoundError,
)
from ..wire.answer import Answer
from ..wire.call import Call, readiness_call, status_call


def check_connection(send: Callable[[Call], Answer], settings: ConnectionSettings) -> tuple[bool, str]:
    """Request the status of an emulation that cannot exist, then the readiness of the service, once each.

    The first answer shows whether the token is accepted and the server is a Data Emulator Service of any make.

    :param send: sends a request once, or raises DataEmulatorConnectionError
    :param settings: of the connection
    :return: whether the connection can be used, and a text for the form, without secrets
    :raises DataEmulatorConfigError: as ``send`` does
    """
    url = settings.base_url
    try:
        answer = send(status_call(str(uuid.UUID(int=0))))
        readiness = send(readiness_call()) if _is_emulator(answer) else None
    except DataEmulatorConnectionError as error:
        return False, f"{error.reason}."
    except DataEmulatorAnswerError as error:
        return False, f"{error}."
    return (False, _why_no_emulator(answer, settings)) if readiness is None else _readiness(readiness, url)


def _is_emulator(answer: Answer) -> bool:
    try:
        answer.raise_for_status()
    except EmulationNotFoundError:
        return True
    except DataEmulatorError:
        pass
    return False


def _why_no_emulator(answer: Answer, settings: ConnectionSettings) -> str:
    """Explain an answer that shows that the service is missing or unusable."""
    url, status = settings.base_url, answer.status_code
    if answer.other_server:
        return f"{url} is {answer.other_server}, not a Data Emulator Service: set Host and Port to the service's."
    if 300 <= status < 400:
        return f"{url} answers {status} with {answer.detail()}."
    if status == 401:
        has_token = settings.http.authorization is not None
        verb = "refuses" if has_token else "wants"
        return (
            f"{url} {verb} {'the' if has_token else 'a'} token (401): set Token to the service's DATA_EMULATOR_TOKEN."
        )
    if status == 403:
        return f"{url} forbids the request (403): use a token that may use the service, or ask who runs it."
    if status in (502, 503, 504):
        return (
            f"Something at {url} answers {status}, most likely a proxy in front of the service: see whether the "
            "service behind it runs."
        )
    if status == 429 or status >= 500:
        return f"{url} answers {status}, so the service is busy or broken: try again later, and read its log."
    what = "an HTML page" if answer.text.lstrip()[:1] == "<" else "something else"
    return (
        f"An HTTP server answers at {url}, but it is not a Data Emulator Service: asked for an emulation that cannot "
        f"exist it answered {answer.status_code} with {what}; correct Schema, Host and Port."
    )


def _readiness(answer: Answer, url: str) -> tuple[bool, str]:
    """Return the result from the answer to ``GET /readyz``, which the original service lacks."""
    answers = f"A Data Emulator Service answers at {url}"
    checks = _checks(answer)
    if answer.status_code == 200 and checks:
        sinks = [
            f"{name} is {'ready' if state == 'ok' else state}" for name, state in checks.items() if name != "store"
        ]
        return True, f"{answers}: {', '.join(sinks)}."
    if answer.status_code == 503:
        wrong = [f"{name}: {state}" for name, state in checks.items() if state not in ("ok", "not configured")]
        wrong = wrong or [f"{name}: {state}" for name, state in checks.items() if state != "ok"]
        return False, (
            f"{answers}, but is not ready ({'; '.join(wrong) or answer.detail()}): correct the service's settings for "
            "that, or start what it needs."
        )
    return True, f"{answers}. It does not report whether its sinks are ready."


def _checks(answer: Answer) -> dict[str, str]:
    try:
        checks = json.loads(answer.text)["checks"]
        return {str(name): str(state)[:300] for name, state in checks.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
