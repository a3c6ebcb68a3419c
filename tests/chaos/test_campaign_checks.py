"""The checker of the campaigns can see: it finds each violation that is planted, through the write-ahead log."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyengine import schema
from tests.chaos.campaign import wal, workload
from tests.chaos.campaign.archive import Archive
from tests.chaos.campaign.checks import CHECKS
from tests.chaos.campaign.journal import Journal
from tests.chaos.campaign.node import Node
from tests.chaos.campaign.stage import BUSINESS, admin
from tests.fix_server import server_directory

PROGRAMS = (workload,)

pytestmark = [pytest.mark.campaign, pytest.mark.chaos]

_RUN = (
    "update pyengine.workflows set status = 'PENDING', lease_token = gen_random_uuid(), executor_id = 1, "
    "attempt_count = attempt_count + 1 "
)
_STEP = (
    "insert into pyengine.steps (workflow_id, step_id, name, attempt, started_at, completed_at, serialization, output) "
    "values ('{0}', {1}, '{2}', {3}, now(), now(){4}, 'json', '\"v\"')"
)
_MAIL = (
    "insert into pyengine.messages (destination_id, topic, sender_id, sent_at, serialization, message) "
    "values ('runs', 't', 's', now(), 'json', '{}')"
)
_EXECUTOR = (
    "insert into pyengine.executors (name, application_name, application_version, version_is_pinned, functions, "
    "channel, lease_duration, started_at, heartbeat_at) "
    "values ('x', 'a', '1', false, '{}', 'c', '1 hour', now(), now())"
)
_EFFECT = "insert into led.effect values ('runs', 'plain 1', 'v', now(){0}, 1)"
_SEEN = "insert into led.seen values ('runs', 'plain 1', '{0}', now(), 1)"
_OP = "insert into led.op values ('{0}', '{1}', 'q', 'ok', '{2}', now(), now())"

# What a broken engine would do to its tables, and what workers and clients would then have noted.
PLANTED: dict[str, tuple[str, ...]] = {
    "I-0 the history is whole": ("", "delete from audit.history where (new).workflow_id = 'waits'"),
    "I-1 acknowledged work exists": ("", _OP.format("enqueue", "nobody", "x")),
    "I-2 first inputs win": ("", _OP.format("enqueue", "waits", "other")),
    "I-3 transactional steps exactly once": (
        _STEP.format("runs", 1, "transfer 1", 1, "")
        + "; insert into public.business values ('runs', 'transfer 1', 'v'), ('runs', 'transfer 1', 'v')",
    ),
    "I-3 a transactional step's value is the one it wrote": (
        _STEP.format("runs", 1, "transfer 1", 1, "")
        + "; insert into public.business values ('runs', 'transfer 1', 'w')",
    ),
    "I-4 a checkpointed step had its effect": (_STEP.format("runs", 1, "plain 1", 1, ""),),
    "I-4 no effect after the checkpoint": (
        _STEP.format("runs", 1, "plain 1", 1, ""),
        _EFFECT.format(" + interval '1 s'"),
    ),
    "I-5 checkpoints are immutable": (
        _STEP.format("runs", 1, "plain 1", 1, "") + "; update pyengine.steps set output = '\"w\"'",
    ),
    "I-6 replays see one value": ("", _SEEN.format("v") + ";" + _SEEN.format("w")),
    "I-6 what was seen is what is stored": (
        _STEP.format("runs", 1, "plain 1", 1, ""),
        _SEEN.format("w"),
    ),
    "I-7 every checkpoint belongs to the current run": (_STEP.format("runs", 1, "plain 1", 2, ""),),
    "I-8 attempts grow one by one": (
        "update pyengine.workflows set attempt_count = 3 where workflow_id = 'waits'",
    ),
    "I-8 no lease is used twice": (
        (
            "update pyengine.workflows set status = 'ENQUEUED', lease_token = null, start_token = lease_token "
            "where workflow_id = 'runs'; update pyengine.workflows set status = 'PENDING', lease_token = start_token, "
            "attempt_count = 2 where workflow_id = 'runs'"
        ),
    ),
    "I-9 a lease is ended only after its time": (
        _EXECUTOR
        + "; update pyengine.executors set finished_at = now(), finish_reason = 'lease expired'",
    ),
    "I-9 only a dead executor's work is taken": (
        (
            "update pyengine.workflows set status = 'DELAYED', delayed_until = now(), lease_token = null "
            "where workflow_id = 'runs'"
        ),
    ),
    "I-10 ends are final": (
        "update pyengine.workflows set output = '3' where workflow_id = 'ended'",
    ),
    "I-11 legal transitions only": (
        "update pyengine.workflows set status = 'SUCCESS', finished_at = now() where workflow_id = 'waits'",
    ),
    "I-12 nothing is stuck": ("",),
    "I-12 nothing fails that a fault only held up": (
        (
            "update pyengine.workflows set status = 'ERROR', error = '1', lease_token = null, finished_at = now() "
            "where workflow_id = 'runs'"
        ),
    ),
    "I-14 one result": ("", _OP.format("result", "ended", "2")),
    "I-16 dead letters at the limit": (
        (
            "update pyengine.workflows set status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', max_attempts = 5, "
            "finished_at = now() where workflow_id = 'waits'"
        ),
    ),
    "I-28 a message is received in one commit with its step": (
        _MAIL + "; delete from pyengine.messages",
    ),
    "I-29 mail comes in order": (
        f"{_MAIL}; {_MAIL}; delete from pyengine.messages where message_id = 2; delete from pyengine.messages",
    ),
    "I-30 a message is sent once": (f"{_MAIL}; {_MAIL}",),
    "I-32 streams are dense": (
        "insert into pyengine.streams values ('runs', 'k', 1, 1, false, 'json', '1')",
    ),
    "I-34 no sleep ends early": (
        _STEP.format("runs", 1, "DBOS.sleep", 1, " + interval '1 hour'")
        + ";"
        + _STEP.format("runs", 2, "next", 1, ""),
    ),
    "F-34 what goes in comes out": (
        "update pyengine.workflows set name = 'echo', output = '3' where workflow_id = 'ended'",
    ),
    "I-37 stored times are the server's": (
        "update pyengine.workflows set updated_at = now() + interval '1 hour' where workflow_id = 'waits'",
    ),
    "I-38 a cancel is decisive": ("", _OP.format("cancel", "waits", "")),
    "I-40 nothing is left of nothing": (_STEP.format("gone", 1, "plain 1", 1, ""),),
}


@pytest.fixture(scope="module")
def watched() -> Iterator[tuple[Node, Archive]]:
    """An audited engine, and the archive of another server."""
    directory = server_directory()
    node = Node(directory / "one", {"fsync": "off"}).create()
    keeper = Node(directory / "archive", {"fsync": "off"}).create()
    archive = Archive(keeper.url())
    with admin(node) as session:
        schema.migrate(session)
        session.execute(BUSINESS)
        wal.publish(session)
        wal.open_slot(session)
    yield node, archive
    archive.close()
    node.kill()
    keeper.kill()
    shutil.rmtree(directory)


@pytest.fixture
def archive(watched: tuple[Node, Archive]) -> Iterator[tuple[Archive, psycopg.Connection[Any]]]:
    """An empty archive, and a session on an audited engine with one workflow that waits, runs and has ended."""
    node, made = watched
    with admin(node) as session:
        schema.reset(session, truncate=True)
        session.execute("truncate public.business")
        session.execute(
            "select setval(pg_get_serial_sequence('pyengine.messages', 'message_id'), 1, false)"
        )
        made.take(session)
        made.forget()
        session.execute(
            "insert into pyengine.workflows (workflow_id, status, name, created_at, updated_at, serialization, inputs) "
            "select i, 'ENQUEUED', 'f', now(), now(), 'json', json_build_object('positionalArgs', array['in']) "
            "from unnest(array['waits', 'runs', 'ended']) i"
        )
        session.execute(_RUN + "where workflow_id <> 'waits'")
        session.execute(
            "update pyengine.workflows set status = 'SUCCESS', output = '1', lease_token = null, finished_at = now() "
            "where workflow_id = 'ended'"
        )
        yield made, session


def test_every_check_has_a_planted_violation() -> None:
    assert set(PLANTED) == set(CHECKS)


@pytest.mark.parametrize("check", list(PLANTED))
def test_each_check_finds_its_planted_violation(
    archive: tuple[Archive, psycopg.Connection[Any]], check: str
) -> None:
    made, session = archive
    broken, noted = (*PLANTED[check], "")[:2]

    for statement in filter(None, broken.split(";")):
        session.execute(statement.encode())
    made.take(session)
    for statement in filter(None, noted.split(";")):
        made.session.execute(statement.encode())

    assert check in check_all(made, session)


def check_all(archive: Archive, session: psycopg.Connection[Any]) -> list[str]:
    """The checks that find something now."""
    archive.take(session)
    archive.take_final(session)
    return list(archive.violations(CHECKS))


def test_of_a_sound_engine_only_its_unfinished_work_is_found(
    archive: tuple[Archive, psycopg.Connection[Any]],
) -> None:
    assert check_all(*archive) == ["I-12 nothing is stuck"]


def test_large_values_that_do_not_change_are_whole_in_the_history(
    archive: tuple[Archive, psycopg.Connection[Any]],
) -> None:
    made, session = archive
    session.execute(
        "update pyengine.workflows set inputs = to_json(array(select md5(i::text) from generate_series(1, 5000) i)) "
        "where workflow_id = 'waits'"
    )
    session.execute("update pyengine.workflows set priority = 1 where workflow_id = 'waits'")
    made.take(session)

    query = "select length((new).inputs::text) from audit.history order by n desc limit 1"
    assert made.count(query) > 100_000


def test_what_a_server_sends_again_is_taken_once(
    archive: tuple[Archive, psycopg.Connection[Any]], watched: tuple[Node, Archive]
) -> None:
    made, session = archive
    made.take(session)
    before = made.count("select count(*) from audit.history")

    watched[0].kill()
    watched[0].start()
    with admin(watched[0]) as again:
        made.take(again)

    assert made.count("select count(*) from audit.history") == before == 6


def test_a_journal_survives_its_writers(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    began = time.time()
    journal.note("effect", workflow_id="w", step="s", value="v")

    (line,) = journal.read()

    assert line["kind"] == "effect"
    assert line["value"] == "v"
    assert line["at"] >= began - 1
