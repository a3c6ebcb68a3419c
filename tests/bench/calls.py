"""What each call that a workflow makes costs by itself, one after another on one connection, beside a bare insert.

Wall time includes the flush of the commit to the disk, processor time of the server does not: the rest of a row of
the comparisons is the client's, and the switching between the two.
"""

from __future__ import annotations

import json
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from psycopg import pq

from tests.bench import limits
from tests.bench.figures import Bench, Figure
from tests.queues.arena import Session, queue, register, request

_ROUNDS = 3
_CALLS = 600
_BATCH = 100

Parameters = Sequence[str]


def measure_calls(bench: Bench) -> Iterator[Figure]:
    """Medians of some rounds, in which the calls are interleaved."""
    queue(bench.session, "bench")
    limits.prepare(bench.session)
    executor_id = register(bench.session)
    found: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(_ROUNDS):
        for case, statement, calls, items in _calls(str(executor_id)):
            costs = _measure(bench.session, statement, calls)
            found.setdefault(case, []).append(
                (costs[0] / items, costs[1] / items, costs[2] / items)
            )
    for case, rounds in found.items():
        wall, server, log = (statistics.median(each) for each in zip(*rounds, strict=True))
        yield Figure(
            case, wall, f"µs ({server:.0f} of the server's processor, {log:.0f} bytes of log)"
        )


def _calls(executor_id: str) -> Iterator[tuple[str, str, Sequence[Parameters], int]]:
    """What is measured: its name, the statement, the parameters of each call, and how many items a call has."""
    start = "select r.item from pyengine.start_workflows($1::json, $2::bigint) r"
    enqueue = "select r.item from pyengine.start_workflows($1::json) r"
    step = "select r.item from pyengine.record_steps($1::json) r"
    finish = "select r.item from pyengine.finish_workflows($1::json) r"
    claim = f"select r.workflow_id from pyengine.claim_workflows($1::bigint, $2::uuid, {_BATCH}, null, null, false) r"

    yield "nothing: the limit's insert", limits.CALL, [("w", "1")] * _CALLS, 1
    leases = [(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(_CALLS)]
    yield "start a workflow", start, [(_start(*lease), executor_id) for lease in leases], 1
    yield "record a step", step, [(_step(*leases[0], n),) for n in range(1, _CALLS + 1)], 1
    yield "finish a workflow", finish, [(_outcome(*lease),) for lease in leases], 1
    yield "enqueue a workflow", enqueue, [(json.dumps(request("bench")),) for _ in leases], 1

    count = _CALLS * 10 // _BATCH
    batches = [
        [(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(_BATCH)] for _ in range(count)
    ]
    yield (
        f"start, {_BATCH} in a call",
        start,
        [(_array(_start, each), executor_id) for each in batches],
        _BATCH,
    )
    yield (
        f"record a step, {_BATCH} in a call",
        step,
        [(_array(_first_step, each),) for each in batches],
        _BATCH,
    )
    yield (
        f"finish, {_BATCH} in a call",
        finish,
        [(_array(_outcome, each),) for each in batches],
        _BATCH,
    )
    waiting = [(json.dumps([request("bench") for _ in range(_BATCH)]),) for _ in batches]
    yield f"enqueue, {_BATCH} in a call", enqueue, waiting, _BATCH
    yield (
        f"claim, {_BATCH} in a call",
        claim,
        [(executor_id, str(uuid.uuid4())) for _ in batches],
        _BATCH,
    )


def _array(document: Callable[[str, str], str], leases: Sequence[tuple[str, str]]) -> str:
    return "[" + ",".join(document(*lease) for lease in leases) + "]"


def _start(workflow_id: str, lease_token: str) -> str:
    return json.dumps(request(None, workflow_id, lease_token=lease_token))


def _step(workflow_id: str, lease_token: str, step_id: int) -> str:
    return json.dumps(
        {
            "workflow_id": workflow_id, "lease_token": lease_token, "step_id": step_id, "name": "step",
            "elapsed_ms": 0.01, "serialization": "json", "output": 1,
        }
    )  # fmt: skip


def _first_step(workflow_id: str, lease_token: str) -> str:
    return _step(workflow_id, lease_token, 1)


def _outcome(workflow_id: str, lease_token: str) -> str:
    return json.dumps(
        {
            "workflow_id": workflow_id,
            "lease_token": lease_token,
            "serialization": "json",
            "output": None,
        }
    )


def _measure(
    session: Session, statement: str, calls: Sequence[Parameters]
) -> tuple[float, float, float]:
    """Of one call: microseconds, those of the server's processor, and bytes of write-ahead log."""
    pgconn = session.pgconn
    name = uuid.uuid4().hex.encode()
    assert pgconn.prepare(name, statement.encode()).status == pq.ExecStatus.COMMAND_OK
    encoded = [[value.encode() for value in parameters] for parameters in calls]
    log, processor, began = _log(session), _processor(pgconn.backend_pid), time.perf_counter()
    for parameters in encoded:
        result = pgconn.exec_prepared(name, parameters)
        assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message
    seconds = time.perf_counter() - began
    processor, log = _processor(pgconn.backend_pid) - processor, _log(session) - log
    return seconds / len(calls) * 1e6, processor / len(calls), log / len(calls)


def _processor(pid: int) -> float:
    """Microseconds that a process has had a processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1000


def _log(session: Session) -> float:
    row: Any = session.execute("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    return float(row[0])


WORKLOADS: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {"calls": measure_calls}
