"""What is declared, by applications and about them, holds also when two declare at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.races.conftest import Duel, call

pytestmark = pytest.mark.race


def test_two_applications_do_not_get_a_version_of_one_name(duel: Duel) -> None:
    text = "select application_name from pyengine.register_application_version(%s, '2')"
    call(duel.first, text, "app")

    late = duel.blocked(lambda: call(duel.second, text, "other"))
    duel.first.commit()

    with pytest.raises(psycopg.DatabaseError, match="belongs to application app") as refused:
        late.result(10)
    assert refused.value.sqlstate == "PE409"


def test_retention_that_is_changed_while_its_application_gets_another_name_is_kept(
    duel: Duel,
) -> None:
    retention = "select pyengine.set_retention('app', success_age => %s)"
    call(duel.look, retention, "1 day")
    call(duel.first, retention, "2 days")

    late = duel.blocked(
        lambda: call(duel.second, "select pyengine.rename_application('app', 'new')")
    )
    duel.first.commit()
    late.result(10)
    duel.second.commit()

    found = duel.look.execute(
        "select application_name, success_age::text from pyengine.retention_policies"
    )
    assert found.fetchall() == [("new", "2 days")]


REGISTER_PROCESS = (
    "select pyengine.register_executor(name => 'one', application_name => 'app', application_version => '1', "
    "version_is_pinned => false, functions => '{f}', channel => 'c', lease_seconds => 15, runs_sql_workflows => true)"
)
SET_FUNCTIONS = "select pyengine.set_executor_functions(%s, '{f,g}')"
REGISTER_WORKFLOW = "select pyengine.register_sql_workflow('written', '{public.race_step}', 'app')"


@pytest.fixture
def written(duel: Duel) -> Iterator[str]:
    """The statement that registers a workflow written in SQL."""
    duel.look.execute(
        "create or replace function public.race_step(arguments json) returns json language sql as 'select arguments'"
    )
    yield REGISTER_WORKFLOW
    duel.look.execute("drop function public.race_step")


def functions(duel: Duel) -> list[Any]:
    return [row[0] for row in call(duel.look, "select functions from pyengine.executors")]


def test_a_process_that_registers_beside_a_workflow_in_sql_runs_it(
    duel: Duel, written: str
) -> None:
    call(duel.first, REGISTER_PROCESS)

    late = duel.blocked(lambda: call(duel.second, written))
    duel.first.commit()
    late.result(10)
    duel.second.commit()

    assert functions(duel) == [["f", "written"]]


def test_a_process_that_says_anew_what_it_runs_keeps_the_workflows_in_sql(
    duel: Duel, written: str
) -> None:
    executor = call(duel.look, REGISTER_PROCESS)[0][0]
    call(duel.first, written)

    late = duel.blocked(lambda: call(duel.second, SET_FUNCTIONS, executor))
    duel.first.commit()
    late.result(10)
    duel.second.commit()

    assert functions(duel) == [["f", "g", "written"]]


@pytest.mark.parametrize("function", ["cancel_workflow", "resume_workflow"])
def test_a_workflow_that_is_deleted_while_it_is_steered_is_unknown(
    duel: Duel, function: str
) -> None:
    duel.start(duel.look, "w")
    call(duel.first, "select pyengine.delete_workflows(array['w'])")

    late = duel.blocked(lambda: call(duel.second, f"select pyengine.{function}('w')"))
    duel.first.commit()

    with pytest.raises(psycopg.DatabaseError) as refused:
        late.result(10)
    assert refused.value.sqlstate == "PE404"
