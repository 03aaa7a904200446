"""Why an S3 store did not do what it was asked, in one line that a person understands."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

_REQUEST: Final = re.compile(
    r"Error performing (?:\w+ request: Error performing )?[A-Z]+ (?P<url>\S+) in .*? +- (?P<outcome>.*)", re.DOTALL
)
_ANSWER: Final = re.compile(
    r"Server returned non-2xx status code: (?P<status>\d{3}) (?P<phrase>[^:]*):?(?P<body>.*)", re.DOTALL
)
_CODE: Final = re.compile(r"<Code>([^<]+)</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]+)</Message>")
_FULL_DISK: Final = {
    "InternalError": "a full disk is a usual reason",
    "InsufficientCapacity": "its disk is full",
    "XMinioStorageFull": "its disk is full",
    "507": "its disk is full",
}
"""What a store with a full disk answers, by code or status; most say no more than that something is wrong."""
_PASSING_STATUSES: Final = {408, 409, 425, 429}
_PASSING_CODES: Final = {
    # The clocks differ, or a session's credentials have run out: both are put right without the emulation.
    "RequestTimeTooSkewed",
    "RequestExpired",
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    # A request that was cut off or damaged on its way.
    "RequestTimeout",
    "IncompleteBody",
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    # An upload that somebody else, such as a lifecycle rule, has aborted: the next one is another.
    "NoSuchUpload",
    "InvalidPart",
    # The store has too much to do.
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "OperationAborted",
}
"""Answers with a status of 400 and on that another try may not get."""


def is_permanent(error: Exception) -> bool:
    """Tell whether a request failed because the store refuses it, so that sending it again cannot help.

    :param error: of obstore
    """
    answer = _answer(error)
    if answer is None:  # nobody answered, or not in time
        return isinstance(error, PermissionDeniedError | UnauthenticatedError)
    status, code = int(answer["status"]), _CODE.search(answer["body"])
    if status == 404 and code is None:  # not the store's own words: of a proxy, perhaps, with no store behind it
        return False
    return 400 <= status < 500 and status not in _PASSING_STATUSES and not (code and code[1] in _PASSING_CODES)


def _answer(error: Exception) -> re.Match[str] | None:
    request = _REQUEST.search(_text(error))
    return None if request is None else _ANSWER.match(request["outcome"])


def _text(error: Exception) -> str:
    return str(error).split("\n\nDebug source", 1)[0]  # behind it is a dump of its Rust source


def reason(error: Exception) -> str:
    """Return why a request failed: ``http://localhost:9000 answers 503 SlowDown (Reduce your request rate)``.

    :param error: of obstore, whose text has the request, its retries and the store's whole answer
    """
    text = _text(error)
    request = _REQUEST.search(text)
    if request is None:
        return _line(text)
    url = urlsplit(request["url"])
    store = f"{url.scheme}://{url.netloc}"
    answer = _ANSWER.match(request["outcome"])
    if answer is None:
        sent = request["outcome"].strip() == "HTTP error: error sending request"
        return f"{store} does not answer" if sent else f"{store}: {_line(request['outcome'])}"
    code, message = _CODE.search(answer["body"]), _MESSAGE.search(answer["body"])
    name = code[1] if code else answer["phrase"].strip()
    hint = _FULL_DISK.get(name) or _FULL_DISK.get(answer["status"])
    told = message[1] if message else "" if code else answer["body"][:300]
    if hint or not told.strip():  # with a hint, the store's own words say no more than its code
        return f"{store} answers {answer['status']} {name}" + (f"; {hint}" if hint else "")
    return f"{store} answers {answer['status']} {name} ({_line(told)})"


def _line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
