"""PgQueuer: jobs without steps or results, run by an async worker that is notified."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import asyncpg
import protocol
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.domain.types import QueueExecutionMode
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from protocol import Options, latencies, rate, say

LATENCIES: list[float] = []
BATCH = 100  # what it drains fastest with; 10 is its default


async def worker(url: str) -> PgQueuer:
    pgq = PgQueuer(AsyncpgDriver(await asyncpg.connect(url)))

    @pgq.entrypoint("noop")
    async def noop(_job: Job) -> None:
        return None

    @pgq.entrypoint("stamp")
    async def stamp(job: Job) -> None:
        LATENCIES.append(time.monotonic() - float(job.payload or b"0"))

    return pgq


async def queries(url: str) -> Queries:
    return Queries(AsyncpgDriver(await asyncpg.connect(url)))


def prepare(url: str, _options: Options) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        await (await queries(url)).install()
        return {"value": 0}

    return asyncio.run(run())


def enqueue(url: str, options: Options) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        queue = await queries(url)
        await queue.enqueue("noop", b"")
        began = time.perf_counter()
        for _ in range(options["count"]):
            await queue.enqueue("noop", b"")
        return rate(options["count"], began)

    return asyncio.run(run())


async def _enqueue_many(url: str, count: int) -> None:
    queue = await queries(url)
    for first in range(0, count, 1000):
        size = min(1000, count - first)
        await queue.enqueue(["noop"] * size, [b""] * size, [0] * size)


def enqueue_batch(url: str, options: Options) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        began = time.perf_counter()
        await _enqueue_many(url, options["count"])
        return rate(options["count"], began)

    return asyncio.run(run())


def drain(url: str, options: Options) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        await _enqueue_many(url, options["count"])
        pgq = await worker(url)
        began = time.perf_counter()
        await pgq.qm.run(batch_size=BATCH, mode=QueueExecutionMode.drain)
        return rate(options["count"], began)

    return asyncio.run(run())


def start_latency(url: str, options: Options) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        pgq = await worker(url)
        task = asyncio.create_task(pgq.qm.run(dequeue_timeout=timedelta(seconds=30)))
        await asyncio.sleep(1)
        say(ready=True)
        while len(LATENCIES) < options["count"] + 1:
            await asyncio.sleep(0.01)
        task.cancel()
        return latencies(LATENCIES[1:])

    return asyncio.run(run())


def start_latency_sender(url: str, options: Options) -> None:
    async def run() -> None:
        queue = await queries(url)
        await asyncio.sleep(1)
        for _ in range(options["count"] + 1):
            await asyncio.sleep(options["pause"])
            await queue.enqueue("stamp", repr(time.monotonic()).encode())

    asyncio.run(run())


def idle(url: str, options: Options) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        pgq = await worker(url)
        task = asyncio.create_task(pgq.qm.run())
        await asyncio.sleep(2)
        say(ready=True)
        await asyncio.sleep(options["seconds"])
        task.cancel()
        return {"value": 0}

    return asyncio.run(run())


WORKLOADS = {
    function.__name__: function
    for function in (
        prepare,
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
