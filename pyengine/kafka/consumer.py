"""The thread of one consumer: from messages to enqueued workflows, and only then to offsets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pyengine.context import ChosenID
from pyengine.database import queue_calls
from pyengine.effects import Flow
from pyengine.errors import (
    DBOSBackpressureError,
    DBOSInvalidArgumentError,
    DBOSPayloadTooLargeError,
    DBOSSerializationError,
)
from pyengine.execution import Runtime
from pyengine.flows.workflows import start_write
from pyengine.kafka.declaration import Declaration
from pyengine.kafka.message import message_of
from pyengine.log import logger
from pyengine.preparation import Prepared

# How long destroy may have to wait for a consumer that has nothing to do.
_POLL_SECONDS = 0.2
_PAUSE_SECONDS = 1.0
_MAX_PAUSE_SECONDS = 30.0

# A transaction holds no more than this of values, however large the batch may be.
_MAX_TRANSACTION_BYTES = 8 << 20


class _StoppedError(Exception):
    """The consumer is to end before what it holds could be stored."""


class ConsumerThread:
    """Takes the messages of one declaration until it is stopped."""

    def __init__(self, runtime: Runtime, declaration: Declaration) -> None:
        self._runtime = runtime
        self._declaration = declaration
        self._group = declaration.group(runtime.application.name or "")
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"pyengine-{declaration}", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present batch."""
        self._stopping.set()

    def join(self, timeout: float) -> None:
        """Wait until it has ended, up to `timeout` seconds."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            logger.warning("%s has not ended within %g s", self._declaration, timeout)

    def _run(self) -> None:
        pause = _PAUSE_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._consume()
            except _StoppedError:
                return
            except Exception as error:
                if self._stopping.is_set():
                    return
                if time.monotonic() - began > _MAX_PAUSE_SECONDS:
                    pause = _PAUSE_SECONDS
                logger.error(
                    "%s begins again in %g s, from the last committed offsets: %s: %s",
                    self._declaration,
                    pause,
                    type(error).__name__,
                    str(error).partition("\n")[0],  # the other lines may quote what was sent
                )
                self._stopping.wait(pause)
                pause = min(pause * 2, _MAX_PAUSE_SECONDS)

    def _consume(self) -> None:
        name = self._runtime.application.name or ""
        consumer = Consumer(self._declaration.client_config(name))
        try:
            consumer.subscribe(list(self._declaration.topics))
            while not self._stopping.is_set():
                for batch in _parts(self._receive(consumer)):
                    prepared = map(self._prepared, batch)
                    self._store([each for each in prepared if each is not None])
                    _store_offsets(consumer, batch)
        finally:
            consumer.close()

    def _receive(self, consumer: Consumer) -> list[Message]:
        """What is there, at most a batch; waits for the first message, and not until a batch is full."""
        first = consumer.poll(_POLL_SECONDS)
        if first is None:
            return []
        size = self._declaration.batch_size
        received = [first, *(consumer.consume(size - 1, 0) if size > 1 else [])]
        return [message for message in received if self._is_message(message)]

    def _is_message(self, received: Message) -> bool:
        error = received.error()
        if error is None:
            return True
        if error.fatal():
            raise KafkaException(error)
        if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - it has no other name
            logger.warning("%s: %s", self._declaration, error.str())
        return False

    def _prepared(self, received: Message) -> Prepared | None:
        """The enqueue of a message's workflow; None if the message can't be stored."""
        where = f"{received.topic()}-{received.partition()}"
        try:
            message = message_of(received)
            target, args = self._runtime.registry.target(
                self._declaration.workflow, (*self._declaration.bound, message)
            )
            return self._runtime.prepare_by_name(
                target,
                args,
                {},
                self._declaration.placement(self._group, message),
                tag=self._declaration.workflow.serialization,
                chosen=ChosenID(f"kafka-unique-id-{where}-{self._group}-{received.offset()}", None),
                is_independent=True,
            )
        except (DBOSSerializationError, UnicodeError) as error:
            self._drop(f"{where} at offset {received.offset()}", error)
            return None

    def _drop(self, which: str, error: Exception) -> None:
        logger.error(
            "%s drops message %s, which can't be stored: %s", self._declaration, which, error
        )

    def _store(self, prepared: Sequence[Prepared]) -> None:
        """Enqueue workflows in one transaction; if some are refused, the others without them, in their order."""
        if not prepared:
            return
        try:
            self._runtime.run(_enqueue(prepared))
        except (
            DBOSBackpressureError,
            DBOSInvalidArgumentError,
            DBOSPayloadTooLargeError,
        ) as error:
            if len(prepared) > 1:
                half = len(prepared) // 2
                self._store(prepared[:half])
                self._store(prepared[half:])
            elif isinstance(error, DBOSBackpressureError):
                self._store_when_there_is_room(prepared)
            else:
                self._drop(prepared[0].request.workflow_id, error)

    def _store_when_there_is_room(self, prepared: Sequence[Prepared]) -> None:
        while True:
            if self._stopping.wait(_PAUSE_SECONDS):
                raise _StoppedError
            try:
                self._runtime.run(_enqueue(prepared))
            except DBOSBackpressureError:
                continue
            return


def _enqueue(prepared: Sequence[Prepared]) -> Flow[None]:
    """Enqueue workflows, all or none. One whose id exists was enqueued by an earlier delivery, and stays."""
    writes = [start_write(each.request) for each in prepared]
    yield queue_calls.enqueue_workflows(requests=[write.document for write in writes])


def _parts(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """The messages in parts that are not too large for a transaction."""
    part: list[Message] = []
    size = 0
    for message in messages:
        length = len(message.value() or b"")
        if part and size + length > _MAX_TRANSACTION_BYTES:
            yield part
            part, size = [], 0
        part.append(message)
        size += length
    if part:
        yield part


def _store_offsets(consumer: Consumer, batch: Sequence[Message]) -> None:
    """Let the messages be committed; those of a partition that has gone to another consumer come again there."""
    for place in _places_behind(batch):
        try:
            consumer.store_offsets(offsets=[place])
        except KafkaException as error:
            logger.info(
                "offset %d of %s-%d is not stored: %s",
                place.offset,
                place.topic,
                place.partition,
                error,
            )


def _places_behind(batch: Sequence[Message]) -> list[TopicPartition]:
    """In each partition the offset behind its last message."""
    last: dict[tuple[str, int], int] = {}
    for message in batch:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None
        assert partition is not None
        assert offset is not None
        last[topic, partition] = offset
    return [TopicPartition(topic, number, offset + 1) for (topic, number), offset in last.items()]
