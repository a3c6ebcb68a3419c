"""The application of the campaigns: every kind of durable operation, with values that differ at each try.

A plain step returns a random value: whoever replays must see the one that was stored. A transactional step writes a row
into a table without any key: a second row is a step that was done twice.
"""

from __future__ import annotations

import ctypes
import os
import secrets
from pathlib import Path
from typing import Any

from pyengine import DBOS, Queue, SetEnqueueOptions
from tests.chaos.campaign.journal import Journal

ATTEMPTS = 10_000  # kills are the campaign's, not the workflow's
KEYS = "abcdef"

journeys = Queue("journeys", worker_concurrency=8)
errands = Queue("errands", concurrency=12)
narrow = Queue("narrow", concurrency=2)
lonely = Queue("lonely", worker_concurrency=1)
keyed = Queue("keyed", partition_concurrency=1)
rated = Queue("rated", limiter={"limit": 20, "period": 1.0})
unwell_work = Queue("unwell", concurrency=2)
LIMITED = ("narrow", "lonely", "keyed", "rated")


class World:
    """Where this process notes what it does."""

    journal = Journal(Path(os.devnull))


def saw(step: str, value: str) -> str:
    """Note the value that a step gave to the workflow."""
    World.journal.note("seen", workflow_id=DBOS.workflow_id, step=step, value=value)
    return value


def effect(step: str) -> str:
    value = secrets.token_hex(8)
    World.journal.note("effect", workflow_id=DBOS.workflow_id, step=step, value=value)
    return value


@DBOS.step(name="plain 1")
def plain() -> str:
    return effect("plain 1")


@DBOS.step(name="plain 2")
async def plain_async() -> str:
    return effect("plain 2")


def _transfer(step: str) -> str:
    value = secrets.token_hex(8)
    DBOS.sql_connection.execute(
        "insert into public.business values (%s, %s, %s)", [DBOS.workflow_id, step, value]
    )
    return value


@DBOS.transaction(name="transfer 1")
def transfer() -> str:
    return _transfer("transfer 1")


@DBOS.transaction(name="transfer 2")
def transfer_again() -> str:
    return _transfer("transfer 2")


@DBOS.transaction(name="transfer 3")
async def transfer_async() -> str:
    value = secrets.token_hex(8)
    await DBOS.sql_connection.execute(
        "insert into public.business values (%s, %s, %s)", [DBOS.workflow_id, "transfer 3", value]
    )
    return value


@DBOS.workflow(name="errand", max_recovery_attempts=ATTEMPTS)
def errand(parent: str) -> str:
    """Does something and tells its parent, in two messages."""
    value = saw("plain 1", plain())
    saw("transfer 1", transfer())
    DBOS.send(parent, [1, value], topic="errand")
    DBOS.send(parent, [2, value], topic="errand")
    return value


@DBOS.workflow(name="journey", max_recovery_attempts=ATTEMPTS)
def journey(number: str) -> list[Any]:
    """Steps, a child, mail, events, a stream and a sleep."""
    first = saw("plain 1", plain())
    second = saw("transfer 1", transfer())
    DBOS.set_event("progress", number)
    child = errands.enqueue(errand, DBOS.workflow_id)
    DBOS.write_stream("log", first)
    mail = [DBOS.recv("errand", timeout_seconds=600) for _ in range(2)]
    result = child.get_result()
    if mail != [[1, result], [2, result]]:
        raise AssertionError(f"the mail {mail} is not that of {result}")
    DBOS.sleep(0.05)
    DBOS.write_stream("log", second)
    DBOS.close_stream("log")
    return [number, first, second, result, saw("transfer 2", transfer_again())]


@DBOS.workflow(name="journey_async", max_recovery_attempts=ATTEMPTS)
async def journey_async(number: str) -> list[Any]:
    """As `journey`, on the event loop."""
    first = saw("plain 2", await plain_async())
    second = saw("transfer 3", await transfer_async())
    await DBOS.set_event_async("progress", number)
    child = await errands.enqueue_async(errand, DBOS.workflow_id)
    await DBOS.write_stream_async("log", first)
    mail = [await DBOS.recv_async("errand", timeout_seconds=600) for _ in range(2)]
    result = await child.get_result()
    if mail != [[1, result], [2, result]]:
        raise AssertionError(f"the mail {mail} is not that of {result}")
    await DBOS.sleep_async(0.05)
    return [number, first, second, result]


@DBOS.workflow(name="job", max_recovery_attempts=ATTEMPTS)
def job(number: str) -> str:
    """A small thing on a queue with a limit."""
    return saw("plain 1", plain())


@DBOS.workflow(name="echo", max_recovery_attempts=ATTEMPTS)
def echo(number: str, value: Any) -> Any:
    """Gives back what it got, through a step."""
    return repeat(value)


@DBOS.step(name="repeat")
def repeat(value: Any) -> Any:
    return value


@DBOS.workflow(name="lethal", max_recovery_attempts=2)
def lethal(number: str, how: str) -> None:
    """Kills its process each time."""
    if how == "crash":
        ctypes.string_at(0)
    os._exit(3)


@DBOS.workflow(name="carrier", max_recovery_attempts=ATTEMPTS)
def carrier(number: str, how: str) -> str:
    """Starts what kills its process: only the process that knows the function knows how often it may be tried."""
    return unwell_work.enqueue(lethal, number, how).get_workflow_id()


@DBOS.workflow(name="unwell", max_recovery_attempts=2)
def unwell(number: str, how: str) -> Any:
    """Fails by itself, in a way that is no fault of the engine."""
    if how == "object":
        return object()
    if how == "recursion":
        return unwell.__wrapped__(number, how)  # type: ignore[attr-defined]
    if how == "memory":
        return "x" * (3 << 20)
    raise RuntimeError(how)


__all__ = ["SetEnqueueOptions", "World"]
