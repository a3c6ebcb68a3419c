"""Each message of a topic starts one workflow, in the order that was asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, DBOSConfiguredInstance, KafkaMessage
from pyengine.kafka import consumer as consumer_module
from tests.kafka.broker import Broker
from tests.kafka.conftest import Received
from tests.workflows.support import eventually, stored

Launch = Callable[..., None]
Ids = Callable[[], list[str]]
Sql = psycopg.Connection[Any]


def test_a_message_starts_a_workflow_that_has_all_of_it(
    kafka: Broker, topic: str, group: str, launch: Launch, received: Received, ids: Ids
) -> None:
    @DBOS.kafka_consumer(kafka.config(group), [topic])
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        received.add(message)

    launch()
    kafka.send(
        topic, b"\x00\xff", key=b"key", headers=[("h", b"1"), ("h", None)], timestamp=1700000000000
    )

    (message,) = received.wait(1)
    assert message == KafkaMessage(
        headers=[("h", b"1"), ("h", None)],
        key=b"key",
        latency=None,
        leader_epoch=0,
        offset=0,
        partition=0,
        timestamp=(1, 1700000000000),
        topic=topic,
        value=b"\x00\xff",
    )
    assert ids() == [f"kafka-unique-id-{topic}-0-{group}-0"]


def test_messages_from_before_the_first_launch_are_taken_and_offsets_are_committed(
    kafka: Broker, topic: str, group: str, launch: Launch, received: Received
) -> None:
    kafka.send(topic, b"1", b"2")

    @DBOS.kafka_consumer(kafka.config(group), [topic])
    @DBOS.workflow()
    async def take(message: KafkaMessage) -> None:
        received.add(message)

    launch()
    assert sorted(received.values(2)) == [b"1", b"2"]
    eventually(lambda: kafka.committed(group, topic) == {0: 2})
    DBOS.destroy()
    kafka.send(topic, b"3")
    launch()

    assert sorted(received.values(3)) == [b"1", b"2", b"3"]


def test_what_is_taken_when_dbos_is_destroyed_is_committed(
    kafka: Broker, topic: str, group: str, launch: Launch, received: Received
) -> None:
    @DBOS.kafka_consumer(kafka.config(group, auto_commit_interval_ms=3600000), [topic])
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        received.add(message)

    launch()
    kafka.send(topic, b"1", b"2", b"3")
    received.wait(3)

    DBOS.destroy()

    assert kafka.committed(group, topic) == {0: 3}


def test_the_messages_of_a_batch_are_enqueued_in_one_transaction(
    kafka: Broker, topic: str, group: str, launch: Launch, received: Received, sql: Sql
) -> None:
    kafka.send(topic, *[b"%d" % number for number in range(100)])

    @DBOS.kafka_consumer(kafka.config(group), [topic], batch_size=30)
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        received.add(message)

    launch()
    received.wait(100)

    rows = sql.execute(
        "select count(*) from pyengine.workflows group by updated_at = created_at, date_trunc('second', created_at)"
    )
    assert sum(row[0] for row in rows) == 100
    sizes = sql.execute(
        """select count(*) from (
               select created_at - (row_number() over (order by created_at) || ' us')::interval as batch
               from pyengine.workflows) w
           group by batch"""
    ).fetchall()
    assert max(size for (size,) in sizes) <= 30
    assert len(sizes) < 20


def test_without_ordering_workflows_run_as_they_come(
    kafka: Broker, topic: str, group: str, launch: Launch, sql: Sql, ids: Ids
) -> None:
    meeting = threading.Barrier(3, timeout=20)

    @DBOS.kafka_consumer(kafka.config(group), [topic])
    @DBOS.workflow()
    def meet(message: KafkaMessage) -> int:
        return meeting.wait()

    launch()
    kafka.send(topic, b"1", b"2", b"3")

    eventually(lambda: len(ids()) == 3)
    assert sorted(DBOS.get_result(each) for each in ids()) == [0, 1, 2]
    assert stored(sql, ids()[0], "queue_name") == "_dbos_kafka_queue"


def test_a_queue_of_your_own_has_its_limits(
    kafka: Broker, topic: str, group: str, launch: Launch, received: Received, sql: Sql, ids: Ids
) -> None:
    running: list[int] = []

    @DBOS.kafka_consumer(kafka.config(group), [topic], queue_name="kafka-own", ordering="none")
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        running.append(1)
        assert len(running) == 1
        received.add(message)
        running.pop()

    launch()
    DBOS.register_queue("kafka-own", concurrency=1)
    kafka.send(topic, *[b"%d" % number for number in range(20)])

    assert received.values(20) == [b"%d" % number for number in range(20)]
    assert {stored(sql, each, "queue_name") for each in ids()} == {"kafka-own"}


@pytest.mark.parametrize("ordering", ["partition", "topic"])
def test_with_ordering_one_runs_after_the_other(
    kafka: Broker,
    topic_of_three: str,
    group: str,
    launch: Launch,
    received: Received,
    sql: Sql,
    ids: Ids,
    ordering: Any,
) -> None:
    running: set[object] = set()

    @DBOS.kafka_consumer(kafka.config(group), [topic_of_three], ordering=ordering, batch_size=7)
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        key = message.partition if ordering == "partition" else message.topic
        assert key not in running
        running.add(key)
        received.add(message)
        running.remove(key)

    launch()
    for number in range(30):
        kafka.send(topic_of_three, b"%d" % number, partition=number % 3)

    messages = received.wait(30)
    for partition in range(3):
        offsets = [each.offset for each in messages if each.partition == partition]
        assert offsets == list(range(10))
    for each in ids():
        assert DBOS.get_result(each) is None
        assert stored(sql, each, "queue_name") == "_dbos_kafka_ordered_queue"
    if ordering == "topic":
        order = [f"kafka-unique-id-{m.topic}-{m.partition}-{group}-{m.offset}" for m in messages]
        assert order == ids()


def test_a_regular_expression_takes_all_topics_that_match(
    kafka: Broker, topic: str, group: str, launch: Launch, received: Received
) -> None:
    first, second = kafka.create(f"{topic}.a"), kafka.create(f"{topic}.b")

    @DBOS.kafka_consumer(kafka.config(group), [rf"^{topic}\..*"])
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        received.add(message)

    launch()
    for each in (first, second, topic):
        kafka.send(each, each.encode())

    assert sorted(received.values(2)) == [first.encode(), second.encode()]


def test_two_consumers_with_groups_of_their_own_both_get_a_message(
    kafka: Broker, topic: str, group: str, launch: Launch, received: Received, ids: Ids
) -> None:
    @DBOS.kafka_consumer(kafka.config(f"{group}-a"), [topic])
    @DBOS.workflow()
    def one(message: KafkaMessage) -> None:
        received.add(message)

    @DBOS.kafka_consumer(kafka.config(f"{group}-b"), [topic])
    @DBOS.workflow()
    def other(message: KafkaMessage) -> None:
        received.add(message)

    launch()
    kafka.send(topic, b"1")

    assert received.values(2) == [b"1", b"1"]
    assert sorted(ids()) == [f"kafka-unique-id-{topic}-0-{group}-{end}-0" for end in "ab"]


def test_a_method_of_a_configured_instance_takes_messages(
    kafka: Broker, topic: str, group: str, launch: Launch, received: Received
) -> None:
    @DBOS.dbos_class()
    class Taker(DBOSConfiguredInstance):
        @DBOS.workflow()
        def take(self, message: KafkaMessage) -> str:
            received.add(message)
            return self.config_name

    taker = Taker(f"taker of {group}")
    DBOS.kafka_consumer(kafka.config(group), [topic])(taker.take)
    launch()
    kafka.send(topic, b"1")

    received.wait(1)
    assert DBOS.get_result(f"kafka-unique-id-{topic}-0-{group}-0") == f"taker of {group}"


def test_a_consumer_that_is_declared_after_the_launch_begins_at_once(
    kafka: Broker, topic: str, group: str, launch: Launch, received: Received
) -> None:
    launch()
    kafka.send(topic, b"1")

    @DBOS.kafka_consumer(kafka.config(group), [topic])
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        received.add(message)

    assert received.values(1) == [b"1"]


def test_without_a_group_one_is_made_that_a_restart_has_again(
    kafka: Broker,
    topic: str,
    launch: Launch,
    received: Received,
    ids: Ids,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = kafka.config("")
    del config["group.id"]

    @DBOS.kafka_consumer(config, [topic])
    @DBOS.workflow(name=f"take {topic}")
    def take(message: KafkaMessage) -> None:
        received.add(message)

    launch()
    kafka.send(topic, b"1")
    received.wait(1)
    launch()
    kafka.send(topic, b"2")

    received.wait(2)
    group = f"pyengine-test-app-take {topic}"
    assert ids() == [f"kafka-unique-id-{topic}-0-{group}-{offset}" for offset in (0, 1)]
    assert f"kafka consumer take {topic} has no group.id: it uses {group}" in caplog.text


def test_a_message_that_cannot_be_stored_is_dropped_and_the_others_are_not(
    kafka: Broker,
    topic: str,
    group: str,
    launch: Launch,
    received: Received,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kafka.send(topic, b"1", b"2")
    kafka.send(topic, b"x" * 900_000)  # as text it is larger than the largest payload
    kafka.send(topic, b"3")

    @DBOS.kafka_consumer(kafka.config(group), [topic])
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        received.add(message)

    launch()

    assert sorted(received.values(3)) == [b"1", b"2", b"3"]
    (record,) = [each for each in caplog.records if "drops message" in each.getMessage()]
    assert record.levelno == logging.ERROR
    assert f"kafka-unique-id-{topic}-0-{group}-2" in record.getMessage()
    assert "xxx" not in record.getMessage()
    eventually(lambda: kafka.committed(group, topic) == {0: 4})


class _Fussy:
    """A serializer that refuses some messages."""

    def serialize(self, data: Any) -> str:
        if "poison" in repr(data):
            raise TypeError("no")
        return "stored"

    def deserialize(self, serialized_data: str) -> Any:
        return {
            "args": (KafkaMessage(None, None, None, None, 0, 0, (0, 0), "t", b""),),
            "kwargs": {},
        }

    def name(self) -> str:
        return "fussy"


def test_a_message_that_the_serializer_refuses_is_dropped(
    kafka: Broker,
    topic: str,
    group: str,
    launch: Launch,
    ids: Ids,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kafka.send(topic, b"poison", b"good")

    @DBOS.kafka_consumer(kafka.config(group), [topic])
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        """Nothing."""

    launch(serializer=_Fussy())

    eventually(lambda: ids() == [f"kafka-unique-id-{topic}-0-{group}-1"])
    assert f"drops message {topic}-0 at offset 0" in caplog.text


def test_a_full_queue_makes_the_consumer_wait(
    kafka: Broker,
    topic: str,
    group: str,
    launch: Launch,
    received: Received,
    ids: Ids,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer_module, "_PAUSE_SECONDS", 0.05)

    @DBOS.kafka_consumer(kafka.config(group), [topic], queue_name="kafka-full")
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        received.add(message)

    launch()
    DBOS.register_queue("kafka-full", max_depth=2)
    DBOS.pause_queue("kafka-full")
    kafka.send(topic, *[b"%d" % number for number in range(7)])
    eventually(lambda: len(ids()) == 2)
    assert kafka.committed(group, topic).get(0, 0) <= 2
    DBOS.resume_queue("kafka-full")

    assert sorted(received.values(7)) == [b"%d" % number for number in range(7)]


def test_what_the_broker_says_again_starts_nothing_again(
    kafka: Broker,
    topic: str,
    group: str,
    launch: Launch,
    received: Received,
    ids: Ids,
    monkeypatch: pytest.MonkeyPatch,
    sql: Sql,
) -> None:
    @DBOS.kafka_consumer(kafka.config(group), [topic])
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        received.add(message)

    with monkeypatch.context() as patch:
        patch.setattr(consumer_module, "_store_offsets", lambda *_: None)
        launch()
        kafka.send(topic, b"1", b"2")
        received.wait(2)
        DBOS.destroy()
    assert kafka.committed(group, topic) == {}
    launch()
    eventually(lambda: kafka.committed(group, topic) == {0: 2})

    assert len(received.messages) == 2
    assert len(ids()) == 2


def test_when_storing_fails_the_consumer_begins_again_and_loses_nothing(
    kafka: Broker,
    topic: str,
    group: str,
    launch: Launch,
    received: Received,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = [RuntimeError("first"), RuntimeError("second")]
    whole = consumer_module._enqueue

    def failing(prepared: Any) -> Any:
        if failures:
            raise failures.pop(0)
        return whole(prepared)

    monkeypatch.setattr(consumer_module, "_enqueue", failing)
    monkeypatch.setattr(consumer_module, "_PAUSE_SECONDS", 0.01)

    @DBOS.kafka_consumer(kafka.config(group), [topic])
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        received.add(message)

    launch()
    kafka.send(topic, b"1")

    assert received.values(1) == [b"1"]
    assert (
        "begins again in 0.01 s, from the last committed offsets: RuntimeError: first"
        in caplog.text
    )


def test_a_process_that_listens_to_some_queues_runs_what_messages_start(
    kafka: Broker, topic: str, group: str, launch: Launch, received: Received, config: Any
) -> None:
    @DBOS.kafka_consumer(kafka.config(group), [topic])
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        received.add(message)

    DBOS(config=config)
    DBOS.listen_queues(["some-queue"])
    DBOS.launch()
    kafka.send(topic, b"1")

    received.wait(1)


def test_the_queues_of_kafka_are_not_among_the_users(
    kafka: Broker, topic: str, group: str, launch: Launch
) -> None:
    @DBOS.kafka_consumer(kafka.config(group), [topic])
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        """Nothing."""

    launch()

    assert DBOS.list_queues() == []


def test_without_consumers_there_are_no_queues_and_no_threads(launch: Launch, sql: Sql) -> None:
    launch()

    assert sql.execute("select count(*) from pyengine.queues").fetchone() == (0,)
    assert not any("kafka" in thread.name for thread in threading.enumerate())


def test_destroy_ends_the_threads_and_forgets_the_consumers_if_told_to(
    kafka: Broker, topic: str, group: str, launch: Launch
) -> None:
    @DBOS.kafka_consumer(kafka.config(group), [topic])
    @DBOS.workflow()
    def take(message: KafkaMessage) -> None:
        """Nothing."""

    launch()
    assert any("kafka consumer" in thread.name for thread in threading.enumerate())
    DBOS.destroy(destroy_registry=True)
    assert not any("kafka consumer" in thread.name for thread in threading.enumerate())
    launch()
    assert not any("kafka consumer" in thread.name for thread in threading.enumerate())
