"""Kafka: each message of a topic starts a workflow, once.

confluent-kafka is imported only when a consumer is declared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pyengine.current import find_runtime
from pyengine.decorators import registered_workflow
from pyengine.execution import Runtime
from pyengine.kafka.declaration import Declaration, Ordering, check_arguments, require
from pyengine.kafka.message import KafkaMessage

if TYPE_CHECKING:
    from pyengine.kafka.workers import Workers

__all__ = ["Kafka", "KafkaMessage", "consumers"]

F = TypeVar("F", bound=Callable[[KafkaMessage], Any])


class _Consumers:
    """The consumers that an application declares, and those that run."""

    def __init__(self) -> None:
        self._declared: list[Declaration] = []
        self._workers: Workers | None = None

    def add(self, declaration: Declaration) -> None:
        """Declare a consumer; with a launched engine it is started at once."""
        runtime = find_runtime()
        if runtime is not None:
            self._workers = self._workers or _workers(runtime)
            self._workers.check([*self._declared, declaration])
            self._workers.start([declaration])
        self._declared.append(declaration)

    def check(self, runtime: Runtime) -> None:
        """Refuse what can't work, and make the queues, before anything is launched.

        Raises:
            DBOSInitializationError: Says which consumer, what is wrong with it and what to do.
        """
        if self._declared:
            self._workers = _workers(runtime)
            self._workers.check(self._declared)

    def start(self) -> None:
        """Begin to take messages."""
        if self._workers is not None:
            self._workers.start(self._declared)

    def stop(self) -> None:
        """Take no more messages; what was taken is stored."""
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.stop()

    def clear(self) -> None:
        """Forget all declarations."""
        self._declared.clear()


def _workers(runtime: Runtime) -> Workers:
    from pyengine.kafka.workers import Workers  # it needs confluent-kafka

    return Workers(runtime)


consumers = _Consumers()


class Kafka:
    """The part of `DBOS` that takes messages from Kafka."""

    @classmethod
    def kafka_consumer(
        cls,
        config: Mapping[str, Any],
        topics: Sequence[str],
        *,
        ordering: Ordering | None = None,
        batch_size: int = 250,
        queue_name: str | None = None,
    ) -> Callable[[F], F]:
        """Start the decorated workflow for each message, exactly one for each.

        The messages of a batch are enqueued in one transaction, and only then their offsets are committed. A message
        that comes again, after a crash or a rebalance, finds its workflow and starts none.

        Args:
            config: The configuration of a confluent-kafka consumer. Without `group.id` one is made of the names of the
                application and the workflow.
            topics: The topics; one that begins with "^" is a regular expression.
            ordering: "partition" runs the workflows of a partition one at a time, in order, "topic" those of a
                topic; "none", the default, runs them as they come.
            batch_size: At most so many messages are enqueued in one transaction: 1 to 10,000.
            queue_name: The queue of the workflows, which has no partition limits; only without ordering.

        Raises:
            DBOSException: confluent-kafka is not installed, an argument is wrong, or the function is no workflow.
        """
        require()
        check_arguments(config, topics, ordering, batch_size, queue_name)

        def decorate(function: F) -> F:
            workflow, bound = registered_workflow(function, "DBOS.kafka_consumer")
            declaration = Declaration(
                workflow,
                bound,
                dict(config),
                tuple(topics),
                ordering or "none",
                batch_size,
                queue_name,
            )
            consumers.add(declaration)
            return function

        return decorate
