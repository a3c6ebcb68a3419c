"""A Kafka broker for tests: librdkafka's own, which speaks the protocol over TCP and keeps everything in memory.

It is part of the library that confluent-kafka brings, and is reached here through its C interface.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import Consumer, Producer, TopicPartition

_PRODUCER = 0


def _library() -> Any:
    package = Path(confluent_kafka.__file__).parent
    places = (package.parent / "confluent_kafka.libs", package / ".dylibs")  # of Linux and of macOS
    path = next(each for place in places for each in place.glob("librdkafka*"))
    library = ctypes.CDLL(str(path))
    for name in ("conf_new", "new", "mock_cluster_new"):
        getattr(library, f"rd_kafka_{name}").restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return library


class Broker:
    """One broker, with the topics that are made in it."""

    def __init__(self) -> None:
        self._library = _library()
        configuration = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        message = ctypes.create_string_buffer(512)
        for name, value in ((b"bootstrap.servers", b"none"), (b"log_level", b"0")):
            self._library.rd_kafka_conf_set(configuration, name, value, message, len(message))
        self._client = ctypes.c_void_p(
            self._library.rd_kafka_new(_PRODUCER, configuration, message, len(message))
        )
        assert self._client.value, message.value
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(self._client, 1))
        assert self._cluster.value
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 100)
        address: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        self.address = address.decode()
        self._producer = Producer(
            {"bootstrap.servers": self.address, "linger.ms": 0, "log_level": 0}
        )

    def create(self, topic: str, partitions: int = 1) -> str:
        """Make a topic; its name."""
        failed = self._library.rd_kafka_mock_topic_create(
            self._cluster, topic.encode(), partitions, 1
        )
        assert failed == 0
        return topic

    def send(self, topic: str, *values: bytes, partition: int = 0, **message: Any) -> None:
        """Store messages in a partition, in order."""
        for value in values:
            self._producer.produce(topic, value, partition=partition, **message)
        assert self._producer.flush(10) == 0

    def config(self, group: str, **keys: str | int) -> dict[str, Any]:
        """How a consumer reaches the broker."""
        return {
            "bootstrap.servers": self.address,
            "group.id": group,
            "auto.commit.interval.ms": 100,
            "session.timeout.ms": 1000,
            "heartbeat.interval.ms": 100,
            **{key.replace("_", "."): value for key, value in keys.items()},
        }

    def committed(self, group: str, topic: str, partitions: int = 1) -> Mapping[int, int]:
        """The next offset of a group in each partition, where it has committed one."""
        consumer = Consumer(self.config(group))
        try:
            wanted = [TopicPartition(topic, number) for number in range(partitions)]
            found = consumer.committed(wanted, timeout=10)
            return {each.partition: each.offset for each in found if each.offset >= 0}
        finally:
            consumer.close()

    def close(self) -> None:
        """End it."""
        self._producer.flush(10)
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)


@contextmanager
def broker() -> Iterator[Broker]:
    """A broker while the block runs."""
    started = Broker()
    try:
        yield started
    finally:
        started.close()
