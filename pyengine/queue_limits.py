"""The limits of a queue, checked before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from pyengine.arguments import is_number

# Where the engine itself enqueues; no application can register it, and every process serves it.
INTERNAL_QUEUE = "_pyengine_schedules"
KAFKA_QUEUE = "_dbos_kafka_queue"
KAFKA_ORDERED_QUEUE = "_dbos_kafka_ordered_queue"
INTERNAL_QUEUES = (INTERNAL_QUEUE, KAFKA_QUEUE, KAFKA_ORDERED_QUEUE)


class QueueRateLimit(TypedDict):
    """At most `limit` starts in any window of `period` seconds."""

    limit: int
    period: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """The limits of a queue; None is no limit."""

    worker_concurrency: int | None = None
    concurrency: int | None = None
    partition_concurrency: int | None = None
    partition_worker_concurrency: int | None = None
    limiter: QueueRateLimit | None = None
    partition_limiter: QueueRateLimit | None = None
    polling_interval_sec: float = 1.0
    max_depth: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that contradict each other.

        Raises:
            ValueError: Names the limit and what is wrong with it.
        """
        self._check_positive()
        self._check_order("worker_concurrency", "concurrency")
        self._check_order("partition_concurrency", "concurrency")
        for larger in ("partition_concurrency", "worker_concurrency", "concurrency"):
            self._check_order("partition_worker_concurrency", larger)
        check_limiter("limiter", self.limiter)
        check_limiter("partition_limiter", self.partition_limiter)

    def parameters(self) -> dict[str, object]:
        """The limits under the names of the SQL function's parameters."""
        limiter, partition = self.limiter, self.partition_limiter
        return {
            "worker_concurrency": self.worker_concurrency,
            "concurrency": self.concurrency,
            "partition_concurrency": self.partition_concurrency,
            "partition_worker_concurrency": self.partition_worker_concurrency,
            "limiter_limit": limiter and limiter["limit"],
            "limiter_period_seconds": limiter and limiter["period"],
            "partition_limiter_limit": partition and partition["limit"],
            "partition_limiter_period_seconds": partition and partition["period"],
            "polling_interval_seconds": self.polling_interval_sec,
            "max_depth": self.max_depth,
        }

    def _check_positive(self) -> None:
        for name in (
            "worker_concurrency",
            "concurrency",
            "partition_concurrency",
            "partition_worker_concurrency",
            "max_depth",
            "polling_interval_sec",
        ):
            value = getattr(self, name)
            if value is None:
                continue
            if not is_number(value, whole=name != "polling_interval_sec"):
                raise ValueError(
                    f"{name} is {value!r}: it must be a whole number, or None for no limit"
                )
            if not value > 0:
                raise ValueError(f"{name} is {value}: it must be more than 0, or None for no limit")

    def _check_order(self, smaller: str, larger: str) -> None:
        low, high = getattr(self, smaller), getattr(self, larger)
        if low is not None and high is not None and low > high:
            raise ValueError(f"{smaller} is {low}, more than {larger}, which is {high}")


def check_limiter(name: str, limiter: Mapping[str, Any] | None) -> None:
    """Refuse what can't be a rate limit.

    Raises:
        ValueError: Names the limit and what is wrong with it.
    """
    if limiter is None:
        return
    if set(limiter) != {"limit", "period"}:
        raise ValueError(f'{name} is {dict(limiter)}: give {{"limit": 10, "period": 60}} (seconds)')
    if not is_number(limiter["limit"], whole=True) or not is_number(limiter["period"]):
        raise ValueError(
            f"{name} is {dict(limiter)}: limit must be a whole number, and period a number of seconds"
        )
    if not limiter["limit"] > 0 or not limiter["period"] > 0:
        raise ValueError(f"{name} is {dict(limiter)}: limit and period must be more than 0")


def check_queue_name(name: object) -> str:
    """Refuse what can't be a queue's name.

    Raises:
        ValueError: The name is blank, too long, or reserved.
    """
    if not isinstance(name, str) or not name.strip() or len(name.encode()) > 255 or "\x00" in name:
        raise ValueError("a queue's name must be a text of 1 to 255 bytes that is not blank")
    if name.startswith(("_dbos_", "_pyengine_")):
        raise ValueError(f"the queue name {name} begins with a reserved prefix: choose another")
    return name


def one_concurrency(concurrency: int | None, global_concurrency: int | None) -> int | None:
    """`concurrency` and `global_concurrency` are two names of one limit.

    Raises:
        ValueError: Both were given.
    """
    if concurrency is not None and global_concurrency is not None:
        raise ValueError("concurrency and global_concurrency are the same limit: give one of them")
    return concurrency if concurrency is not None else global_concurrency
