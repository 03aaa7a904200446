"""Decompress an object and split it into lines, as a stream: memory does not grow with the object."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import pyarrow as pa

#: Compression by the end of an object's name.
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_CHUNK_BYTES = 1 << 20


class _Chunks(io.RawIOBase):
    """A readable file over an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = next(self._chunks, b"")
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return taken


def decompressed(key: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the decompressed content of an object, by the compression in its name.

    :raises OSError: when it cannot be decompressed
    """
    codec = next((codec for ending, codec in _COMPRESSIONS.items() if key.endswith(ending)), None)
    if codec is None:
        yield from chunks
        return
    with pa.CompressedInputStream(pa.PythonFile(_Chunks(chunks), "r"), codec) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines, without line ends.

    :raises UnicodeDecodeError: when one is not UTF-8
    """
    held: list[bytes] = []
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        held.append(first)
        if others:
            yield b"".join(held).decode()
            *whole, last = others
            for line in whole:
                yield line.decode()
            held = [last]
    if rest := b"".join(held):
        yield rest.decode()


def csv_rows(plain: Iterable[str]) -> Iterator[str]:
    """Yield the rows of a CSV object: one line, or several if a quoted value contains line ends.

    A quote within a value is doubled (RFC 4180), so a row is whole when it has an even number of them.
    """
    held: list[str] = []
    inside = False
    for line in plain:
        held.append(line)
        inside ^= line.count('"') % 2 == 1
        if not inside:
            yield "\n".join(held)
            held = []
    if held:
        yield "\n".join(held)
