"""The running consumers of a launched engine: checked together, started and stopped together."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException

from pyengine.database import queue_calls
from pyengine.database.rows import QueueRow
from pyengine.effects import Effect, Flow
from pyengine.errors import DBOSInitializationError
from pyengine.execution import Runtime
from pyengine.kafka.consumer import ConsumerThread
from pyengine.kafka.declaration import SAMPLE, Declaration, check_groups, check_workflow
from pyengine.log import logger

STOP_SECONDS = 10.0


class Workers:
    """The consumers of an engine, a thread each."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._threads: list[ConsumerThread] = []

    def check(self, declarations: Sequence[Declaration]) -> None:
        """Refuse what can't work, and make the queues.

        Raises:
            DBOSInitializationError: Says which consumer, what is wrong with it and what to do.
        """
        name = self._runtime.application.name or ""
        check_groups(declarations, name)
        for each in declarations:
            check_workflow(each)
            self._runtime.registry.target(each.workflow, (*each.bound, SAMPLE))
            _check_client(each, name)
            if each.queue_name is not None:
                self._check_queue(each, each.queue_name)
        self._runtime.run(_rows(queue_calls.register_kafka_queues()))

    def start(self, declarations: Sequence[Declaration]) -> None:
        """Begin to take messages."""
        for each in declarations:
            if not each.config.get("group.id"):
                logger.warning(
                    "%s has no group.id: it uses %s",
                    each,
                    each.group(self._runtime.application.name or ""),
                )
            thread = ConsumerThread(self._runtime, each)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Take no more messages. Each thread ends after the batch that it has, and leaves its group."""
        for thread in self._threads:
            thread.stop()
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def _check_queue(self, declaration: Declaration, queue_name: str) -> None:
        find = queue_calls.list_queues(application_name=None, queue_names=[queue_name])
        rows: list[QueueRow] = self._runtime.run(_rows(find))
        if not rows:
            logger.warning(
                "%s: queue %s is not registered; what it enqueues runs once it is",
                declaration,
                queue_name,
            )
        elif any(
            (
                rows[0].partition_concurrency,
                rows[0].partition_worker_concurrency,
                rows[0].partition_limiter_limit,
            )
        ):
            raise DBOSInitializationError(
                f"{declaration}: queue {queue_name} has partition limits, so that messages without a key would not "
                "run on it; choose another, or use ordering"
            )


def _check_client(declaration: Declaration, application_name: str) -> None:
    try:
        Consumer(declaration.client_config(application_name)).close()
    except (KafkaException, TypeError, ValueError) as error:
        raise DBOSInitializationError(f"{declaration}: its config is refused: {error}") from None


def _rows(effect: Effect) -> Flow[list[QueueRow]]:
    found: list[QueueRow] = yield effect
    return found
