"""`SetShardKey` and `DBOS.alert_handler`: accepted, checked, and without effect on where workflows run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyengine import DBOS, Queue, SetShardKey, alerts, error

queue = Queue("sharded")


@pytest.fixture(autouse=True)
def _no_handler() -> Iterator[None]:
    alerts.forget()
    yield
    alerts.forget()


@DBOS.workflow()
def answer() -> int:
    return 42


@DBOS.workflow()
async def answer_async() -> int:
    return 42


def test_handles_of_a_block_have_its_key(dbos: type[DBOS]) -> None:
    with SetShardKey("north"):
        inside = DBOS.shard_key
        started = DBOS.start_workflow(answer)
        queued = queue.enqueue(answer)
    outside = DBOS.start_workflow(answer)

    assert (inside, DBOS.shard_key) == ("north", None)
    assert [each.shard_key for each in (started, queued, outside)] == ["north", "north", None]
    assert [each.get_result() for each in (started, queued, outside)] == [42, 42, 42]


def test_async_handles_have_it_too_and_an_argument_wins(dbos: type[DBOS]) -> None:
    async def main() -> tuple[str | None, str | None]:
        with SetShardKey("north"):
            handle = await DBOS.start_workflow_async(answer_async)
            other: Any = await DBOS.retrieve_workflow_async(handle.workflow_id, shard_key="south")
            await handle.get_result()
        return handle.shard_key, other.shard_key

    assert asyncio.run(main()) == ("north", "south")


@pytest.mark.parametrize("key", ["", "  ", None, 1])
def test_a_key_that_is_no_text_is_refused(key: Any) -> None:
    with pytest.raises(error.DBOSException, match="shard_key"):
        SetShardKey(key)


def test_one_alert_handler_is_taken_before_launch(launch: Callable[..., None]) -> None:
    @DBOS.alert_handler
    def handle(name: str, message: str, metadata: dict[str, str]) -> None: ...

    assert DBOS.alert_handler(handle) is handle
    with pytest.raises(error.DBOSException, match="only one"):
        DBOS.alert_handler(lambda name, message, metadata: None)
    launch()
    with pytest.raises(error.DBOSException, match=r"after DBOS\.launch"):
        DBOS.alert_handler(handle)
