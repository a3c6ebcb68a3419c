"""A process that takes messages, until its input ends: `python -m tests.kafka.worker URL ADDRESS GROUP TOPIC [FAULT]`.

It says `ready` when it is launched, and `stored N` for each batch. With the fault `before` or `after` it says so when
it is to store its second batch or has done so, and stays there for ever: the offsets are not committed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

from pyengine import DBOS, KafkaMessage
from pyengine.kafka import consumer

_stored: list[int] = []
_store = consumer.ConsumerThread._store


@DBOS.transaction()
def note(partition: int, offset: int, process: str) -> None:
    """The effect of a message."""
    DBOS.sql_connection.execute(
        "insert into kafka_effects (partition, position, process) values (%s, %s, %s)",
        (partition, offset, process),
    )


@DBOS.workflow(name="take")
def take(message: KafkaMessage) -> None:
    """What each message starts."""
    assert message.partition is not None
    assert message.offset is not None
    note(message.partition, message.offset, DBOS.executor_id)


def _hang(where: str) -> None:
    print(where, flush=True)
    threading.Event().wait()


def _watched(fault: str | None) -> Any:
    def store(self: consumer.ConsumerThread, prepared: Sequence[Any]) -> None:
        is_at_fault = bool(_stored) and bool(prepared)
        if fault == "before" and is_at_fault:
            _hang(fault)
        _store(self, prepared)
        if prepared:
            _stored.append(len(prepared))
            print(f"stored {len(prepared)}", flush=True)
        if fault == "after" and is_at_fault:
            _hang(fault)

    return store


def main(url: str, address: str, group: str, topic: str, fault: str | None = None) -> None:
    """Take messages until the standard input ends."""
    consumer.ConsumerThread._store = _watched(fault)  # type: ignore[method-assign]
    config = {
        "bootstrap.servers": address,
        "group.id": group,
        "session.timeout.ms": 1000,
        "heartbeat.interval.ms": 100,
        "auto.commit.interval.ms": 100,
    }
    DBOS.kafka_consumer(config, [topic], ordering="partition", batch_size=10)(take)
    DBOS(
        config={
            "name": "test-app",
            "system_database_url": url,
            "executor_id": "worker",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    print("ready", flush=True)
    sys.stdin.read()
    DBOS.destroy()


if __name__ == "__main__":
    main(*sys.argv[1:])
