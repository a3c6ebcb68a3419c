"""A message of Kafka, as a workflow gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from confluent_kafka import Message


@dataclass(slots=True)
class KafkaMessage:
    """A message of a Kafka topic.

    Attributes:
        headers: Names and values, in order; None if it has none.
        key: The key that chose its partition.
        latency: Seconds that its production took; known to producers only.
        leader_epoch: The epoch of the partition's leader.
        offset: Its place in the partition.
        partition: The partition.
        timestamp: The type of the time (1 is the producer's, 2 the broker's), and milliseconds since 1970.
        topic: The topic.
        value: What it says.
    """

    headers: list[tuple[str, str | bytes | None]] | None
    key: str | bytes | None
    latency: float | None
    leader_epoch: int | None
    offset: int | None
    partition: int | None
    timestamp: tuple[int, int]
    topic: str | None
    value: str | bytes | None


def message_of(received: Message) -> KafkaMessage:
    """What was received, as it is stored.

    Raises:
        UnicodeDecodeError: The name of a header is no text.
    """
    headers = received.headers()
    return KafkaMessage(
        headers=list(headers.items()) if isinstance(headers, dict) else headers,
        key=received.key(),
        latency=received.latency(),
        leader_epoch=received.leader_epoch(),
        offset=received.offset(),
        partition=received.partition(),
        timestamp=received.timestamp(),
        topic=received.topic(),
        value=received.value(),
    )
