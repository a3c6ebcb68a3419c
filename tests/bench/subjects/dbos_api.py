"""The programs of pyengine and of DBOS: one text, because their API is one; BENCH_LIBRARY names the import."""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import protocol
from protocol import Options, latencies, memory_mb, rate, say, threads_now

LIBRARY = os.environ["BENCH_LIBRARY"]
library = importlib.import_module(LIBRARY)
DBOS = library.DBOS
SetWorkflowID = library.SetWorkflowID


@DBOS.step()
def step(number: int) -> int:
    return number


@DBOS.step()
async def step_async(number: int) -> int:
    return number


@DBOS.workflow()
def sequence(count: int) -> None:
    for number in range(count):
        step(number)


@DBOS.workflow()
async def sequence_async(count: int) -> None:
    for number in range(count):
        await step_async(number)


@DBOS.workflow()
def noop() -> None:
    return None


@DBOS.workflow()
async def noop_async() -> None:
    return None


@DBOS.workflow()
def timed_noop() -> float:
    return time.monotonic()


LATENCIES: list[float] = []


@DBOS.workflow()
def stamp(sent_at: float) -> None:
    LATENCIES.append(time.monotonic() - sent_at)


@DBOS.workflow()
def receive(count: int) -> list[float]:
    took = []
    for _ in range(count):
        sent_at = DBOS.recv("stamps", timeout_seconds=60)
        took.append(time.monotonic() - sent_at)
    return took


@DBOS.workflow()
def publish(count: int) -> None:
    DBOS.set_event("ready", 1)
    for number in range(count):
        DBOS.recv("next", timeout_seconds=60)
        DBOS.set_event(f"event-{number}", time.monotonic())


@DBOS.workflow()
def sleeper(seconds: float) -> None:
    DBOS.sleep(seconds)


@DBOS.workflow()
async def sleeper_async(seconds: float) -> None:
    await DBOS.sleep_async(seconds)


@DBOS.step()
def linger(seconds: float) -> None:
    time.sleep(seconds)


@DBOS.workflow()
def interrupted(path: str) -> None:
    step(1)
    with Path(path).open("a", encoding="ascii") as file:
        file.write(f"{os.getpid()} {DBOS.workflow_id} {time.monotonic()}\n")
    linger(600 if os.environ.get("BENCH_VICTIM") else 0)


def launch(url: str, *, work: bool = True, executor: str | None = None, **config: Any) -> None:
    """As a user configures it; `work` also listens to the queue."""
    config = {
        "name": "bench",
        "system_database_url": url,
        "log_level": "ERROR",
        "application_version": "1",
        **config,
    }
    if executor:
        config["executor_id"] = executor
    DBOS(config=config)
    if not work:
        DBOS.listen_queues([])
    DBOS.launch()
    DBOS.register_queue("bench", on_conflict="always_update")


def prepare(url: str, _options: Options) -> dict[str, Any]:
    launch(url)
    noop()
    DBOS.destroy()
    return {"value": 0}


def steps(url: str, options: Options) -> dict[str, Any]:
    launch(url)
    sequence(20)
    began = time.perf_counter()
    sequence(options["count"])
    return rate(options["count"], began)


def steps_async(url: str, options: Options) -> dict[str, Any]:
    launch(url)

    async def run() -> dict[str, Any]:
        await sequence_async(20)
        began = time.perf_counter()
        await sequence_async(options["count"])
        return rate(options["count"], began)

    return asyncio.run(run())


def start_finish(url: str, options: Options) -> dict[str, Any]:
    launch(url)
    noop()
    began = time.perf_counter()
    for _ in range(options["count"]):
        DBOS.start_workflow(noop).get_result()
    return rate(options["count"], began)


def concurrent(url: str, options: Options) -> dict[str, Any]:
    """One thread starts them all, one after another, and waits for them."""
    launch(url)
    sequence(2)
    began = time.perf_counter()
    workflows = options["workflows"]
    for _ in range(options["rounds"]):
        handles = [DBOS.start_workflow(sequence, options["steps"]) for _ in range(workflows)]
        for handle in handles:
            handle.get_result()
    return rate(options["rounds"] * workflows * options["steps"], began)


