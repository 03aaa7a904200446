"""Which server answers in place of a Data Emulator Service, when a connection's Host or Port is another server's."""

from __future__ import annotations

import re
from collections.abc import Mapping

_S3_DOCUMENT = re.compile(r"<(?:Error>\s*<Code|ListAllMyBucketsResult|ListBucketResult)\b")
_AIRFLOW_PAGE = re.compile(r"<title>\s*Airflow\b", re.IGNORECASE)


def other_server(headers: Mapping[str, str], text: str) -> str | None:
    """Return what kind of server gave an answer; None when it may be anything.

    :param headers: of the answer, looked up without regard to case
    :param text: its body
    """
    start = text[:2000]
    if headers.get("X-Amz-Request-Id") or _S3_DOCUMENT.search(start):
        return "an S3 store"
    if _AIRFLOW_PAGE.search(start):
        return "Airflow itself"
    return None
