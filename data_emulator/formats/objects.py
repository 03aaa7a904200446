"""What a sink for objects asks of a format.

The content of an object depends on nothing but its key and its records: not on time, and not on how the records were
cut on their way. So an object that is made again, after a failure or by another worker, is the same to the byte.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from data_emulator.model import Records


class ObjectEncoder(ABC):
    """Turns records into the content of one object, in memory that does not grow with it."""

    size: int
    """Bytes so far that count towards `max_bytes`: the encoded records, and the header of a format of lines, before
    compression. Parquet, whose objects are bounded in records, has none that could be told in time."""

    @abstractmethod
    def add(self, records: Records) -> bytes:
        """Return what follows in the object; it may be nothing, or hold records that were added before."""

    @abstractmethod
    def close(self) -> bytes:
        """Return the rest of the object."""


class ObjectFormat(ABC):
    """Makes the encoders of an emulation's objects."""

    extension: str
    """What the objects' names end in, without a dot before it."""

    @abstractmethod
    def encoder(self, key: str) -> ObjectEncoder:
        """Return an encoder for the object with this key."""


@dataclass(frozen=True)
class Layout:
    """What an object is, and when it is full.

    :param max_bytes: of encoded records, before compression, and of a format of lines its header; at least one record
        is in an object even so; `None`: no such bound.
    :param max_records: `None`: no such bound.
    """

    format: ObjectFormat
    max_bytes: int | None = None
    max_records: int | None = None
