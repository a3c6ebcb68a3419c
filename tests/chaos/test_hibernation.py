"""A process dies while a run of it is given up or taken up again, or the answer is lost: the workflow goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID
from tests.chaos.crash import EXIT_CODE, Crash
from tests.chaos.proxy import Proxy
from tests.chaos.rig import Rig
from tests.workflows.support import wait_until

Sql = psycopg.Connection[Any]

CONFIG = {"hibernate_after": 0}
RESULT = (2 * 3 + 1 + 5) * 3 + 2

effects: list[str] = []


def send(sql: Sql) -> None:
    """The message that the workflow waits for."""
    document = {"destination_id": "w", "topic": "go on", "message": 5, "serialization": "json"}
    text = "select 1 from pyengine.send_messages(messages => %s)"
    sql.execute(text, [json.dumps([document])])


@pytest.mark.parametrize("workflow", ["resting", "resting_async"])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_when_a_run_is_given_up_loses_nothing(
    rig: Rig, business: Sql, workflow: str, after: bool
) -> None:
    crash = Crash("hibernate_workflow", 1, after=after)
    first = rig.worker(crash=str(crash), config=CONFIG)
    first.send("start", "w", workflow, 2)
    assert first.exit_code() == EXIT_CODE

    second = rig.worker(config=CONFIG)
    send(business)
    second.send("result", "w")

    assert second.expect("result", "w") == ("result", "w", RESULT)
    assert rig.ledger.effects_of("w") == {"plain 1": 1, "plain 2": 1}
    attempts = business.execute("select attempt_count from pyengine.workflows").fetchall()
    assert attempts == [(1 if after else 2,)]


@pytest.mark.parametrize("workflow", ["resting", "resting_async"])
def test_a_kill_after_a_run_was_taken_up_again_loses_nothing(
    rig: Rig, business: Sql, workflow: str
) -> None:
    first = rig.worker(config=CONFIG)
    first.send("start", "w", workflow, 2)
    wait_until(business, "exists (select 1 from pyengine.hibernations)")
    first.kill()

    # It dies on the first statement of the resumed run, its lease just taken.
    second = rig.worker("second", crash="receive_message#1:before", config=CONFIG, ready=False)
    send(business)
    assert second.exit_code() == EXIT_CODE

    third = rig.worker("third", config=CONFIG)
    third.send("result", "w")
    assert third.expect("result", "w") == ("result", "w", RESULT)
    assert rig.ledger.effects_of("w") == {"plain 1": 1, "plain 2": 1}
    assert business.execute("select count(*) from pyengine.hibernations").fetchall() == [(0,)]


@DBOS.step(name="hibernation.note")
def note(text: str) -> None:
    effects.append(text)


@DBOS.workflow(name="hibernation.rest")
def rest() -> Any:
    note("before")
    message = DBOS.recv("go on", timeout_seconds=600)
    note("after")
    return message


@pytest.fixture
def proxy(engine_url: str) -> Iterator[Proxy]:
    """A proxy before the server."""
    with Proxy(engine_url) as made:
        yield made


@pytest.mark.parametrize("after", [False, True])
def test_a_lost_reply_to_who_gives_up_is_harmless(
    proxy: Proxy, launch: Callable[..., None], sql: Sql, after: bool
) -> None:
    launch(system_database_url=proxy.url, hibernate_after=0)
    effects.clear()
    cut = proxy.cut("hibernate_workflow", after=after)

    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(rest)
    wait_until(sql, "exists (select 1 from pyengine.hibernations)")
    assert cut.done.wait(20)
    send(sql)

    assert handle.get_result() == 5
    assert effects == ["before", "after"]
    assert sql.execute("select attempt_count from pyengine.workflows").fetchall() == [(1,)]
