"""Objects of lines, as they are or compressed as a stream: JSON and CSV."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from typing import Final

import pyarrow as pa

from data_emulator.formats.columns import joined_values
from data_emulator.formats.drain import Drain
from data_emulator.formats.objects import ObjectEncoder, ObjectFormat
from data_emulator.model import Records

_PIECE_BYTES: Final = 256 * 1024
"""What a compressor is given at a time, counted from the start of the object: none of them promises the same output
for the same input in other pieces."""
_GZIP_LEVEL: Final = 6
_GZIP_WINDOW_BITS: Final = 31
"""The largest window, with gzip's header and trailer (RFC 1952). zlib leaves name and time out of the header."""


class _Compressor(ABC):
    @abstractmethod
    def compress(self, piece: bytes) -> bytes:
        """Return what follows in the compressed stream."""

    @abstractmethod
    def end(self) -> bytes:
        """Return the rest of the stream."""


class _Gzip(_Compressor):
    def __init__(self) -> None:
        self._stream = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW_BITS)

    def compress(self, piece: bytes) -> bytes:
        return self._stream.compress(piece)

    def end(self) -> bytes:
        return self._stream.flush()


class _Zstd(_Compressor):
    """One frame of Zstandard (RFC 8878)."""

    def __init__(self) -> None:
        self._drain = Drain()
        self._stream = pa.CompressedOutputStream(pa.PythonFile(self._drain, "w"), "zstd")

    def compress(self, piece: bytes) -> bytes:
        self._stream.write(piece)
        return self._drain.drained()

    def end(self) -> bytes:
        self._stream.close()
        return self._drain.drained()


_COMPRESSORS: Final[dict[str, type[_Compressor]]] = {"gzip": _Gzip, "zstd": _Zstd}


class LineObjects(ObjectFormat):
    """Objects of lines.

    :param compression: ``none``, ``gzip`` or ``zstd``.
    :param header: put at the start of every object.
    """

    def __init__(self, extension: str, compression: str, header: bytes) -> None:
        self.extension = extension
        self._compressor = None if compression == "none" else _COMPRESSORS[compression]
        self._header = header

    def encoder(self, key: str) -> ObjectEncoder:
        """Return an encoder; the key plays no part."""
        if self._compressor is None:
            return _PlainLines(self._header)
        return _CompressedLines(self._header, self._compressor())


class _PlainLines(ObjectEncoder):
    def __init__(self, header: bytes) -> None:
        self.size = len(header)
        self._header = header

    def add(self, records: Records) -> bytes:
        header, self._header = self._header, b""
        lines = joined_values(records.values)
        self.size += len(lines)
        return header + lines if header else lines

    def close(self) -> bytes:
        return self._header


class _CompressedLines(ObjectEncoder):
    def __init__(self, header: bytes, compressor: _Compressor) -> None:
        self.size = len(header)
        self._compressor = compressor
        self._held = bytearray(header)

    def add(self, records: Records) -> bytes:
        lines = joined_values(records.values)
        self.size += len(lines)
        self._held += lines
        whole = len(self._held) // _PIECE_BYTES * _PIECE_BYTES
        if not whole:
            return b""
        pieces = bytes(self._held[:whole])
        del self._held[:whole]
        return b"".join(
            self._compressor.compress(pieces[start : start + _PIECE_BYTES]) for start in range(0, whole, _PIECE_BYTES)
        )

    def close(self) -> bytes:
        return self._compressor.compress(bytes(self._held)) + self._compressor.end()