def concurrent_callers(url: str, options: Options) -> dict[str, Any]:
    """As many threads as workflows, each calling its own, as the threads of a web server do."""
    launch(url)
    sequence(2)
    workflows = options["workflows"]
    with ThreadPoolExecutor(workflows) as callers:
        list(callers.map(sequence, [1] * workflows))
        began = time.perf_counter()
        for _ in range(options["rounds"]):
            list(callers.map(sequence, [options["steps"]] * workflows))
    return rate(options["rounds"] * workflows * options["steps"], began)


def concurrent_async(url: str, options: Options) -> dict[str, Any]:
    launch(url)
    workflows = options["workflows"]

    async def run() -> dict[str, Any]:
        await sequence_async(2)
        began = time.perf_counter()
        for _ in range(options["rounds"]):
            await asyncio.gather(*(sequence_async(options["steps"]) for _ in range(workflows)))
        return rate(options["rounds"] * workflows * options["steps"], began)

    return asyncio.run(run())


def enqueue(url: str, options: Options) -> dict[str, Any]:
    launch(url, work=False)
    DBOS.enqueue_workflow("bench", noop)
    began = time.perf_counter()
    for _ in range(options["count"]):
        DBOS.enqueue_workflow("bench", noop)
    return rate(options["count"], began)


def enqueue_batch(url: str, options: Options) -> dict[str, Any]:
    launch(url, work=False)
    _enqueue_many(10)
    began = time.perf_counter()
    _enqueue_many(options["count"])
    return rate(options["count"], began)


def _enqueue_many(count: int) -> None:
    """As many as the library takes at once: a call for them all, or else tasks."""
    many: Callable[..., Any] | None = getattr(DBOS.retrieve_queue("bench"), "enqueue_many", None)
    if many is not None:
        for first in range(0, count, 1000):
            many(noop, [()] * min(1000, count - first))
        return

    async def run() -> None:
        for first in range(0, count, 500):
            chunk = range(min(500, count - first))
            await asyncio.gather(*(DBOS.enqueue_workflow_async("bench", noop) for _ in chunk))

    asyncio.run(run())


def drain(url: str, options: Options) -> dict[str, Any]:
    """What is enqueued is claimed, run and recorded by this process alone."""
    launch(url, work=False)
    _enqueue_many(options["count"])
    DBOS.destroy()
    began = time.perf_counter()
    launch(url)
    _until_none_is_left(url, began)
    return rate(options["count"], began)


def _until_none_is_left(url: str, began: float) -> None:
    import psycopg

    schema, column = (
        ("pyengine.workflows", "status")
        if LIBRARY == "pyengine"
        else ("dbos.workflow_status", "status")
    )
    query = f"select 1 from {schema} where {column} in ('ENQUEUED', 'PENDING') limit 1"
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(query).fetchone() is not None:
            time.sleep(0.02)
            if time.perf_counter() - began > 120:
                raise TimeoutError("the queue is not empty after two minutes")


def start_latency(url: str, options: Options) -> dict[str, Any]:
    """The worker; the sender is told when it is ready, and it says what it measured."""
    launch(url)
    say(ready=True)
    while len(LATENCIES) < options["count"] + 1:
        time.sleep(0.01)
    return latencies(LATENCIES[1:])


def start_latency_sender(url: str, options: Options) -> None:
    launch(url, work=False)
    time.sleep(1)
    for _ in range(options["count"] + 1):
        time.sleep(options["pause"])
        DBOS.enqueue_workflow("bench", stamp, time.monotonic())


def message_latency(url: str, options: Options) -> dict[str, Any]:
    launch(url)
    with SetWorkflowID(options["id"]):
        handle = DBOS.start_workflow(receive, options["count"] + 1)
    say(ready=True)
    return latencies(handle.get_result()[1:])


def message_latency_sender(url: str, options: Options) -> None:
    launch(url, work=False)
    time.sleep(0.5)
    for _ in range(options["count"] + 1):
        time.sleep(options["pause"])
        DBOS.send(options["id"], time.monotonic(), topic="stamps")


def event_latency(url: str, options: Options) -> dict[str, Any]:
    """Events that a workflow of another process publishes on request, as seen from here."""
    launch(url, work=False, executor="observer")
    say(ready=True)
    DBOS.get_event(options["id"], "ready", timeout_seconds=60)
    took = []
    for number in range(options["count"] + 1):
        ask = threading.Timer(options["pause"], DBOS.send, (options["id"], None, "next"))
        ask.start()
        set_at = DBOS.get_event(options["id"], f"event-{number}", timeout_seconds=60)
        took.append(time.monotonic() - set_at)
    return latencies(took[1:])


