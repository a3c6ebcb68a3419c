"""What `DBOS.kafka_consumer` refuses, when it is declared and when DBOS is launched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, KafkaMessage, Queue, WorkflowSerializationFormat
from pyengine.error import (
    DBOSException,
    DBOSInitializationError,
    DBOSWorkflowFunctionNotFoundError,
)
from pyengine.kafka import consumers

Launch = Callable[..., None]
CONFIG = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
declared_partitioned = Queue("declared-partitioned", partition_concurrency=2)

WITHOUT_CONFLUENT_KAFKA = """
import sys

sys.modules["confluent_kafka"] = None
from pyengine import DBOS, KafkaMessage
from pyengine.error import DBOSException

try:
    DBOS.kafka_consumer({}, ["topic"])
except DBOSException as error:
    print(error)

@DBOS.workflow()
def plain(message: KafkaMessage) -> bytes:
    return message.value

DBOS(config={"name": "test-app", "system_database_url": sys.argv[1], "log_level": "ERROR"})
DBOS.launch()
print(plain(KafkaMessage(None, None, None, None, 0, 0, (0, 0), "topic", b"value")))
DBOS.destroy()
"""


def declare(function: Any, *topics: str, group: str = "group", **options: Any) -> None:
    DBOS.kafka_consumer({**CONFIG, "group.id": group}, topics or ["topic"], **options)(function)


@DBOS.workflow()
def declared(message: KafkaMessage) -> None:
    """A workflow that can take messages."""


@DBOS.workflow()
def declared_other(message: KafkaMessage) -> None:
    """Another one."""


@DBOS.workflow()
def takes_two(message: KafkaMessage, other: int) -> None:
    """Not one that a message can start."""


@DBOS.workflow(serialization_type=WorkflowSerializationFormat.PORTABLE)
def portable(message: KafkaMessage) -> None:
    """Its arguments are stored as any language can read them."""


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"config": [("group.id", "g")]}, "config is a list: give a dictionary"),
        ({"topics": "topic"}, "topics must be a list of at least one topic"),
        ({"topics": []}, "topics must be a list of at least one topic"),
        ({"topics": ["topic", " "]}, "topics must be texts that are not blank"),
        ({"topics": [b"topic"]}, "topics must be texts that are not blank"),
        ({"ordering": "key"}, "ordering is 'key': use one of 'none', 'partition', 'topic'"),
        ({"batch_size": 0}, "batch_size is 0: use a number from 1 to 10000"),
        ({"batch_size": 10_001}, "batch_size is 10001: use"),
        ({"batch_size": True}, "batch_size is True: use"),
        ({"batch_size": 1.5}, "batch_size is 1.5: use"),
        ({"queue_name": "q", "ordering": "topic"}, "queue_name can't be given with ordering"),
        ({"queue_name": 5}, "queue_name is a int"),
    ],
)
def test_arguments_that_cannot_work_are_refused_at_once(
    options: dict[str, Any], problem: str
) -> None:
    given: dict[str, Any] = {"config": CONFIG, "topics": ["topic"], **options}

    with pytest.raises(DBOSException, match=problem):
        DBOS.kafka_consumer(**given)


def test_a_reserved_or_blank_queue_is_refused_at_once() -> None:
    for name in ("_dbos_kafka_queue", "_pyengine_x", " "):
        with pytest.raises(ValueError, match="queue"):
            DBOS.kafka_consumer(CONFIG, ["topic"], queue_name=name)


def test_a_function_that_is_no_workflow_is_refused_at_once() -> None:
    with pytest.raises(DBOSWorkflowFunctionNotFoundError, match=r"DBOS\.kafka_consumer was given"):
        DBOS.kafka_consumer(CONFIG, ["topic"])(lambda _message: None)


def test_the_decorated_function_is_still_the_workflow(launch: Launch) -> None:
    decorated = DBOS.kafka_consumer({**CONFIG, "group.id": "g"}, ["topic"])(declared)

    assert decorated is declared


@pytest.mark.parametrize(
    ("topics", "others"),
    [
        (["a", "b"], ["b", "c"]),
        (["^a.*"], ["abc"]),
        (["abc"], ["^a.*"]),
        (["^a.*"], ["^a.*"]),
    ],
)
def test_two_consumers_of_a_topic_in_one_group_are_refused(
    launch: Launch, topics: list[str], others: list[str]
) -> None:
    declare(declared, *topics)
    declare(declared_other, *others)

    with pytest.raises(
        DBOSInitializationError, match="declared_other share the group group and the topic"
    ):
        launch()


@pytest.mark.parametrize("others", [["c"], ["^b.*"], ["^("]])
def test_consumers_of_different_topics_may_share_a_group(launch: Launch, others: list[str]) -> None:
    declare(declared, "a", "^d")
    declare(declared_other, *others)

    launch()


def test_a_refused_launch_can_be_repeated_without_the_reason(launch: Launch) -> None:
    declare(takes_two)
    with pytest.raises(DBOSInitializationError, match="takes_two"):
        launch()
    consumers.clear()

    launch()
    assert DBOS.list_workflows() == []


@pytest.mark.parametrize(
    ("function", "options", "problem"),
    [
        (takes_two, {}, "takes_two: its workflow must take one argument, the KafkaMessage"),
        (portable, {}, "portable: its workflow has portable serialization"),
        (declared, {"group": "g" * 201}, "its group.id has more than 200 bytes"),
        (
            declared,
            {"queue_name": "declared-partitioned"},
            "queue declared-partitioned has partition limits",
        ),
    ],
)
def test_a_consumer_that_cannot_work_is_refused_at_launch(
    launch: Launch, function: Any, options: dict[str, Any], problem: str
) -> None:
    declare(function, **options)

    with pytest.raises(DBOSInitializationError, match=problem):
        launch()


def test_a_config_that_the_client_refuses_is_refused_at_launch(launch: Launch) -> None:
    DBOS.kafka_consumer({**CONFIG, "group.id": "g", "no.such.key": 1}, ["topic"])(declared)

    with pytest.raises(DBOSInitializationError, match=r"declared: its config is refused.*no\.such"):
        launch()


def test_a_consumer_that_is_declared_after_the_launch_is_checked_too(launch: Launch) -> None:
    launch()

    with pytest.raises(DBOSInitializationError, match="takes_two"):
        declare(takes_two)


def test_a_queue_that_is_not_registered_is_warned_of(
    launch: Launch, caplog: pytest.LogCaptureFixture
) -> None:
    declare(declared, queue_name="not-yet")

    launch()

    assert "queue not-yet is not registered" in caplog.text


def test_without_confluent_kafka_only_consumers_are_refused(engine_url: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_CONFLUENT_KAFKA, engine_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    refusal, result = ran.stdout.splitlines()
    assert "pip install 'pyengine[kafka]'" in refusal
    assert result == "b'value'"
    assert ran.stderr == ""


def test_the_queues_are_made_once_and_keep_what_was_changed(sql: psycopg.Connection[Any]) -> None:
    sql.execute("select pyengine.register_kafka_queues()")
    sql.execute("update pyengine.queues set concurrency = 5 where queue_name = '_dbos_kafka_queue'")
    sql.execute("select pyengine.register_kafka_queues()")

    rows = sql.execute(
        """select queue_name, application_name, concurrency, partition_concurrency from pyengine.queues
           order by queue_name"""
    ).fetchall()
    assert rows == [
        ("_dbos_kafka_ordered_queue", None, None, 1),
        ("_dbos_kafka_queue", None, 5, None),
    ]
