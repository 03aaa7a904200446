"""What the engine asks of a sink, and what a sink can prove."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from data_emulator.formats.objects import Layout
from data_emulator.model import Checkpoint, Commit, Records, Written


class Sink(ABC):
    """Takes the records of one emulation, in order. Not for use by several tasks at once."""

    accepted_records: int = 0
    """Records of the emulation that were handed to `write` and not rolled back, acknowledged or not."""
    accepted_bytes: int = 0
    may_have_strays: bool = False
    """Whether more may lie in the target, or come to lie there, than was acknowledged: something was interrupted."""

    @property
    @abstractmethod
    def acknowledged_bytes(self) -> int:
        """Bytes that the target has acknowledged, final or not: when they grow after a failure, it is back."""

    @property
    def is_in_doubt(self) -> bool:
        """Whether the target has yet to tell what is final. Once it has, `take_written` tells, even after the end."""
        return False

    @abstractmethod
    async def write(self, records: Records) -> None:
        """Accept records; wait while too many of them are unacknowledged.

        :raises SinkError: when the target has refused or not answered for records accepted so far.
        """

    @abstractmethod
    async def finish(self) -> None:
        """Wait until all that was accepted is acknowledged.

        :raises SinkError: when some of it is not.
        """

    async def suspend(self) -> None:
        """Wait until what can be acknowledged already is: another sink will go on with the rest.

        :raises SinkError: when it is not acknowledged.
        """
        await self.finish()

    @abstractmethod
    async def roll_back(self) -> int:
        """Forget what was accepted and not acknowledged; return how many records are acknowledged.

        Writing goes on with the record of that number. Called after a `SinkError`.
        """

    @abstractmethod
    def take_written(self) -> Written:
        """Return what has been acknowledged, objects only once, partitions only when there is more in them."""


class Commits(Protocol):
    """Where a channel has written down what it is about to make final, in case its process dies meanwhile."""

    writer_id: str
    """What the commits of this process are known by; no other process has it."""

    def begin(self) -> None:
        """Announce that commits will be made, any of which may be left open."""

    async def prepare(self, commit: Commit) -> None:
        """Return once a commit is written down, so that it can be made."""

    def settled(self) -> None:
        """Note that it is known what became of the last commit."""


class Channel(ABC):
    """What the emulations of one worker share on their way to a kind of sink: its clients, its commits."""

    @abstractmethod
    def open(
        self,
        destination: str,
        emulation_id: str,
        checkpoint: Checkpoint,
        layout: Callable[[], Layout],
        part_bytes: int,
    ) -> Sink:
        """Return the sink of an emulation.

        :param destination: the bucket, folder or topic.
        :param layout: how records are laid out in objects, where there are any.
        :param part_bytes: of objects that are sent in parts.
        """

    async def serve(self) -> None:  # noqa: B027 (not abstract: most have nothing to commit)
        """Make final what was written, again and again, if this kind of sink needs that. Runs until cancelled."""


class Target(ABC):
    """A store or broker, as the service's front sees it: can it be written to?"""

    @abstractmethod
    def prepare(self, destination: str) -> None:
        """Make sure that the bucket or topic exists and can be written to, creating it where it is missing. Blocks.

        :raises SinkUnavailable: with the reason.
        """

    @abstractmethod
    def check(self) -> None:
        """Make sure that the target answers. Blocks.

        :raises SinkUnavailable: with the reason.
        """
