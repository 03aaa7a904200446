"""Why a store did not do what it was asked, out of obstore's text."""

import pytest

from data_emulator.sinks.s3.reason import is_permanent, reason

REQUEST = "Generic S3 error: Error performing PUT http://store:9000/bucket/key?partNumber=2&uploadId=84 in 1.4s"
RETRIED = f"{REQUEST}, after 10 retries, max_retries: 10, retry_timeout: 10s "
REFUSED = "Server returned non-2xx status code"
INTERNAL = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code><Message>We encountered an internal '
    "error, please try again.</Message><Resource>/bucket/key</Resource></Error>"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{RETRIED} - HTTP error: error sending request", "http://store:9000 does not answer"),
        (f"{REQUEST} - HTTP error: error sending request", "http://store:9000 does not answer"),
        (
            f"{REQUEST} - HTTP error: certificate has\n expired.",
            "http://store:9000: HTTP error: certificate has expired",
        ),
        (
            f"{RETRIED} - {REFUSED}: 500 Internal Server Error: {INTERNAL}",
            "http://store:9000 answers 500 InternalError; a full disk is a usual reason",
        ),
        (
            f"{RETRIED} - {REFUSED}: 503 Busy: <Error><Code>SlowDown</Code><Message>Less.</Message></Error>",
            "http://store:9000 answers 503 SlowDown (Less)",
        ),
        (
            f"{RETRIED} - {REFUSED}: 507 Insufficient Storage: no room",
            "http://store:9000 answers 507 Insufficient Storage; its disk is full",
        ),
        (f"{REQUEST} - {REFUSED}: 400 Bad Request: <Error><Code>X</Code></Error>", "http://store:9000 answers 400 X"),
        (
            (
                "Generic S3 error: Error performing list request: Error performing GET https://store/bucket?type=2 in "
                f"2ms - {REFUSED}: 404 Not Found: <Error><Code>NoSuchBucket</Code><Message>Gone</Message></Error>"
                "\n\nDebug source:\nGeneric { source: RetryError }"
            ),
            "https://store answers 404 NoSuchBucket (Gone)",
        ),
        ("Connection\n  reset.", "Connection reset"),
    ],
)
def test_a_reason_is_one_line_about_the_store(text: str, expected: str) -> None:
    assert reason(OSError(text)) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("400 Bad Request: <Error><Code>InvalidArgument</Code></Error>", True),
        ("400 Bad Request: <Error><Code>EntityTooLarge</Code></Error>", True),
        ("403 Forbidden: <Error><Code>AccessDenied</Code></Error>", True),
        ("403 Forbidden: <Error><Code>InvalidAccessKeyId</Code></Error>", True),
        ("403 Forbidden: <Error><Code>QuotaExceeded</Code></Error>", True),
        ("404 Not Found: <Error><Code>NoSuchBucket</Code></Error>", True),
        ("405 Method Not Allowed: ", True),
        ("413 Payload Too Large: <html>", True),
        ("400 Bad Request: <Error><Code>ExpiredToken</Code></Error>", False),
        ("400 Bad Request: <Error><Code>RequestTimeout</Code></Error>", False),
        ("403 Forbidden: <Error><Code>RequestTimeTooSkewed</Code></Error>", False),
        ("404 Not Found: <Error><Code>NoSuchUpload</Code></Error>", False),
        ("404 Not Found: <html>nginx</html>", False),
        ("408 Request Timeout: ", False),
        ("409 Conflict: <Error><Code>OperationAborted</Code></Error>", False),
        ("429 Too Many Requests: ", False),
        ("500 Internal Server Error: <Error><Code>InternalError</Code></Error>", False),
        ("503 Slow Down: <Error><Code>SlowDown</Code></Error>", False),
        ("507 Insufficient Storage: ", False),
    ],
)
def test_a_refusal_is_told_apart_from_an_outage(answer: str, expected: bool) -> None:
    assert is_permanent(OSError(f"{REQUEST} - {REFUSED}: {answer}")) is expected


def test_a_store_that_does_not_answer_refuses_nothing() -> None:
    assert not is_permanent(OSError(f"{RETRIED} - HTTP error: error sending request"))
    assert not is_permanent(OSError("Connection reset"))
