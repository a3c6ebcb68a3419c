"""Crashes and rebalances: no message is lost, none has its effect twice, and each partition stays in order."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pyengine import DBOS
from tests.kafka import worker
from tests.kafka.broker import Broker
from tests.workflows.support import PATIENCE_SECONDS, eventually

PROGRAMS = (worker,)

Launch = Callable[..., None]
Sql = psycopg.Connection[Any]
Start = Callable[..., "Worker"]


class Worker:
    """A process that takes messages, and what it said."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.kafka.worker", *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.strip())
                self._changed.notify_all()

    def says(self, word: str, timeout: float) -> bool:
        """Whether it has said something, or says it within the timeout."""

        def is_said() -> bool:
            return any(line.startswith(word) for line in self.lines)

        with self._changed:
            return self._changed.wait_for(is_said, timeout)

    def wait_for(self, word: str) -> None:
        """Until it has said something."""
        assert self.says(word, PATIENCE_SECONDS), self.lines

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def close(self) -> None:
        if self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self._end()

    def _end(self) -> None:
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def start(
    engine_url: str, kafka: Broker, topic_of_three: str, group: str
) -> Iterator[Callable[..., Worker]]:
    """Start a worker process."""
    workers: list[Worker] = []

    def begin(*fault: str) -> Worker:
        workers.append(Worker(engine_url, kafka.address, group, topic_of_three, *fault))
        workers[-1].wait_for("ready")
        return workers[-1]

    yield begin
    for each in workers:
        each.close()


@pytest.fixture
def effects(sql: Sql) -> Iterator[Callable[[], list[tuple[int, int, str]]]]:
    """Partition, offset and process of each effect, in the order in which they were committed."""
    sql.execute("drop table if exists kafka_effects")
    sql.execute(
        "create table kafka_effects (number serial, partition int, position int, process text)"
    )

    def read() -> list[tuple[int, int, str]]:
        rows = sql.execute(
            "select partition, position, process from kafka_effects order by number"
        ).fetchall()
        return [(partition, position, process) for partition, position, process in rows]

    yield read
    sql.execute("drop table kafka_effects")


def send(kafka: Broker, topic: str, count: int) -> None:
    """So many messages to each of the three partitions."""
    for number in range(count):
        for partition in range(3):
            kafka.send(topic, b"%d" % number, partition=partition)


def assert_each_once_and_in_order(effects: list[tuple[int, int, str]], count: int) -> None:
    for partition in range(3):
        assert [position for key, position, _ in effects if key == partition] == list(range(count))


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_process_that_is_killed_around_the_insert_loses_and_doubles_nothing(
    kafka: Broker,
    topic_of_three: str,
    group: str,
    start: Start,
    effects: Callable[[], list[tuple[int, int, str]]],
    sql: Sql,
    fault: str,
) -> None:
    send(kafka, topic_of_three, 20)
    first = start(fault)
    first.wait_for(fault)
    found = sql.execute("select count(*) from pyengine.workflows").fetchone()
    assert found is not None
    assert found[0] > 0

    def committed() -> int:
        return sum(kafka.committed(group, topic_of_three, 3).values())

    if fault == "before":
        eventually(lambda: committed() == found[0])
    else:
        assert committed() < found[0]
    first.kill()

    start()

    eventually(lambda: len(effects()) >= 60)
    assert_each_once_and_in_order(effects(), 20)
    eventually(lambda: kafka.committed(group, topic_of_three, 3) == {0: 20, 1: 20, 2: 20})


def test_partitions_that_move_between_two_processes_lose_and_double_nothing(
    kafka: Broker,
    topic_of_three: str,
    group: str,
    start: Start,
    effects: Callable[[], list[tuple[int, int, str]]],
) -> None:
    first = start()
    send(kafka, topic_of_three, 10)
    first.wait_for("stored")
    second = start()
    sent = 10
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not second.says("stored", 0.05):
        assert time.monotonic() < give_up, "the second process got no partition"
        send(kafka, topic_of_three, 2)
        sent += 2
    send(kafka, topic_of_three, 20)
    first.close()
    send(kafka, topic_of_three, 20)
    sent += 40

    eventually(lambda: len(effects()) >= 3 * sent)
    assert_each_once_and_in_order(effects(), sent)


@pytest.mark.chaos
@pytest.mark.slow
def test_processes_that_are_killed_again_and_again_lose_and_double_nothing(
    kafka: Broker,
    topic_of_three: str,
    group: str,
    start: Start,
    effects: Callable[[], list[tuple[int, int, str]]],
) -> None:
    stop = threading.Event()
    sent: list[int] = []

    def produce() -> None:
        while not stop.wait(0.05):
            send(kafka, topic_of_three, 1)
            sent.append(1)

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        for round_number in range(8):
            process = start()
            process.wait_for("stored")
            stop.wait(round_number * 0.07)
            process.kill()
    finally:
        stop.set()
        producer.join()
    start()

    eventually(lambda: len(effects()) >= 3 * sum(sent), 60)
    assert_each_once_and_in_order(effects(), sum(sent))


def test_a_broker_that_cannot_be_reached_holds_up_neither_launch_nor_destroy(
    kafka: Broker, topic: str, group: str, launch: Launch
) -> None:
    config = {**kafka.config(group), "bootstrap.servers": "127.0.0.1:1", "log_level": 0}
    DBOS.kafka_consumer(config, [topic])(worker.take)

    launch()
    assert DBOS.list_workflows() == []
    DBOS.destroy()
