"""Absurd's Python SDK: tasks with steps, run by a worker that polls."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import protocol
import psycopg
from absurd_sdk import Absurd
from protocol import Options, latencies, rate, say, threads_now

LATENCIES: list[float] = []


def client(url: str) -> Absurd:
    app = Absurd(url, queue_name="bench")

    @app.register_task("noop")
    def noop(_params: Any, _context: Any) -> None:
        return None

    @app.register_task("timed_noop")
    def timed_noop(_params: Any, _context: Any) -> float:
        return time.monotonic()

    @app.register_task("sequence")
    def sequence(params: Any, context: Any) -> None:
        for number in range(params["count"]):
            context.step(f"step {number}", lambda number=number: number)

    @app.register_task("stamp")
    def stamp(params: Any, _context: Any) -> None:
        LATENCIES.append(time.monotonic() - params["sent_at"])

    @app.register_task("receive")
    def receive(params: Any, context: Any) -> list[float]:
        took = []
        for number in range(params["count"]):
            sent_at = context.await_event(f"{params['id']} {number}")
            took.append(context.step(f"took {number}", lambda at=sent_at: time.monotonic() - at))
        return took

    @app.register_task("sleeper")
    def sleeper(params: Any, context: Any) -> None:
        context.sleep_for("sleep", params["seconds"])

    @app.register_task("interrupted")
    def interrupted(params: Any, context: Any) -> None:
        context.step("step", lambda: 1)
        with Path(params["path"]).open("a", encoding="ascii") as file:
            file.write(f"{os.getpid()} {context.task_id} {time.monotonic()}\n")
        time.sleep(600 if os.environ.get("BENCH_VICTIM") else 0)

    return app


def work(url: str, concurrency: int, **options: Any) -> Absurd:
    """A worker in a thread of its own, as the SDK has it."""
    app = client(url)
    thread = threading.Thread(
        target=app.start_worker, kwargs={"concurrency": concurrency, **options}, daemon=True
    )
    thread.start()
    return app


def prepare(url: str, _options: Options) -> dict[str, Any]:
    from absurdctl import BUNDLED_SCHEMA_SQL

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BUNDLED_SCHEMA_SQL)
    client(url).create_queue("bench")
    return {"value": 0}


def steps(url: str, options: Options) -> dict[str, Any]:
    """Spawned and worked off in one thread, so that no poll lies between."""
    app = client(url)
    began = 0.0
    for count in (20, options["count"]):
        app.spawn("sequence", {"count": count})
        began = time.perf_counter()
        app.work_batch()
    return rate(options["count"], began)


def start_finish(url: str, options: Options) -> dict[str, Any]:
    app = client(url)
    began = time.perf_counter()
    for _ in range(options["count"]):
        task = app.spawn("noop", {})
        app.work_batch()
        snapshot = app.fetch_task_result(task["task_id"])
        assert snapshot is not None
        assert snapshot.state == "completed"
    return rate(options["count"], began)


def concurrent(url: str, options: Options) -> dict[str, Any]:
    work(url, options["workflows"], poll_interval=0.01)
    app = client(url)
    count = options["steps"]
    app.spawn("noop", {})
    _until_none_is_left(url)
    began = time.perf_counter()
    for _ in range(options["rounds"]):
        for _ in range(options["workflows"]):
            app.spawn("sequence", {"count": count})
        _until_none_is_left(url)
    return rate(options["rounds"] * options["workflows"] * count, began)


def concurrent_callers(url: str, options: Options) -> dict[str, Any]:
    """Its workers poll for what was spawned, by however many callers."""
    return concurrent(url, options)


def _until_none_is_left(url: str) -> None:
    query = "select 1 from absurd.t_bench where state not in ('completed', 'failed') limit 1"
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(query).fetchone() is not None:
            time.sleep(0.01)


def enqueue(url: str, options: Options) -> dict[str, Any]:
    app = client(url)
    app.spawn("noop", {})
    began = time.perf_counter()
    for _ in range(options["count"]):
        app.spawn("noop", {})
    return rate(options["count"], began)


def enqueue_batch(url: str, options: Options) -> dict[str, Any]:
    """The SDK has no batch: its function, for many rows in one statement."""
    with psycopg.connect(url, autocommit=True) as connection:
        began = time.perf_counter()
        for first in range(0, options["count"], 1000):
            connection.execute(
                "select absurd.spawn_task('bench', 'noop', '{}', '{}') from generate_series(1, %s)",
                (min(1000, options["count"] - first),),
            )
    return rate(options["count"], began)


def drain(url: str, options: Options) -> dict[str, Any]:
    enqueue_batch(url, options)
    began = time.perf_counter()
    work(url, 32)
    _until_none_is_left(url)
    return rate(options["count"], began)


def start_latency(url: str, options: Options) -> dict[str, Any]:
    work(url, 8)
    say(ready=True)
    while len(LATENCIES) < options["count"] + 1:
        time.sleep(0.01)
    return latencies(LATENCIES[1:])


def start_latency_sender(url: str, options: Options) -> None:
    app = client(url)
    time.sleep(1)
    for _ in range(options["count"] + 1):
        time.sleep(options["pause"])
        app.spawn("stamp", {"sent_at": time.monotonic()})


def message_latency(url: str, options: Options) -> dict[str, Any]:
    work(url, 8)
    app = client(url)
    task = app.spawn("receive", {"count": options["count"] + 1, "id": options["id"]})
    say(ready=True)
    snapshot: Any = app.await_task_result(task["task_id"])
    return latencies(snapshot.result[1:])


def message_latency_sender(url: str, options: Options) -> None:
    app = client(url)
    time.sleep(0.5)
    for number in range(options["count"] + 1):
        time.sleep(options["pause"] * 5)
        app.emit_event(f"{options['id']} {number}", time.monotonic())


def result_latency(url: str, options: Options) -> dict[str, Any]:
    app = client(url)
    say(ready=True)
    time.sleep(0.5)
    took = []
    for _ in range(options["count"] + 1):
        snapshot: Any = app.await_task_result(app.spawn("timed_noop", {})["task_id"])
        took.append(time.monotonic() - snapshot.result)
    return latencies(took[1:])


def result_latency_sender(url: str, _options: Options) -> None:
    work(url, 8)
    time.sleep(600)


def waiting(url: str, options: Options) -> dict[str, Any]:
    app = client(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            """select absurd.spawn_task('bench', 'sleeper', '{"seconds": 3600}', '{}')
               from generate_series(1, %s)""",
            (options["count"],),
        )
        began = time.perf_counter()
        work(url, 32)
        query = "select count(*) from absurd.t_bench where state = 'sleeping'"
        while connection.execute(query).fetchone() != (options["count"],):
            time.sleep(0.05)
    taken = time.perf_counter() - began
    app.close()
    return {"value": threads_now(), "seconds": taken, "resident_mb": protocol.memory_mb()}


def idle(url: str, options: Options) -> dict[str, Any]:
    work(url, 8)
    time.sleep(2)
    say(ready=True)
    time.sleep(options["seconds"])
    return {"value": 0}


def victim(url: str, options: Options) -> None:
    os.environ["BENCH_VICTIM"] = "1"
    app = client(url)
    for _ in range(options["count"]):
        app.spawn("interrupted", {"path": options["path"]})
    work(url, options["count"], claim_timeout=10)
    say(ready=True)
    time.sleep(600)


def standby(url: str, options: Options) -> None:
    work(url, 32, claim_timeout=10)
    say(ready=True)
    time.sleep(options["seconds"])


WORKLOADS = {
    function.__name__: function
    for function in (
        prepare,
        steps,
        start_finish,
        concurrent,
        concurrent_callers,
        enqueue,
        enqueue_batch,
        drain,
        start_latency,
        start_latency_sender,
        message_latency,
        message_latency_sender,
        result_latency,
        result_latency_sender,
        waiting,
        idle,
        victim,
        standby,
    )
}

if __name__ == "__main__":
    protocol.main(WORKLOADS)
