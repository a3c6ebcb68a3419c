"""The application that the fault tests run: plain steps note an effect, transactional steps write a row."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from pyengine import DBOS
from tests.chaos.ledger import Ledger


class _World:
    """What the process tells its parent, and what it waits for."""

    ledger = Ledger(Path(os.devnull))
    tell: Callable[..., None]
    gates: ClassVar[defaultdict[str, threading.Event]] = defaultdict(threading.Event)


world = _World


def note(step: str) -> None:
    """The effect of a step."""
    world.ledger.note(DBOS.workflow_id or "", step)


def wait_at(gate: str) -> None:
    """Tell the parent, and wait until it opens the gate."""
    world.tell("reached", DBOS.workflow_id, gate)
    world.gates[gate].wait()


@DBOS.step()
def plain(number: int, value: int) -> int:
    note(f"plain {number}")
    return value * 3 + number


@DBOS.step()
async def plain_async(number: int, value: int) -> int:
    note(f"plain {number}")
    await asyncio.sleep(0)
    return value * 3 + number


@DBOS.transaction()
def transfer(number: int, value: int) -> int:
    DBOS.sql_connection.execute(
        "insert into public.business values (%s, %s)", [DBOS.workflow_id, f"transfer {number}"]
    )
    return value * 3 + number


@DBOS.transaction()
async def transfer_async(number: int, value: int) -> int:
    await DBOS.sql_connection.execute(
        "insert into public.business values (%s, %s)", [DBOS.workflow_id, f"transfer {number}"]
    )
    return value * 3 + number


@DBOS.transaction("READ COMMITTED")
def gated_transfer(gate: str) -> str:
    """Waits with the transaction open, a row written."""
    transfer.__wrapped__(2, 0)  # type: ignore[attr-defined]
    note(gate)
    wait_at(gate)
    return f"{gate} passed"


@DBOS.step()
def gated(gate: str) -> str:
    note(gate)
    wait_at(gate)
    return f"{gate} passed"


@DBOS.step()
async def gated_async(gate: str) -> str:
    note(gate)
    await asyncio.to_thread(wait_at, gate)
    return f"{gate} passed"


@DBOS.step()
def deadly() -> None:
    note("deadly")
    os._exit(1)


@DBOS.workflow()
def chain(count: int, value: int) -> int:
    """Steps one after another; says when a third of them is done."""
    for number in range(count):
        value = plain(number, value) % 1_000_003
        if number == count // 3:
            world.tell("under way", DBOS.workflow_id)
    return value


@DBOS.workflow()
async def chain_async(count: int, value: int) -> int:
    for number in range(count):
        value = await plain_async(number, value) % 1_000_003
        if number == count // 3:
            world.tell("under way", DBOS.workflow_id)
    return value


def chain_result(count: int, value: int) -> int:
    """What a chain returns."""
    for number in range(count):
        value = (value * 3 + number) % 1_000_003
    return value


@DBOS.workflow()
def mixed(count: int, value: int) -> int:
    """Plain and transactional steps in turn; the result is that of a chain."""
    for number in range(count):
        value = (transfer if number % 2 else plain)(number, value) % 1_000_003
    return value


@DBOS.workflow()
async def mixed_async(count: int, value: int) -> int:
    for number in range(count):
        value = await (transfer_async if number % 2 else plain_async)(number, value) % 1_000_003
    return value


@DBOS.workflow()
def gated_transaction(value: int) -> int:
    """Waits inside an open transaction."""
    value = plain(1, value)
    gated_transfer("in transaction")
    return plain(3, value)


@DBOS.workflow()
def gated_step(value: int) -> int:
    """Waits inside its second step."""
    value = plain(1, value)
    gated("in step")
    return plain(3, value)


@DBOS.workflow()
async def gated_step_async(value: int) -> int:
    value = await plain_async(1, value)
    await gated_async("in step")
    return await plain_async(3, value)


@DBOS.workflow()
def gated_between(value: int) -> int:
    """Waits between two steps."""
    value = plain(1, value)
    wait_at("between steps")
    return plain(2, value)


@DBOS.workflow(max_recovery_attempts=2)
def poison() -> None:
    """Kills its process each time."""
    deadly()


@DBOS.workflow()
def waiting(target: str) -> int:
    """Waits for the result of another workflow."""
    result: int = DBOS.retrieve_workflow(target, existing_workflow=False).get_result()
    return result


@DBOS.workflow(name="chaos.ping")
def ping(peer: str, count: int, burst: int) -> list[int]:
    """Sends numbers to its peer, a burst at once, and takes them back; says when a tenth of them was sent."""
    back: list[int] = []
    for first in range(0, count, burst):
        for number in range(first, first + burst):
            DBOS.send(peer, number, topic="ball")
        back += [DBOS.recv("ball", timeout_seconds=600) for _ in range(burst)]
        if first // burst == count // burst // 10:
            world.tell("under way", DBOS.workflow_id)
    return back


@DBOS.workflow(name="chaos.pong")
async def pong(peer: str, count: int) -> list[int]:
    """Sends back what it is sent."""
    seen: list[int] = []
    for _ in range(count):
        seen.append(await DBOS.recv_async("ball", timeout_seconds=600))
        await DBOS.send_async(peer, seen[-1], topic="ball")
    return seen


@DBOS.workflow(name="chaos.resting")
def resting(value: int) -> int:
    """Waits for a message between two steps."""
    value = plain(1, value)
    value += DBOS.recv("go on", timeout_seconds=600)
    return plain(2, value)


@DBOS.workflow(name="chaos.resting_async")
async def resting_async(value: int) -> int:
    value = await plain_async(1, value)
    value += await DBOS.recv_async("go on", timeout_seconds=600)
    return await plain_async(2, value)
