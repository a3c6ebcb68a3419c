"""pyengine prune and pyengine retention."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Run, Session


@pytest.fixture
def old_ones(sql: Session) -> Session:
    """Ten that succeeded, 0 to 9 days ago; one that waits since 20 days."""
    sql.execute(
        "insert into pyengine.workflows"
        " (workflow_id, status, name, application_name, created_at, updated_at, finished_at, serialization, inputs)"
        " select 'w' || i, 'SUCCESS', 'f', 'app', t, t, t, 'json', '[]'::json from generate_series(0, 9) i"
        " cross join lateral (select pyengine.now() - i * interval '1 day' as t) x"
        " union all select 'waits', 'ENQUEUED', 'f', 'app', now() - interval '20 days', now(), null, 'json', '[]'"
    )
    return sql


def ids(sql: Session) -> set[Any]:
    return {name for (name,) in sql.execute("select workflow_id from pyengine.workflows")}


def test_prune_deletes_what_ended_long_ago(run: Run, old_ones: Session) -> None:
    done = run("prune", "--older-than", "7 days 12 hours", "-y")

    assert done.out == "deleted 2 of 2\n"
    assert ids(old_ones) == {"waits", *(f"w{n}" for n in range(8))}


def test_prune_asks_and_takes_further_options(run: Run, old_ones: Session) -> None:
    refused = run("prune", "--older-than", "1d", "-S", "SUCCESS", "-n", "f")
    assert refused.status == 1
    assert "with status SUCCESS and name f and an end more than 1d ago (9 SUCCESS)" in refused.err
    assert run("prune", "--older-than", "1d", "-S", "ERROR", "-y").status == 0
    assert len(ids(old_ones)) == 11
    assert run("prune", "-y").status == 2
    assert run("prune", "--older-than", "a while", "-y").status == 2


def test_a_policy_is_set_listed_and_removed(run: Run, sql: Session) -> None:
    assert run("retention", "list").err == "no policies: everything is kept for ever\n"
    refused = run("retention", "set", "app", "--age", "30d")
    assert refused.status == 1
    assert "success_age 30d 0h" in refused.err
    assert run("retention", "set", "app", "-y").status == 2
    assert run("retention", "set", "app", "--age", "soon", "-y").status == 2

    done = run(
        "retention", "set", "app", "--age", "30d", "--error-age", "12w", "--keep-newest", "5", "-y"
    )
    assert done.out == "the policy of app is set\n"
    (policy,) = run("retention", "list", "--json").json
    assert policy["success_age"] == 30 * 86400
    assert policy["error_age"] == 84 * 86400
    assert policy["keep_newest"] == 5
    assert run("retention", "list").out.splitlines()[1].split() == [
        "app", "30d", "0h", "84d", "0h", "30d", "0h", "30d", "0h", "5",
    ]  # fmt: skip

    assert run("retention", "remove", "app").status == 0
    assert run("retention", "list", "--json").json == []
