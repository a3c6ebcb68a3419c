"""A process that is forked after the launch has none of its parent's threads, and shares the parent's sockets."""

from __future__ import annotations

import asyncio
import os
import threading
import traceback
from collections.abc import Callable

import pytest

from pyengine import DBOS, DBOSClient
from pyengine.errors import DBOSException
from tests.workflows.support import launched

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def in_a_fork(function: Callable[[], object]) -> None:
    """Call a function in a forked process; what it raises fails the test."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        problem = ""
        try:
            function()
        except BaseException:
            problem = traceback.format_exc()
        os.write(writing, problem.encode()[-60_000:])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        problem = answers.read()
    os.waitpid(child, 0)
    assert not problem, problem


@DBOS.step()
def one_more(number: int) -> int:
    return number + 1


@DBOS.workflow()
def count_to(number: int) -> int:
    reached = 0
    for _ in range(number):
        reached = one_more(reached)
    return reached


def test_a_forked_process_is_told_to_launch_and_leaves_its_parent_alone(engine_url: str) -> None:
    with launched(engine_url):
        handle = DBOS.start_workflow(count_to, 3)

        def refused() -> None:
            for call in (
                lambda: count_to(1),
                lambda: asyncio.run(DBOS.list_workflows_async()),
                handle.get_result,
            ):
                with pytest.raises(DBOSException, match=r"was forked .* Call DBOS.launch"):
                    call()
            DBOS.destroy()

        in_a_fork(refused)
        assert handle.get_result() == 3
        assert count_to(2) == 2


def test_a_forked_process_may_launch_while_its_parent_is_busy(engine_url: str) -> None:
    with launched(engine_url):
        outcomes: list[int] = []
        busy = [
            threading.Thread(target=lambda: outcomes.extend(count_to(5) for _ in range(20)))
            for _ in range(4)
        ]
        for thread in busy:
            thread.start()

        def works() -> None:
            DBOS.launch()
            assert count_to(4) == 4
            assert DBOS.start_workflow(count_to, 2).get_result() == 2
            DBOS.destroy()

        for _ in range(3):
            in_a_fork(works)
        for thread in busy:
            thread.join()
        assert outcomes == [5] * 80


def test_a_client_does_not_follow_into_a_forked_process(engine_url: str) -> None:
    with DBOSClient(system_database_url=engine_url) as client:

        def refused() -> None:
            with pytest.raises(DBOSException, match="make a DBOSClient, after the fork"):
                client.list_workflows(workflow_ids="none")
            client.close()
            with DBOSClient(system_database_url=engine_url) as another:
                assert another.list_workflows(workflow_ids="none") == []

        in_a_fork(refused)
        assert client.list_workflows(workflow_ids="none") == []
