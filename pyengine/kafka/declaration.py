"""What `DBOS.kafka_consumer` was told, and whether that can work."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from pyengine.errors import DBOSException, DBOSInitializationError
from pyengine.flows.workflows import Placement
from pyengine.kafka.message import KafkaMessage
from pyengine.log import logger
from pyengine.queue_limits import KAFKA_ORDERED_QUEUE, KAFKA_QUEUE, check_queue_name
from pyengine.registry import RegisteredWorkflow
from pyengine.serialization import PORTABLE

Ordering = Literal["none", "partition", "topic"]

_ORDERINGS = ("none", "partition", "topic")
_MAX_BATCH = 10_000

# So that an id, with the longest topic and numbers, has at most 512 bytes.
_MAX_GROUP_BYTES = 200

SAMPLE = KafkaMessage(None, None, None, None, 0, 0, (0, 0), "topic", b"")


@dataclass(frozen=True, slots=True)
class Declaration:
    """A consumer: for which workflow, of what, and how."""

    workflow: RegisteredWorkflow
    bound: tuple[Any, ...]
    config: Mapping[str, Any]
    topics: tuple[str, ...]
    ordering: Ordering
    batch_size: int
    queue_name: str | None

    def __str__(self) -> str:
        return f"kafka consumer {self.workflow.name}"

    def group(self, application_name: str) -> str:
        """Its consumer group: as configured, or one that a restart has again."""
        given = self.config.get("group.id")
        return str(given) if given else f"pyengine-{application_name}-{self.workflow.name}"

    def client_config(self, application_name: str) -> dict[str, Any]:
        """The configuration of its client: offsets are committed, but only those that were stored."""
        topic_config = self.config.get("default.topic.config") or {}
        defaults = {} if "auto.offset.reset" in topic_config else {"auto.offset.reset": "earliest"}
        return {
            **defaults,
            "logger": logger,
            **self.config,
            "group.id": self.group(application_name),
            "enable.auto.offset.store": False,
            "enable.auto.commit": True,
        }

    def placement(self, group: str, message: KafkaMessage) -> Placement:
        """Where the workflow of a message is enqueued."""
        if self.ordering == "none":
            return Placement(self.queue_name or KAFKA_QUEUE)
        key = f"{group}:{message.topic}"
        if self.ordering == "partition":
            key = f"{key}:{message.partition}"
        return Placement(KAFKA_ORDERED_QUEUE, partition_key=key)


def require() -> None:
    """Refuse a consumer where confluent-kafka is not installed.

    Raises:
        DBOSException: It is not installed; says what to install.
    """
    if importlib.util.find_spec("confluent_kafka") is None:
        raise DBOSException(
            "DBOS.kafka_consumer needs confluent-kafka: pip install 'pyengine[kafka]'"
        )


def check_arguments(
    config: object, topics: object, ordering: object, batch_size: object, queue_name: object
) -> None:
    """Refuse arguments of `DBOS.kafka_consumer` that can't work.

    Raises:
        DBOSException: Names the argument, what is wrong with it, and what to do.
    """
    if not isinstance(config, Mapping):
        raise _refused(f"config is a {type(config).__name__}: give a dictionary")
    if isinstance(topics, str) or not isinstance(topics, Sequence) or not topics:
        raise _refused("topics must be a list of at least one topic")
    if not all(isinstance(topic, str) and topic.strip() for topic in topics):
        raise _refused("topics must be texts that are not blank")
    if ordering not in (None, *_ORDERINGS):
        raise _refused(f"ordering is {ordering!r}: use one of {', '.join(map(repr, _ORDERINGS))}")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int):
        raise _refused(f"batch_size is {batch_size!r}: use a number from 1 to {_MAX_BATCH}")
    if not 1 <= batch_size <= _MAX_BATCH:
        raise _refused(f"batch_size is {batch_size!r}: use a number from 1 to {_MAX_BATCH}")
    if queue_name is None:
        return
    if ordering not in (None, "none"):
        raise _refused(f"queue_name can't be given with ordering {ordering!r}: leave one of them")
    if not isinstance(queue_name, str):
        raise _refused(f"queue_name is a {type(queue_name).__name__}: give the name of a queue")
    check_queue_name(queue_name)


def _refused(problem: str) -> DBOSException:
    return DBOSException(f"DBOS.kafka_consumer: {problem}")


def check_workflow(declaration: Declaration) -> None:
    """Refuse a consumer whose workflow can't take a message.

    Raises:
        DBOSInitializationError: Says why.
    """
    workflow = declaration.workflow
    if workflow.serialization == PORTABLE:
        raise DBOSInitializationError(
            f"{declaration}: its workflow has portable serialization, which can't hold a KafkaMessage"
        )
    try:
        inspect.signature(workflow.function).bind(*declaration.bound, SAMPLE)
    except TypeError:
        raise DBOSInitializationError(
            f"{declaration}: its workflow must take one argument, the KafkaMessage"
        ) from None


def check_groups(declarations: Sequence[Declaration], application_name: str) -> None:
    """Refuse groups that can't work, among all consumers of the process.

    Raises:
        DBOSInitializationError: A group's name is too long, or two consumers would share the messages of a topic.
    """
    for each in declarations:
        if len(each.group(application_name).encode()) > _MAX_GROUP_BYTES:
            raise DBOSInitializationError(
                f"{each}: its group.id has more than {_MAX_GROUP_BYTES} bytes, choose a shorter one"
            )
    for left, right in combinations(declarations, 2):
        group = left.group(application_name)
        shared = _shared_topic(left.topics, right.topics)
        if shared is not None and group == right.group(application_name):
            raise DBOSInitializationError(
                f"{left} and {right} share the group {group} and the topic {shared}, so that each would get only some "
                "of its messages: give them different group.ids"
            )


def _shared_topic(left: Sequence[str], right: Sequence[str]) -> str | None:
    pairs = ((a, b) for a in left for b in right)
    return next((b for a, b in pairs if a == b or _matches(a, b) or _matches(b, a)), None)


def _matches(pattern: str, topic: str) -> bool:
    if not pattern.startswith("^"):
        return False
    try:
        return re.match(pattern, topic) is not None
    except re.error:  # the client's expressions are a little different
        return False
