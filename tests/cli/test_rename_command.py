"""pyengine rename-application."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run, Session


@pytest.fixture
def shop(sql: Session) -> Session:
    """Three workflows of `old`, one of `other`, one of no application."""
    for number, application in enumerate(("old", "old", "old", "other", None)):
        sql.execute(
            "select pyengine.start_workflow('f', workflow_id => %s, application_name => %s)",
            [f"w{number}", application],
        )
    return sql


def names(sql: Session) -> list[str | None]:
    query = "select application_name from pyengine.workflows order by workflow_id"
    return [name for (name,) in sql.execute(query)]


def test_it_asks_and_then_says_what_it_did(run: Run, shop: Session) -> None:
    refused = run("rename-application", "--from", "old", "--to", "New Shop")
    assert refused.status == 1
    assert "This gives what belongs to old to New Shop." in refused.err
    assert "nothing was renamed" in refused.err
    assert names(shop) == ["old", "old", "old", "other", None]

    done = run("rename-application", "-f", "old", "-t", "New Shop", "--batch-size", "2", "-y")

    assert done.out == "New Shop got: queues 0, schedules 0, versions 0, workflows 3, steps 0\n"
    assert names(shop) == ["New Shop"] * 3 + ["other", None]


def test_it_adopts_what_belongs_to_none(run: Run, shop: Session) -> None:
    done = run("rename-application", "--to", "new", "--adopt-unclaimed-rows", "-y", "--json")

    assert json.loads(done.out)["workflows"] == 1
    assert names(shop) == ["old", "old", "old", "other", "new"]


def test_it_needs_to_know_what_to_rename(run: Run, shop: Session) -> None:
    wrong = run("rename-application", "--to", "new", "-y")

    assert wrong.status == 2
    assert "Give --from, or --adopt-unclaimed-rows" in wrong.err
    assert run("rename-application", "-f", "old", "-t", "old", "-y").status == 1
