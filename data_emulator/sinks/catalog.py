"""The kinds of sinks by their names on the wire, and what differs between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from data_emulator.settings import Settings
from data_emulator.sinks.base import Channel, Commits, Target
from data_emulator.sinks.bucket import Bucket
from data_emulator.sinks.file import FileTarget, Folder
from data_emulator.sinks.kafka.channel import KafkaChannel, settle
from data_emulator.sinks.kafka.target import KafkaTarget
from data_emulator.sinks.object_channel import ObjectChannel, OpenBucket
from data_emulator.sinks.parts import MAX_OBJECT_BYTES
from data_emulator.sinks.s3.bucket import S3Bucket, S3Target

Settle = Callable[[Settings, str, str | None, float], bool]
"""Makes sure that a dead worker, named by its id, has left no commit open, and tells whether that of a token was made;
so many seconds may pass. Raises SinkError when the target does not tell in time."""


@dataclass(frozen=True)
class SinkKind:
    """A kind of sink.

    :param name: on the wire, a request's `emulator_sync`.
    :param manifest_name: on the wire, a manifest's `sink`.
    :param title: what people call it.
    :param destination: what people call that which has the domain's name there.
    :param target: makes the target from settings that configure the sink: see `sinks.configured`.
    :param place: returns where an emulation's data is, as a URL, from the settings, the bucket or topic, and its id.
    :param channel: makes what the emulations of a worker share.
    :param bucket: opens a bucket; `None` where each record is a message of its own.
    :param settle: finds out what became of a commit; `None` where what is acknowledged is final.
    :param max_object_bytes: the most that one object can hold; `None`: there is no such limit.
    """

    name: str
    manifest_name: Literal["s3", "kafka", "file"]
    title: str
    destination: str
    target: Callable[[Settings], Target]
    place: Callable[[Settings, str, str], str]
    channel: Callable[[Settings, Commits], Channel]
    bucket: OpenBucket | None = None
    max_object_bytes: int | None = None
    settle: Settle | None = None

    @property
    def keeps_objects(self) -> bool:
        """Whether records lie in objects, several in one or not."""
        return self.bucket is not None


def _file_place(settings: Settings, destination: str, emulation_id: str) -> str:
    root = settings.file_root
    # Unset since: the files are where they were, but that place is not known here.
    return f"file:{destination}/{emulation_id}/" if root is None else f"{(root / destination).as_uri()}/{emulation_id}/"


def _folder(settings: Settings, name: str, _: timedelta) -> Bucket:
    return Folder((settings.file_root or Path()) / name)


SINKS: Final = {
    kind.name: kind
    for kind in (
        SinkKind(
            name="minio",
            manifest_name="s3",
            title="S3",
            destination="bucket",
            target=S3Target,
            place=lambda _, bucket, of: f"s3://{bucket}/{of}/",
            channel=lambda settings, _: ObjectChannel(settings, S3Bucket),
            bucket=S3Bucket,
            max_object_bytes=MAX_OBJECT_BYTES,
        ),
        SinkKind(
            name="kafka",
            manifest_name="kafka",
            title="Kafka",
            destination="topic",
            target=KafkaTarget,
            place=lambda _, topic, of: f"kafka://{topic}",
            channel=KafkaChannel,
            settle=settle,
        ),
        SinkKind(
            name="file",
            manifest_name="file",
            title="Files",
            destination="folder",
            target=FileTarget,
            place=_file_place,
            channel=lambda settings, _: ObjectChannel(settings, _folder),
            bucket=_folder,
        ),
    )
}
BY_MANIFEST_NAME: Final = {kind.manifest_name: kind for kind in SINKS.values()}
