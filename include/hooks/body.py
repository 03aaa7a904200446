"""The body of an answer, read up to a limit: what answers in place of the service may never end."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from ..connection import ConnectionSettings
from ..exceptions import DataEmulatorAnswerError
from ..wire.answer import Answer
from ..wire.call import Call


class BodyReader:
    """Collects the chunks of a body as they come.

    :param max_bytes: the longest body, before and after it is decompressed
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._chunks: list[bytes] = []
        self._size = 0

    @property
    def is_full(self) -> bool:
        """Whether there is more than allowed, so that reading on is of no use."""
        return self._size > self._max_bytes

    def add(self, chunk: bytes) -> None:
        """Take the next chunk, as it came over the network."""
        self._chunks.append(chunk)
        self._size += len(chunk)

    def answer(self, call: Call, settings: ConnectionSettings, status_code: int, headers: Mapping[str, str]) -> Answer:
        """Make the answer whose body this is.

        :raises DataEmulatorAnswerError: for a body that is too long, or cannot be decompressed
        """
        url = settings.base_url + call.path
        try:
            text = decoded_text(b"".join(self._chunks), headers.get("Content-Encoding", ""), self._max_bytes)
        except ValueError as error:
            raise DataEmulatorAnswerError(
                f"This is no answer of a Data Emulator Service: {error} ({call.method} {url})"
            ) from None
        return Answer(call, url, status_code, headers, text, settings.retry.status_codes, settings.http.secrets)


def decoded_text(body: bytes, encoding: str, max_bytes: int) -> str:
    """Decode a body, and stop when it becomes longer than allowed: a few kilobytes of gzip can be a gigabyte.

    :param body: as it came
    :param encoding: its ``Content-Encoding``; empty for none
    :param max_bytes: the most that may come out
    :raises ValueError: saying what is wrong, when it is longer, or cannot be decoded
    """
    encoding = encoding.strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate"):
        try:
            body = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, max_bytes + 1)  # either, by its header
        except zlib.error as error:
            raise ValueError(f"its body is not {encoding} ({error})") from None
    elif encoding not in ("", "identity"):
        raise ValueError(f"its body is encoded by {encoding!r}, which was not asked for")
    if len(body) > max_bytes:
        raise ValueError(f"it is longer than {max_bytes:,} bytes")
    return body.decode(errors="replace")
