"""The workloads that pyengine and its peers run side by side, and how each is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Comparison:
    """One row of the table.

    `workload` is the function of the subjects' programs; with a `sender` a second process has part in it.
    `costs_of` names an operation whose costs are worth telling. `limit` is the pgbench run to compare with. What takes
    long and varies little is run `once`.
    """

    key: str
    title: str
    unit: str
    workload: str
    options: Mapping[str, Any] = field(default_factory=dict)
    sender: bool = False
    costs_of: str | None = None
    limit: str | None = None
    lower_is_better: bool = False
    once: bool = False
    slow_peers: Mapping[str, Any] = field(default_factory=dict)


STEPS = {"dbos": 4, "absurd-sdk": 4}
COMPARISONS = (
    Comparison(
        "W1",
        "sequential steps, sync",
        "steps/s",
        "steps",
        {"count": 3000},
        costs_of="step",
        limit="one",
        slow_peers=STEPS,
    ),
    Comparison(
        "W1a",
        "sequential steps, async",
        "steps/s",
        "steps_async",
        {"count": 3000},
        limit="one",
        slow_peers=STEPS,
    ),
    Comparison(
        "W2",
        "start to finish, one after another",
        "workflows/s",
        "start_finish",
        {"count": 1500},
        costs_of="workflow",
        slow_peers={"absurd-sdk": 4, "procrastinate": 8},
    ),
    Comparison(
        "W3",
        "64 callers' workflows of 5 steps, sync",
        "steps/s",
        "concurrent_callers",
        {"workflows": 64, "steps": 5, "rounds": 20},
        limit="many",
        slow_peers={"dbos": 10, "absurd-sdk": 10},
    ),
    Comparison(
        "W3s",
        "the same, started by one thread",
        "steps/s",
        "concurrent",
        {"workflows": 64, "steps": 5, "rounds": 20},
        slow_peers={"dbos": 10},
    ),
    Comparison(
        "W3a",
        "64 workflows of 5 steps, async",
        "steps/s",
        "concurrent_async",
        {"workflows": 64, "steps": 5, "rounds": 40},
        limit="many",
        slow_peers={"dbos": 20},
    ),
    Comparison(
        "W4",
        "enqueue, one by one",
        "workflows/s",
        "enqueue",
        {"count": 2000},
        costs_of="workflow",
        limit="one",
        slow_peers={"procrastinate": 2, "absurd-sdk": 2, "dbos": 2},
    ),
    Comparison(
        "W4b",
        "enqueue, in batches",
        "workflows/s",
        "enqueue_batch",
        {"count": 30_000},
        slow_peers={"dbos": 10, "absurd-sdk": 6, "procrastinate": 3},
    ),
    Comparison(
        "W4d",
        "drain by one process",
        "workflows/s",
        "drain",
        {"count": 20_000},
        costs_of="workflow",
        slow_peers={"dbos": 10, "absurd-sdk": 20, "procrastinate": 20},
    ),
    Comparison(
        "W5",
        "enqueue to start, another process",
        "ms",
        "start_latency",
        {"count": 80, "pause": 0.02},
        sender=True,
        lower_is_better=True,
        slow_peers={"dbos": 4},
    ),
    Comparison(
        "W6m",
        "message to a waiting workflow",
        "ms",
        "message_latency",
        {"count": 80, "pause": 0.02},
        sender=True,
        lower_is_better=True,
        slow_peers={"absurd-sdk": 4},
    ),
    Comparison(
        "W6e",
        "event to a waiting client",
        "ms",
        "event_latency",
        {"count": 80, "pause": 0.02},
        sender=True,
        lower_is_better=True,
        slow_peers={"dbos": 8},
    ),
    Comparison(
        "W6r",
        "result to a waiting client",
        "ms",
        "result_latency",
        {"count": 80},
        sender=True,
        lower_is_better=True,
        slow_peers={"dbos": 8, "absurd-sdk": 4},
    ),
    Comparison(
        "W8",
        "transactional steps, one workflow",
        "steps/s",
        "transactions",
        {"workflows": 1, "count": 600},
        costs_of="step",
        slow_peers={"dbos": 4},
    ),
    Comparison(
        "W8c",
        "transactional steps, 16 workflows",
        "steps/s",
        "transactions",
        {"workflows": 16, "count": 1600},
        slow_peers={"dbos": 4},
    ),
    Comparison(
        "W9",
        "10,000 sleeping: threads, sync",
        "threads",
        "waiting",
        {"count": 10_000},
        once=True,
        lower_is_better=True,
    ),
    Comparison(
        "W9a",
        "10,000 sleeping: threads, async",
        "threads",
        "waiting_async",
        {"count": 10_000},
        once=True,
        lower_is_better=True,
    ),
    Comparison(
        "W10",
        "takeover of 500 after kill -9",
        "s",
        "takeover",
        {"count": 500},
        once=True,
        lower_is_better=True,
    ),
    Comparison(
        "idle",
        "statements of an idle process",
        "1/s",
        "idle",
        {"seconds": 5},
        once=True,
        lower_is_better=True,
    ),
)

# Throughput and latency against concurrency; the same for everybody who has steps.
CURVES = tuple(
    Comparison(
        f"C{workflows}{'a' if is_async else ''}",
        f"{workflows} workflows of 5 steps",
        "steps/s",
        "concurrent_async" if is_async else "concurrent",
        {"workflows": workflows, "steps": 5, "rounds": max(2560 // workflows, 2)},
        slow_peers={"dbos": 10, "absurd-sdk": 10},
    )
    for is_async in (False, True)
    for workflows in (1, 4, 16, 64, 256)
)