def event_latency_sender(url: str, options: Options) -> None:
    launch(url)
    with SetWorkflowID(options["id"]):
        DBOS.start_workflow(publish, options["count"] + 1).get_result()


def result_latency(url: str, options: Options) -> dict[str, Any]:
    """From the end of a workflow in another process to the return of get_result here."""
    launch(url, work=False, executor="observer")
    say(ready=True)
    time.sleep(0.5)
    took = []
    for _ in range(options["count"] + 1):
        ended_at = DBOS.enqueue_workflow("bench", timed_noop).get_result()
        took.append(time.monotonic() - ended_at)
    return latencies(took[1:])


def result_latency_sender(url: str, _options: Options) -> None:
    launch(url)
    time.sleep(600)


def waiting(url: str, options: Options) -> dict[str, Any]:
    launch(url)
    began = time.perf_counter()
    for _ in range(options["count"]):
        DBOS.start_workflow(sleeper, 3600)
    taken = time.perf_counter() - began
    return {"value": threads_now(), "seconds": taken, "resident_mb": memory_mb()}


def waiting_async(url: str, options: Options) -> dict[str, Any]:
    launch(url)

    async def run() -> dict[str, Any]:
        began = time.perf_counter()
        for first in range(0, options["count"], 500):
            chunk = range(min(500, options["count"] - first))
            await asyncio.gather(*(DBOS.start_workflow_async(sleeper_async, 3600) for _ in chunk))
        taken = time.perf_counter() - began
        return {"value": threads_now(), "seconds": taken, "resident_mb": memory_mb()}

    return asyncio.run(run())


def transactions(url: str, options: Options) -> dict[str, Any]:
    """Steps that write one row of the user's own table, exactly once."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table if not exists accounts (id int primary key, balance int)")
        connection.execute(
            "insert into accounts select i, 0 from generate_series(1, 16) i on conflict do nothing"
        )
    update = "update accounts set balance = balance + 1 where id = :id"
    if LIBRARY == "pyengine":

        @DBOS.transaction(isolation_level="READ COMMITTED")
        def book(account: int) -> None:
            DBOS.sql_connection.execute(update.replace(":id", "%s"), (account,))

    else:
        import sqlalchemy

        source = library.SQLAlchemyDatasource.create(
            url.replace("postgresql://", "postgresql+psycopg://", 1)
        )
        statement = sqlalchemy.text(update)

        @source.transaction(isolation_level="READ COMMITTED")
        def book(account: int) -> None:
            source.sql_session().execute(statement, {"id": account})

    @DBOS.workflow()
    def booking(account: int, count: int) -> None:
        for _ in range(count):
            book(account)

    launch(url)
    booking(1, 5)
    each = options["count"] // options["workflows"]
    began = time.perf_counter()
    accounts = range(1, options["workflows"] + 1)
    handles = [DBOS.start_workflow(booking, account, each) for account in accounts]
    for handle in handles:
        handle.get_result()
    return rate(each * options["workflows"], began)


def idle(url: str, options: Options) -> dict[str, Any]:
    """Nothing to do; what it costs is measured from outside."""
    launch(url)
    time.sleep(2)
    say(ready=True)
    time.sleep(options["seconds"])
    return {"value": 0}


def victim(url: str, options: Options) -> None:
    os.environ["BENCH_VICTIM"] = "1"
    launch(url, executor="victim")
    for _ in range(options["count"]):
        DBOS.start_workflow(interrupted, options["path"])
    say(ready=True)
    time.sleep(600)


def standby(url: str, options: Options) -> None:
    """A second process of the application; DBOS recovers only what ran under its own name, so it takes that."""
    launch(url, executor="victim" if LIBRARY == "dbos" else "standby")
    say(ready=True)
    time.sleep(options["seconds"])


WORKLOADS = {
    function.__name__: function
    for function in (
        prepare,
        steps,
        steps_async,
        start_finish,
        concurrent,
        concurrent_callers,
        concurrent_async,
        enqueue,
        enqueue_batch,
        drain,
        start_latency,
        start_latency_sender,
        message_latency,
        message_latency_sender,
        event_latency,
        event_latency_sender,
        result_latency,
        result_latency_sender,
        transactions,
        waiting,
        waiting_async,
        idle,
        victim,
        standby,
    )
}

if __name__ == "__main__":
    protocol.main(WORKLOADS)
