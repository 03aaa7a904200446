"""A file that is written at one end and emptied at the other."""

from __future__ import annotations

import io
from typing import Any


class Drain(io.RawIOBase):
    """Keeps what is written until it is taken. Positions count from the start of the stream."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        """Tell that it is for writing."""
        return True

    def write(self, content: Any) -> int:
        """Keep a copy of the content."""
        self._parts.append(bytes(content))
        self._position += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        """Return how many bytes have been written."""
        return self._position

    def drained(self) -> bytes:
        """Return what has been written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
