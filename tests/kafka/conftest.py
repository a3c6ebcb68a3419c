"""A broker for all tests of a session, and an engine whose consumers are forgotten after each test."""

from __future__ import annotations

import importlib.util
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pyengine import DBOS, KafkaMessage
from pyengine.kafka import consumers
from tests.workflows.support import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.kafka.broker import Broker

# A Python for which confluent-kafka has no wheel runs the other tests.
if importlib.util.find_spec("confluent_kafka") is None:
    collect_ignore_glob = ["test_*.py"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    from tests.kafka.broker import broker

    with broker() as started:
        yield started


@pytest.fixture(autouse=True)
def _no_consumers(launch: Callable[..., None]) -> Iterator[None]:
    consumers.clear()
    yield
    DBOS.destroy()
    consumers.clear()


@pytest.fixture
def topic(kafka: Broker) -> str:
    """A topic of one partition."""
    return kafka.create(f"topic-{next(_numbers)}")


@pytest.fixture
def topic_of_three(kafka: Broker) -> str:
    """A topic of three partitions."""
    return kafka.create(f"topic-{next(_numbers)}", 3)


@pytest.fixture
def group() -> str:
    return f"group-{next(_numbers)}"


class Received:
    """The messages that workflows were called with, in the order of the calls."""

    def __init__(self) -> None:
        self.messages: list[KafkaMessage] = []
        self._changed = threading.Condition()

    def add(self, message: KafkaMessage) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def wait(self, count: int) -> list[KafkaMessage]:
        """As soon as there are so many; and there are no more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.messages) >= count, PATIENCE_SECONDS)
        assert len(self.messages) == count
        return self.messages

    def values(self, count: int) -> list[Any]:
        return [message.value for message in self.wait(count)]


@pytest.fixture
def received() -> Received:
    return Received()


@pytest.fixture
def ids(sql: psycopg.Connection[Any]) -> Callable[[], list[str]]:
    """The ids of all workflows, in the order in which they were enqueued."""

    def read() -> list[str]:
        rows = sql.execute("select workflow_id from pyengine.workflows order by created_at")
        return [row[0] for row in rows]

    return read
