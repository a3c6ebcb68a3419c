"""Who makes a wait come true tells those who wait, and tells them once it is committed."""

from __future__ import annotations

import psycopg
import pytest

from tests.races.actions import ACTIONS, attempt
from tests.races.world import World

pytestmark = pytest.mark.race

RESULT = ("result", "w", "")
WORK = ("work", "", "")
WORK_OF_Q = ("work", "q", "")


@pytest.mark.parametrize(
    ("name", "wait"),
    [
        ("enqueue", WORK_OF_Q),
        ("finish", RESULT),
        ("finish", WORK_OF_Q),
        ("finish the dead one", ("result", "z", "")),
        ("finish in a batch", RESULT),
        ("finish in a batch", WORK_OF_Q),
        ("cancel", RESULT),
        ("cancel", WORK_OF_Q),
        ("delete", RESULT),
        ("delete", WORK_OF_Q),
        ("resume", WORK),
        ("resume", WORK_OF_Q),
        ("release", WORK_OF_Q),
        ("continue", WORK_OF_Q),
        ("fork", WORK),
        ("rewind", WORK),
        ("reap", WORK),
        ("send", ("message", "w", "other")),
        ("set an event", ("event", "w", "key")),
        ("append", ("stream", "w", "stream")),
        ("pause a queue", WORK_OF_Q),
    ],
)
def test_whoever_waits_is_told(world: World, name: str, wait: tuple[str, str, str]) -> None:
    world.restore()
    key = world.look.execute("select pyengine.wait_key(%s, %s, %s)", wait).fetchall()[0][0]
    with psycopg.connect(world.url, autocommit=True) as listener:
        listener.execute("listen notices")
        world.look.execute("select pyengine._await_keys(array[%s], 'notices')", [key])
        first = world.sessions[0]
        first.execute("begin")
        attempt(ACTIONS[name], first)
        assert list(listener.notifies(timeout=0, stop_after=1)) == []
        first.execute("commit")

        told = [notice.payload for notice in listener.notifies(timeout=5, stop_after=1)]

    assert told == [str(key)]
