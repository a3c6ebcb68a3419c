"""Procrastinate: jobs without steps, run by an async worker that is notified."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import procrastinate
import protocol
from protocol import Options, latencies, rate, say

LATENCIES: list[float] = []


def client(url: str) -> procrastinate.App:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

    @app.task(name="noop", queue="bench")
    async def noop() -> None:
        return None

    @app.task(name="stamp", queue="bench")
    async def stamp(sent_at: float) -> None:
        LATENCIES.append(time.monotonic() - sent_at)

    @app.task(name="interrupted", queue="bench")
    async def interrupted(path: str, number: int) -> None:
        with Path(path).open("a", encoding="ascii") as file:
            file.write(f"{os.getpid()} {number} {time.monotonic()}\n")
        await asyncio.sleep(600 if os.environ.get("BENCH_VICTIM") else 0)

    return app


def prepare(url: str, _options: Options) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with client(url).open_async() as app:
            await app.schema_manager.apply_schema_async()
        return {"value": 0}

    return asyncio.run(run())


def start_finish(url: str, options: Options) -> dict[str, Any]:
    """It has no result to wait for: the status is asked for until the job is done."""

    async def run() -> dict[str, Any]:
        async with client(url).open_async() as app:
            worker = asyncio.create_task(
                app.run_worker_async(concurrency=1, install_signal_handlers=False)
            )
            await asyncio.sleep(1)
            began = time.perf_counter()
            for _ in range(options["count"]):
                job = await app.tasks["noop"].defer_async()
                while (await app.job_manager.get_job_status_async(job)).value != "succeeded":
                    await asyncio.sleep(0)
            result = rate(options["count"], began)
            worker.cancel()
            return result

    return asyncio.run(run())


def enqueue(url: str, options: Options) -> dict[str, Any]:
    with client(url).open() as app:
        task = app.tasks["noop"]
        task.defer()
        began = time.perf_counter()
        for _ in range(options["count"]):
            task.defer()
        return rate(options["count"], began)


def enqueue_batch(url: str, options: Options) -> dict[str, Any]:
    with client(url).open() as app:
        task = app.tasks["noop"]
        began = time.perf_counter()
        for first in range(0, options["count"], 1000):
            task.batch_defer(*[{}] * min(1000, options["count"] - first))
        return rate(options["count"], began)


def drain(url: str, options: Options) -> dict[str, Any]:
    enqueue_batch(url, options)

    async def run() -> dict[str, Any]:
        async with client(url).open_async() as app:
            began = time.perf_counter()
            await app.run_worker_async(concurrency=50, wait=False, install_signal_handlers=False)
            return rate(options["count"], began)

    return asyncio.run(run())


def start_latency(url: str, options: Options) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with client(url).open_async() as app:
            worker = asyncio.create_task(
                app.run_worker_async(concurrency=8, install_signal_handlers=False)
            )
            await asyncio.sleep(1)
            say(ready=True)
            while len(LATENCIES) < options["count"] + 1:
                await asyncio.sleep(0.01)
            worker.cancel()
            return latencies(LATENCIES[1:])

    return asyncio.run(run())


def start_latency_sender(url: str, options: Options) -> None:
    with client(url).open() as app:
        time.sleep(1)
        for _ in range(options["count"] + 1):
            time.sleep(options["pause"])
            app.tasks["stamp"].defer(sent_at=time.monotonic())


def idle(url: str, options: Options) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with client(url).open_async() as app:
            worker = asyncio.create_task(
                app.run_worker_async(concurrency=8, install_signal_handlers=False)
            )
            await asyncio.sleep(2)
            say(ready=True)
            await asyncio.sleep(options["seconds"])
            worker.cancel()
            return {"value": 0}

    return asyncio.run(run())


WORKLOADS = {
    function.__name__: function
    for function in (
        prepare,
        start_finish,
        enqueue,
        enqueue_batch,
        drain,
        start_latency,
        start_latency_sender,
        idle,
    )
}

if __name__ == "__main__":
    protocol.main(WORKLOADS)
