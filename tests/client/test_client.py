"""A client does what the application's own process does from outside, with the role client and nothing more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import sqlalchemy as sa
import sqlalchemy.orm

from pyengine import DBOS, DBOSClient, EnqueueOptions, Queue, SendMessage, SetWorkflowID
from pyengine.error import (
    DBOSException,
    DBOSInitializationError,
    DBOSNonExistentWorkflowError,
    DBOSQueueDeduplicatedError,
)
from tests.fix_roles import Connection, Login

work = Queue("client-work")


@DBOS.workflow()
def double(number: int) -> int:
    return 2 * number


@DBOS.workflow()
def converse(key: str) -> Any:
    DBOS.set_event(key, "asked")
    answer = DBOS.recv("answers", 20)
    DBOS.write_stream("said", answer)
    DBOS.close_stream("said")
    return answer


@DBOS.workflow()
def never() -> None:
    DBOS.recv("nothing", 60)


@DBOS.workflow()
async def uses_client(url: str, workflow_id: str) -> list[Any]:
    async with DBOSClient(system_database_url=url) as client:
        handle = await client.enqueue_async(to("double", workflow_id=workflow_id), 4)
        result = await handle.get_result()
        with pytest.raises(DBOSNonExistentWorkflowError):
            await client.send_async("nobody-here", 1)
    return [result, len(await DBOS.list_workflow_steps_async(DBOS.workflow_id or ""))]


def to(name: str, **options: Any) -> EnqueueOptions:
    return {"workflow_name": name, "queue_name": "client-work", **options}  # type: ignore[typeddict-item]


@pytest.fixture
def client_url(engine_url: str, login: Login) -> str:
    """The URL of a login that has the role client."""
    parts = urlsplit(engine_url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{login('client')}:secret@{place}"))


@pytest.fixture
def client(dbos: type[DBOS], client_url: str) -> Iterator[DBOSClient]:
    """A client beside a launched application."""
    with DBOSClient(system_database_url=client_url) as opened:
        yield opened


def test_it_enqueues_by_name_and_waits(client: DBOSClient) -> None:
    handle = client.enqueue(to("double", workflow_id="one"), 21)

    assert (handle.workflow_id, handle.get_result()) == ("one", 42)
    assert handle.get_status().status == "SUCCESS"
    assert client.retrieve_workflow("one").get_result() == 42
    assert client.get_result("one") == 42


def test_any_version_may_run_what_a_client_enqueues(client: DBOSClient, sql: Connection) -> None:
    client.enqueue(to("double", workflow_id="any"), 1)
    client.enqueue(to("double", workflow_id="pinned", app_version="7"), 1)
    client.enqueue(to("double", workflow_id="theirs", application_name="others"), 1)

    query = "select workflow_id, application_name, application_version, version_is_pinned from pyengine.workflows"
    assert sorted(sql.execute(query.encode()).fetchall()) == [
        ("any", None, None, False),
        ("pinned", None, "7", True),
        ("theirs", "others", None, False),
    ]


def test_the_applications_own_enqueue_by_name_can_name_another(
    dbos: type[DBOS], sql: Connection
) -> None:
    DBOS.enqueue_workflow_with_options(to("double", workflow_id="x", application_name="others"), 1)

    assert sql.execute("select application_name from pyengine.workflows").fetchall() == [
        ("others",)
    ]


def test_a_wait_is_woken_and_not_polled_for(client: DBOSClient) -> None:
    handle = client.enqueue(to("converse"), "question")
    assert client.get_event(handle.workflow_id, "question") == "asked"
    client.get_event(handle.workflow_id, "warm-up", 1.2)  # until it looks once a second only
    ended: list[float] = []

    def wait() -> None:
        handle.get_result()
        ended.append(time.monotonic())

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(1.3)
    client.send(handle.workflow_id, "answer", "answers", "key")
    waiter.join()
    client.send(handle.workflow_id, "answer", "answers", "key")

    finished = client.list_workflows(workflow_ids=[handle.workflow_id])[0].completed_at
    assert finished is not None
    assert time.time() - (time.monotonic() - ended[0]) - finished / 1000 < 0.4


def test_messages_events_and_streams(client: DBOSClient) -> None:
    first, second = client.enqueue(to("converse"), "a"), client.enqueue(to("converse"), "b")

    client.send_bulk([SendMessage(each.workflow_id, 7, "answers") for each in (first, second)])

    assert list(client.read_stream(first.workflow_id, "said")) == [7]
    assert client.read_stream_offset(second.workflow_id, "said", 0) == 7
    assert client.get_all_events(first.workflow_id) == {"a": "asked"}
    assert client.wait_first([first]) is first


def test_the_async_twins_do_the_same(client: DBOSClient) -> None:
    async def converse_async() -> list[Any]:
        handle = await client.enqueue_async(to("converse"), "a")
        await client.send_async(handle.workflow_id, 7, "answers")
        values = [value async for value in client.read_stream_async(handle.workflow_id, "said")]
        listed = await client.list_workflows_async(name="converse")
        steps = await client.list_workflow_steps_async(handle.workflow_id)
        return [
            await handle.get_result(),
            values,
            await client.get_event_async(handle.workflow_id, "a"),
            [each.workflow_id for each in listed] == [handle.workflow_id],
            len(steps) > 0,
            (await (await client.retrieve_workflow_async(handle.workflow_id)).get_status()).status,
        ]

    assert asyncio.run(converse_async()) == [7, [7], "asked", True, True, "SUCCESS"]


def test_it_cancels_resumes_and_delays(client: DBOSClient) -> None:
    handle = client.enqueue(to("never"))
    client.cancel_workflow(handle.workflow_id)
    assert handle.get_status().status == "CANCELLED"

    delayed = client.enqueue(to("double", delay_seconds=600), 5)
    client.set_workflow_delay(delayed.workflow_id, delay_seconds=0)
    assert delayed.get_result() == 10
    client.cancel_workflow("no such workflow")
    with pytest.raises(DBOSNonExistentWorkflowError):
        client.resume_workflow("no such workflow")


def test_it_forks_rewinds_and_deletes(client: DBOSClient) -> None:
    first = client.enqueue(to("converse"), "a").workflow_id
    client.send(first, 1, "answers")
    client.get_result(first)

    copy = client.fork_workflow(first, 1)
    client.send(copy.workflow_id, 2, "answers")
    client.update_workflow_attributes(copy.workflow_id, {"kind": "copy"})
    client.delete_workflow(first)

    assert copy.get_result() == 2
    assert [each.workflow_id for each in client.list_workflows(attributes={"kind": "copy"})] == [
        copy.workflow_id
    ]
    assert client.list_workflows(workflow_id=first) == []


def test_it_knows_the_versions(client: DBOSClient) -> None:
    latest = client.get_latest_application_version()

    assert latest["version_name"] == DBOS.application_version
    assert latest in client.list_application_versions()


def test_it_tells_why_a_workflow_does_not_run(client: DBOSClient) -> None:
    waiting = client.enqueue(to("double", delay_seconds=600), 1)

    explanation = client.explain_workflow(waiting.workflow_id)
    assert explanation.status == "DELAYED"
    assert explanation.summary
    assert asyncio.run(client.get_metrics_async())


def test_it_configures_queues_and_enqueues_no_functions_on_them(client: DBOSClient) -> None:
    queue = client.register_queue("from-outside", concurrency=3)
    queue.set_concurrency(4)

    async def change() -> None:
        await queue.set_worker_concurrency_async(2)

    asyncio.run(change())

    found = client.retrieve_queue("from-outside")
    assert found is not None
    assert (found.concurrency, found.worker_concurrency) == (4, 2)
    assert "from-outside" in [each.name for each in client.list_queues()]
    with pytest.raises(DBOSException, match=r"use DBOSClient\.enqueue with the workflow's name"):
        queue.enqueue(double, 1)
    with pytest.raises(ValueError, match="a client has no version"):
        client.register_queue("from-outside", on_conflict="update_if_latest_version")
    client.delete_queue("from-outside")
    assert client.retrieve_queue("from-outside") is None


def test_refusals_are_the_applications(client: DBOSClient) -> None:
    client.pause_queue("client-work")
    client.enqueue(to("double", deduplication_id="d"), 1)
    with pytest.raises(DBOSQueueDeduplicatedError):
        client.enqueue(to("double", deduplication_id="d"), 1)
    with pytest.raises(DBOSException, match="unknown enqueue options"):
        client.enqueue(to("double", colour="blue"), 1)
    with pytest.raises(DBOSNonExistentWorkflowError):
        client.send("nobody-here", 1)
    with pytest.raises(DBOSNonExistentWorkflowError):
        client.retrieve_workflow("nobody-here").get_status()


def test_surrounding_blocks_do_not_reach_a_client(client: DBOSClient) -> None:
    with SetWorkflowID("mine"):
        assert client.enqueue(to("double"), 1).workflow_id != "mine"
        with SetWorkflowID("yours"):
            assert DBOS.start_workflow(double, 1).workflow_id == "yours"


def test_nothing_that_a_client_does_is_a_step(dbos: type[DBOS], client_url: str) -> None:
    assert asyncio.run(uses_client(client_url, "from-within")) == [8, 0]
    assert DBOS.list_workflows(workflow_id="from-within")[0].parent_workflow_id is None


@pytest.mark.parametrize("kind", ["psycopg", "session", "connection"])
def test_an_enqueue_and_a_message_commit_with_the_callers_transaction(
    client: DBOSClient, client_url: str, kind: str
) -> None:
    receiver = client.enqueue(to("converse", workflow_id=f"receiver-{kind}"), "a").workflow_id
    engine = sa.create_engine(client_url.replace("postgresql://", "postgresql+psycopg://", 1))
    transaction: Any = {
        "psycopg": lambda: psycopg.connect(client_url),
        "session": lambda: sa.orm.Session(engine),
        "connection": engine.connect,
    }[kind]()
    with transaction:
        client.enqueue_in_transaction(transaction, to("double", workflow_id="lost"), 1)
        client.send_in_transaction(transaction, receiver, "lost", "answers")
        transaction.rollback()
        client.enqueue_in_transaction(transaction, to("double", workflow_id="kept"), 2)
        client.send_bulk_in_transaction(transaction, [SendMessage(receiver, "kept", "answers")])
        assert client.list_workflows(workflow_ids=["kept", "lost"]) == []
        transaction.commit()
    engine.dispose()

    assert client.get_result("kept") == 4
    assert client.get_result(receiver) == "kept"
    assert client.list_workflows(workflow_id="lost") == []


def test_a_message_to_nobody_is_refused_in_a_transaction_too(
    client: DBOSClient, client_url: str
) -> None:
    with psycopg.connect(client_url) as connection, pytest.raises(DBOSNonExistentWorkflowError):
        client.send_in_transaction(connection, "nobody-here", 1)


def test_a_lazy_client_connects_at_its_first_call() -> None:
    client = DBOSClient(
        system_database_url="postgresql://nobody@127.0.0.1:1/nothing",
        lazy=True,
        retry_connection_errors=False,
    )
    with client, pytest.raises(psycopg.OperationalError):
        client.list_workflows()
    with (
        DBOSClient(system_database_url="postgresql://nobody@127.0.0.1:1/nothing", lazy=True) as it,
        pytest.raises(DBOSInitializationError, match="can't be reached"),
    ):
        it.check_connection()


def test_an_unreachable_database_is_an_error_at_once_that_shows_no_password() -> None:
    with pytest.raises(DBOSInitializationError) as failed:
        DBOSClient(system_database_url="postgresql://u:hunter2secret@127.0.0.1:1/nothing")
    assert "hunter2secret" not in str(failed.value)


def test_a_database_without_the_engine_is_an_error_that_says_what_to_do(engine_url: str) -> None:
    with (
        DBOSClient(system_database_url=engine_url, dbos_system_schema="nowhere") as client,
        pytest.raises(
            DBOSInitializationError, match=r'"nowhere" does not exist.*`pyengine migrate`'
        ),
    ):
        client.enqueue(to("double"), 1)


def waiting_threads() -> int:
    names = ("pyengine-waits", "pyengine-listener")
    return sum(thread.name in names for thread in threading.enumerate())


def test_a_client_that_only_enqueues_starts_no_thread(client_url: str, dbos: type[DBOS]) -> None:
    before = waiting_threads()
    with DBOSClient(system_database_url=client_url) as client:
        handle = client.enqueue(to("double"), 1)
        assert waiting_threads() == before
        handle.get_result()
        assert waiting_threads() == before + 2


def test_a_closed_client_says_so(client_url: str, dbos: type[DBOS]) -> None:
    client = DBOSClient(system_database_url=client_url)
    client.close()
    client.close()
    with pytest.raises(
        DBOSException, match=r"shut down \(by DBOS.destroy\(\) or DBOSClient.close\(\)\)"
    ):
        client.list_workflows()


def test_closing_ends_a_wait(client_url: str, dbos: type[DBOS]) -> None:
    client = DBOSClient(system_database_url=client_url)
    handle = client.enqueue(to("never"))
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            handle.get_result()
        except DBOSException as error:
            failures.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    while not client.list_workflows(workflow_id=handle.workflow_id, status="PENDING"):
        time.sleep(0.01)
    client.close()
    waiter.join(10)

    assert len(failures) == 1


def test_without_listen_it_looks_again(client_url: str, dbos: type[DBOS]) -> None:
    with DBOSClient(system_database_url=client_url, use_listen_notify=False) as client:
        assert client.enqueue(to("double"), 3).get_result() == 6
