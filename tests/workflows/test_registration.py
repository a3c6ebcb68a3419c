"""Names of functions: explicit, taken twice, registered after launch."""

from __future__ import annotations

import logging
import types
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.errors import DBOSConflictingRegistrationError, DBOSException
from tests.workflows.support import Crashes, declare_dead, pending_elsewhere, steps_of

crashes = Crashes()


@DBOS.workflow(name="explicit-name")
def has_another_name() -> str:
    return "named"


@DBOS.step(name="explicit-step")
def step_with_another_name() -> str:
    return "named"


@DBOS.workflow()
def calls_named_step() -> str:
    return step_with_another_name()


def module_from(source: str, name: str, file: str) -> types.ModuleType:
    """A module as an import makes it."""
    module = types.ModuleType(name)
    exec(compile(source, file, "exec"), module.__dict__)
    return module


ONE_WORKFLOW = """
from pyengine import DBOS

@DBOS.workflow()
def imported_workflow():
    return __name__
"""


def test_an_explicit_name_is_recorded(dbos: type[DBOS]) -> None:
    with SetWorkflowID("explicit"):
        handle = DBOS.start_workflow(has_another_name)
    with SetWorkflowID("explicit step"):
        calls_named_step()

    assert handle.get_status().name == "explicit-name"
    assert steps_of("explicit step") == [(1, "explicit-step")]


def test_the_qualified_name_is_recorded_of_a_nested_function(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    def nested() -> None: ...

    handle = DBOS.start_workflow(nested)

    expected = (
        f"{test_the_qualified_name_is_recorded_of_a_nested_function.__name__}.<locals>.nested"
    )
    assert handle.get_status().name == expected


def test_a_later_function_of_the_same_name_holds(
    dbos: type[DBOS], caplog: pytest.LogCaptureFixture
) -> None:
    def first() -> str:
        crashes.here()
        return "first"

    def second() -> str:
        return "second"

    earlier = DBOS.workflow(name="taken-twice")(first)
    with caplog.at_level(logging.WARNING, "pyengine"):
        DBOS.workflow(name="taken-twice")(second)

    assert "taken-twice" in caplog.text
    crashes.arm()
    assert DBOS.start_workflow(earlier).get_result() == "second"


def test_a_program_that_is_imported_under_its_own_name_too_only_warns(dbos: type[DBOS]) -> None:
    module_from(ONE_WORKFLOW, "__main__", "app.py")

    again = module_from(ONE_WORKFLOW, "app", "app.py")

    assert again.imported_workflow() == "app"


def test_functions_of_different_programs_cannot_have_one_name() -> None:
    source = ONE_WORKFLOW.replace("imported_workflow", "fought_over")
    module_from(source, "orders", "orders.py")

    with pytest.raises(DBOSConflictingRegistrationError, match="fought_over") as caught:
        module_from(source, "billing", "billing.py")
    assert isinstance(caught.value, DBOSException)


def test_a_function_that_is_registered_after_launch_runs_and_is_recovered(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    def late_workflow() -> str:
        crashes.here()
        return "late"

    crashes.arm()

    assert DBOS.start_workflow(late_workflow).get_result() == "late"


def test_a_workflow_waits_until_its_function_is_registered(dbos: type[DBOS], database: Any) -> None:
    executor = pending_elsewhere(database, "awaits-function", "not-yet-known")
    declare_dead(database, executor)

    @DBOS.workflow(name="not-yet-known")
    def known_at_last() -> str:
        return "known"

    assert DBOS.get_result("awaits-function") == "known"


@pytest.mark.parametrize("wrong", ["json", 3, "PORTABLE "])
def test_an_unknown_serialization_type_is_refused_at_once(wrong: Any) -> None:
    with pytest.raises(DBOSException, match="WorkflowSerializationFormat"):
        DBOS.workflow(serialization_type=wrong)(lambda: None)
