"""Export and import: a workflow in another engine is the same workflow, and does nothing by itself."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowAttributes, SetWorkflowID
from pyengine.error import DBOSConflictError, DBOSException, DBOSNonExistentWorkflowError
from tests.management.support import counts

Session = psycopg.Connection[Any]

WHOLE = b"""
select (select to_jsonb(o) - 'lease_token' - 'executor_id' - 'start_token' from pyengine.workflows o
        where o.workflow_id = 'w'),
    (select json_agg(s order by s.step_id)::text from pyengine.steps s),
    (select json_agg(e order by e.key)::text from pyengine.events e),
    (select json_agg(h order by h.key, h.step_id)::text from pyengine.event_history h),
    (select json_agg(x order by x.key, x.position)::text from pyengine.streams x),
    (select json_agg(json_build_array(m.topic, m.message, m.idempotency_key))::text from pyengine.messages m),
    (select json_agg(k)::text from pyengine.message_keys k)
"""


@DBOS.workflow()
def exported(text: str) -> Any:
    DBOS.set_event("e", {"b": 1, "a": text})
    DBOS.write_stream("s", text)
    leaf()
    return DBOS.run_step({"name": "step"}, lambda: {"z": 1.50, "a": [text, None]})


@DBOS.workflow()
def leaf() -> int:
    return 1


@DBOS.workflow()
def waits() -> Any:
    return DBOS.recv("mail", timeout_seconds=600)


def run() -> None:
    with SetWorkflowID("w"), SetWorkflowAttributes({"tenant": "a"}):
        exported('quote " newline \n nul \x00 snowman \u2603')
    DBOS.send("w", "unread", "topic", idempotency_key="k")


def test_what_comes_back_is_what_was_there(dbos: type[DBOS], sql: Session) -> None:
    run()
    before = sql.execute(WHOLE).fetchall()
    document = DBOS.export_workflow("w", with_children=True)
    DBOS.delete_workflow("w", delete_children=True)
    assert set(counts(sql).values()) == {0}

    assert DBOS.import_workflow(document) == ["w", "w-3"]

    assert sql.execute(WHOLE).fetchall() == before
    result = DBOS.get_result("w")
    assert result["a"] == ['quote " newline \n nul \x00 snowman \u2603', None]
    assert DBOS.fork_workflow("w", 3).get_result() == result


def test_children_come_only_if_they_are_asked_for(dbos: type[DBOS]) -> None:
    run()

    document = json.loads(DBOS.export_workflow("w"))

    assert [each["workflow"]["workflow_id"] for each in document["workflows"]] == ["w"]


@pytest.mark.parametrize(("is_active", "status"), [(False, "CANCELLED"), (True, "ENQUEUED")])
def test_what_had_not_ended_runs_only_if_it_is_asked_for(
    dbos: type[DBOS], sql: Session, is_active: bool, status: str
) -> None:
    with SetWorkflowID("w"):
        DBOS.start_workflow(waits)
    document = DBOS.export_workflow("w").replace('"test-app"', '"another-app"')
    DBOS.delete_workflow("w")

    DBOS.import_workflow(document, is_active=is_active)

    query = "select status, lease_token, executor_id from pyengine.workflows"
    assert sql.execute(query).fetchall() == [(status, None, None)]
    assert DBOS.verify(deep=True) == []


def test_an_imported_workflow_is_resumed_where_it_stood(dbos: type[DBOS]) -> None:
    with SetWorkflowID("w"):
        DBOS.start_workflow(waits)
    document = DBOS.export_workflow("w")
    DBOS.delete_workflow("w")
    DBOS.import_workflow(document)

    handle = DBOS.resume_workflow("w")
    DBOS.send("w", "hello", "mail")

    assert handle.get_result() == "hello"


def test_all_or_none_are_imported(dbos: type[DBOS], sql: Session) -> None:
    run()
    document = DBOS.export_workflow("w", with_children=True)
    DBOS.delete_workflow("w")

    with pytest.raises(DBOSConflictError, match="workflow w-3 exists: nothing was imported"):
        DBOS.import_workflow(document)

    assert [status.workflow_id for status in DBOS.list_workflows()] == ["w-3"]


@pytest.mark.parametrize("document", ["{}", "[]", '{"format": "other"}', "no json"])
def test_what_is_no_export_is_refused(dbos: type[DBOS], document: str) -> None:
    with pytest.raises(DBOSException, match="document"):
        DBOS.import_workflow(document)


def test_what_does_not_exist_is_not_exported(dbos: type[DBOS]) -> None:
    with pytest.raises(DBOSNonExistentWorkflowError):
        asyncio.run(DBOS.export_workflow_async("nobody"))


@pytest.mark.parametrize("is_active", [False, True])
def test_a_document_that_is_imported_again_changes_nothing(
    dbos: type[DBOS], sql: Session, is_active: bool
) -> None:
    """As after a lost reply. What is active goes on meanwhile, and records its step."""
    with SetWorkflowID("w"):
        DBOS.start_workflow(waits)
    document = DBOS.export_workflow("w")
    DBOS.delete_workflow("w")
    assert DBOS.import_workflow(document, is_active=is_active) == ["w"]
    before = sql.execute(
        b"select (select count(*) from pyengine.steps), created_at from pyengine.workflows"
    ).fetchall()

    assert DBOS.import_workflow(document, is_active=is_active) == ["w"]

    rows = sql.execute(
        b"select (select count(*) from pyengine.steps), created_at from pyengine.workflows"
    ).fetchall()
    assert rows[0][1:] == before[0][1:]
    assert is_active or rows == before
    with pytest.raises(DBOSConflictError, match="workflow w exists: nothing was imported"):
        DBOS.import_workflow(document, is_active=not is_active)
