"""DebouncerClient: debouncing from a program that runs no workflows, with the role client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyengine import DBOS, DBOSClient, Debouncer, DebouncerClient, EnqueueOptions, Queue
from pyengine.error import DBOSException, DBOSQueueDeduplicatedError
from tests.client.test_client import client, client_url

__all__ = ["client", "client_url"]

work = Queue("debounced-work")
OPTIONS: EnqueueOptions = {"workflow_name": "keep", "queue_name": "debounced-work"}


@DBOS.workflow()
def keep(value: str) -> str:
    return value


def test_calls_of_clients_and_of_the_application_are_one_workflow(client: DBOSClient) -> None:
    debouncer = DebouncerClient(client, {**OPTIONS, "application_name": "test-app"})

    first = debouncer.debounce("k", 300, "client")
    second = Debouncer.create(keep, queue=work).debounce("k", 300, "application")
    third = asyncio.run(debounced_async(debouncer))

    assert first.workflow_id == second.workflow_id == third
    DBOS.set_workflow_delay(third, delay_seconds=0)
    assert first.get_result() == "last"


async def debounced_async(debouncer: DebouncerClient) -> str:
    return (await debouncer.debounce_async("k", 300, "last")).workflow_id


def test_the_timeout_and_the_queue_of_the_debouncer_count(client: DBOSClient) -> None:
    options: EnqueueOptions = {"workflow_name": "keep", "queue_name": "elsewhere"}
    debouncer = DebouncerClient(client, options, debounce_timeout_sec=0.05, queue=work)

    assert debouncer.debounce("timeout", 300, "a").get_result() == "a"


@pytest.mark.parametrize(
    "option",
    [
        {"deduplication_id": "d"},
        {"delay_seconds": 1},
        {"priority": 1},
        {"queue_partition_key": "p"},
        {"duplication_policy": "return-existing"},
        {"workflow_id_reuse_policy": "reject"},
    ],
)
def test_options_that_contradict_a_debouncer_are_refused(
    client: DBOSClient, option: dict[str, Any]
) -> None:
    with pytest.raises(DBOSException, match="debouncer"):
        DebouncerClient(client, {**OPTIONS, **option})  # type: ignore[typeddict-item]


def test_a_key_that_a_plain_enqueue_holds_is_refused(client: DBOSClient) -> None:
    client.enqueue({**OPTIONS, "deduplication_id": "keep-held", "delay_seconds": 300}, "plain")

    with pytest.raises(DBOSQueueDeduplicatedError):
        DebouncerClient(client, OPTIONS).debounce("held", 1, "a")
