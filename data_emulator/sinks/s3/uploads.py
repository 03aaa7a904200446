"""Uploads in parts that nobody will complete: invisible, and paid for until they are aborted."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit

import httpx
import obstore
import structlog
from obstore.store import S3Store

_EXPIRES_IN: Final = timedelta(minutes=5)
_UPLOAD: Final = re.compile(
    r"<Upload>(?=(?:(?!</Upload>).)*<Key>(?P<key>[^<]+)</Key>)(?=(?:(?!</Upload>).)*<UploadId>(?P<id>[^<]+)</UploadId>)",
    re.DOTALL,
)
"""An upload in a list of them; the order of its fields is not fixed."""
_CANNOT_BE_HELPED: Final = range(400, 500)

log = structlog.get_logger(__name__)

OpenAt = Callable[[str], S3Store]
"""Opens a client, with the same credentials, all of whose requests go to one URL, query and all."""


class UploadsUnknown(OSError):
    """The store did not say which uploads there are, or did not abort one."""


class _Refused(Exception):
    """The store has no such request, or does not allow it."""


def abort_uploads(store: S3Store, open_at: OpenAt, prefix: str, timeout_s: float) -> None:
    """Abort all uploads of objects under a prefix. Blocks. Where that is not allowed it is logged, and no error.

    :param prefix: ends in a slash.
    :raises UploadsUnknown: when the store does not answer, or not as it should.
    """
    with httpx.Client(timeout=timeout_s) as client:
        try:
            aborted: set[str] = set()
            while left := _uploads(store, open_at, client, prefix, but=aborted):
                for key, upload_id in left:
                    query = f"uploadId={quote(upload_id, safe='')}&x-id="
                    _send(client, "DELETE", _signed(store, open_at, "DELETE", key, query))
                    aborted.add(upload_id)
        except _Refused as refusal:
            log.warning("uploads cannot be aborted: let a lifecycle rule do it", under=prefix, reason=str(refusal))


def _uploads(
    store: S3Store, open_at: OpenAt, client: httpx.Client, prefix: str, but: set[str]
) -> list[tuple[str, str]]:
    """Return the key and the id of uploads under a prefix; of very many, the first."""
    url = _signed(store, open_at, "GET", "", f"uploads=&prefix={quote(prefix.rstrip('/'), safe='')}")
    uploads = [(unescape(each["key"]), unescape(each["id"])) for each in _UPLOAD.finditer(_send(client, "GET", url))]
    return [(key, upload_id) for key, upload_id in uploads if key.startswith(prefix) and upload_id not in but]


def _signed(store: S3Store, open_at: OpenAt, method: obstore.HTTP_METHOD, key: str, query: str) -> str:
    """Return a signed URL with a query.

    obstore signs the URL of an object, without one. So it is given a store whose address is that URL and the query; as
    it puts a slash behind the address, the query's last value ends in one.
    """
    url = obstore.sign(store, method, key, expires_in=_EXPIRES_IN).partition("?")[0]
    return obstore.sign(open_at(f"{url}?{query}"), method, "", expires_in=_EXPIRES_IN)


def _send(client: httpx.Client, method: str, url: str) -> str:
    """Return the answer's body. No error shows the URL, which is signed."""
    at = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    try:
        answer = client.request(method, url)
    except httpx.HTTPError as error:
        raise UploadsUnknown(f"{at}: {type(error).__name__}") from None
    if answer.is_success or "NoSuchUpload" in answer.text:
        return answer.text
    what = f"{at} answers {answer.status_code} to {method} of uploads: {' '.join(answer.text.split())[:300]}"
    if answer.status_code in _CANNOT_BE_HELPED or answer.status_code == HTTPStatus.NOT_IMPLEMENTED:
        raise _Refused(what)
    raise UploadsUnknown(what)
