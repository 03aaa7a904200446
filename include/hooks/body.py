"""Read the body of an answer up to a limit, because what answers in place of the service may never end."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from ..connection import ConnectionSettings
from ..exceptions import DataEmulatorAnswerError
from ..wire.answer import Answer
from ..wire.call import Call


class BodyReader:
    """Collects the chunks of a body.

    :param max_bytes: the largest body, compressed and decompressed
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._chunks: list[bytes] = []
        self._size = 0

    @property
    def is_full(self) -> bool:
        """Whether the body already exceeds the limit."""
        return self._size > self._max_bytes

    def add(self, chunk: bytes) -> None:
        """Add the next chunk, still compressed."""
        self._chunks.append(chunk)
        self._size += len(chunk)

    def answer(self, call: Call, settings: ConnectionSettings, status_code: int, headers: Mapping[str, str]) -> Answer:
        """Build the answer with this body.

        :raises DataEmulatorAnswerError: for a body that is too long or cannot be decompressed
        """
        url = settings.base_url + call.path
        try:
            text = decoded_text(b"".join(self._chunks), headers.get("Content-Encoding", ""), self._max_bytes)
        except ValueError as error:
            raise DataEmulatorAnswerError(
                f"This is not an answer from a Data Emulator Service: {error} ({call.method} {url})"
            ) from None
        return Answer(call, url, status_code, headers, text, settings.retry.status_codes, settings.http.secrets)


def decoded_text(body: bytes, encoding: str, max_bytes: int) -> str:
    """Decode a body, stopping at a limit: a few kilobytes of gzip can expand to a gigabyte.

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
            raise ValueError(f"its body is not valid {encoding} ({error})") from None
    elif encoding not in ("", "identity"):
        raise ValueError(f"its body has the encoding {encoding!r}, which was not requested")
    if len(body) > max_bytes:
        raise ValueError(f"it is longer than {max_bytes:,} bytes")
    return body.decode(errors="replace")
