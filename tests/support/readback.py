"""What really lies in a store or a broker, read by clients of its own: nothing here comes from the service's code."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx
import obstore
from confluent_kafka import Consumer, Message, TopicPartition
from obstore.store import S3Store

from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu

READ_TIMEOUT_S = 60


def objects(store: SeaweedFS, bucket: str, prefix: str) -> dict[str, bytes]:
    """Return the content of every object under a prefix, by key, in the keys' order."""
    client = store.bucket(bucket)
    found: dict[str, bytes] = {}
    for key in sorted(meta["path"] for meta in listing(store, bucket, prefix)):
        with suppress(FileNotFoundError):  # what no manifest lists may be deleted at any time
            found[key] = bytes(obstore.get(client, key).bytes())
    return found


def listing(store: SeaweedFS, bucket: str, prefix: str) -> list[Any]:
    """Return what the store says of every object under a prefix: path, size, last_modified and so on."""
    return [meta for page in obstore.list(store.bucket(bucket), prefix=prefix) for meta in page]


def uploads(store: SeaweedFS, bucket: str, prefix: str) -> list[str]:
    """Return the keys of the uploads under a prefix, a folder, that were begun and neither completed nor aborted."""
    client = S3Store(
        bucket,
        # obstore signs no query, so the query is part of the address; a slash follows, that of the folder.
        endpoint=f"{store.endpoint}/{bucket}?uploads=&prefix={prefix.rstrip('/')}",
        virtual_hosted_style_request=True,
        region=store.region,
        access_key_id=store.access_key_id,
        secret_access_key=store.secret_access_key,
        client_options={"allow_http": True},
    )
    answer = httpx.get(obstore.sign(client, "GET", "", expires_in=timedelta(minutes=1)), trust_env=False)
    assert answer.status_code == 200, answer.text
    return re.findall("<Upload>.*?<Key>(.*?)</Key>", answer.text)


def checksum(content: bytes) -> str:
    """Return a checksum as the manifest writes it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def messages(broker: Tansu, topic: str, ranges: Iterable[tuple[int, int, int]]) -> list[Message]:
    """Return the messages in ranges of (partition, first offset, offset after the last); fails if any is missing."""
    found: list[Message] = []
    consumer = _consumer(broker)
    try:
        for partition, first, after in ranges:
            consumer.assign([TopicPartition(topic, partition, first)])
            deadline = time.monotonic() + READ_TIMEOUT_S
            position = first
            while position < after:
                assert time.monotonic() < deadline, f"{topic}/{partition} has nothing at {position}, before {after}"
                message = consumer.poll(0.5)
                if message is None:
                    continue
                assert message.error() is None, message.error()
                position = message.offset() + 1
                if position <= after:
                    found.append(message)
    finally:
        consumer.close()
    return found


def partition_count(broker: Tansu, topic: str) -> int:
    """Return how many partitions a topic has."""
    consumer = _consumer(broker)
    try:
        return len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    finally:
        consumer.close()


def _consumer(broker: Tansu) -> Any:
    return Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "readback",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000,
            "fetch.wait.max.ms": 50,
        }
    )
