"""Who may call what, on whose behalf it runs, and that nothing loses that on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pyengine import (
    DBOS,
    DBOSContextEnsure,
    DBOSContextSetAuth,
    Debouncer,
    Queue,
    SetWorkflowID,
)
from pyengine.error import DBOSException, DBOSNotAuthorizedError
from tests.workflows.support import Crashes, count_workflows, launched, stored

crashes = Crashes()
desk = Queue("desk")

Who = tuple[str | None, list[str] | None, str | None]


@pytest.fixture(scope="module")
def dbos(engine_url: str) -> Iterator[type[DBOS]]:
    with launched(engine_url) as engine:
        yield engine


@pytest.fixture
def database(engine_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(engine_url, autocommit=True) as connection:
        yield connection


def who() -> Who:
    return DBOS.authenticated_user, DBOS.authenticated_roles, DBOS.assumed_role


@DBOS.required_roles(["admin", "clerk"])
@DBOS.workflow()
def guarded_above() -> Who:
    return who()


@DBOS.workflow()
@DBOS.required_roles(["admin", "clerk"])
def guarded_below() -> Who:
    return who()


@DBOS.required_roles(["clerk"])
@DBOS.workflow()
async def guarded_async() -> Who:
    return who()


@DBOS.workflow()
@DBOS.required_roles(["clerk"])
async def guarded_async_below() -> Who:
    return who()


@DBOS.workflow()
def unguarded() -> Who:
    return who()


@DBOS.step()
def unguarded_step() -> Who:
    return who()


@DBOS.required_roles(["clerk"])
@DBOS.step()
def guarded_step() -> Who:
    return who()


@DBOS.step()
@DBOS.required_roles(["clerk"])
def guarded_step_below() -> Who:
    return who()


@DBOS.workflow()
def calls_everything() -> list[Who]:
    return [who(), unguarded_step(), guarded_step(), guarded_step_below(), unguarded()]


@DBOS.workflow()
def survives_a_crash() -> list[Who]:
    child = desk.enqueue(unguarded)
    crashes.here()
    return [who(), child.get_result()]


GUARDED = [guarded_above, guarded_below]
CLERK: Who = ("ada", ["clerk", "guest"], "clerk")


@pytest.mark.parametrize("workflow", GUARDED)
def test_a_user_with_one_of_the_roles_may_call(
    dbos: type[DBOS], workflow: Callable[[], Who]
) -> None:
    with DBOSContextSetAuth("ada", ["clerk", "guest"]):
        assert workflow() == CLERK


@pytest.mark.parametrize("workflow", [guarded_async, guarded_async_below])
def test_async_workflows_are_guarded_too(dbos: type[DBOS], workflow: Callable[[], Any]) -> None:
    async def as_clerk() -> Who:
        with DBOSContextSetAuth("ada", ["clerk", "guest"]):
            result: Who = await workflow()
        return result

    assert asyncio.run(as_clerk()) == CLERK
    with pytest.raises(DBOSNotAuthorizedError):
        asyncio.run(workflow())


@pytest.mark.parametrize("workflow", GUARDED)
@pytest.mark.parametrize("call", [lambda f: f(), DBOS.start_workflow, desk.enqueue])
@pytest.mark.parametrize("roles", [["guest"], None])
def test_others_are_refused_before_anything_is_stored(
    dbos: type[DBOS],
    database: psycopg.Connection[Any],
    workflow: Callable[[], Who],
    call: Callable[[Any], Any],
    roles: list[str] | None,
) -> None:
    before = count_workflows(database)

    with DBOSContextSetAuth("eve", roles), pytest.raises(DBOSNotAuthorizedError) as refused:
        call(workflow)
    with pytest.raises(DBOSNotAuthorizedError, match="without authentication"):
        call(workflow)

    assert refused.value.status_code == 403
    assert count_workflows(database) == before


def test_the_first_required_role_that_the_user_has_is_assumed(dbos: type[DBOS]) -> None:
    with DBOSContextSetAuth("ada", ["clerk", "admin"]):
        assert guarded_above()[2] == "admin"


def test_steps_and_children_run_on_behalf_of_the_same_user(dbos: type[DBOS]) -> None:
    with DBOSContextSetAuth("ada", ["clerk"]):
        results = calls_everything()

    assert [user for user, _, _ in results] == ["ada"] * 5
    assert [role for _, _, role in results] == [None, None, "clerk", "clerk", None]


def test_a_guarded_step_refuses_in_and_out_of_workflows(dbos: type[DBOS]) -> None:
    for step in (guarded_step, guarded_step_below):
        with pytest.raises(DBOSNotAuthorizedError):
            step()
        with DBOSContextSetAuth("ada", ["clerk"]):
            assert step() == ("ada", ["clerk"], "clerk")
            assert DBOS.start_workflow(step).get_result() == ("ada", ["clerk"], "clerk")
    with pytest.raises(DBOSNotAuthorizedError):
        calls_everything()


def test_identity_survives_queues_and_recovery(
    dbos: type[DBOS], database: psycopg.Connection[Any]
) -> None:
    crashes.arm()
    with DBOSContextSetAuth("ada", ["clerk"]), SetWorkflowID("recovered"):
        handle = DBOS.start_workflow(survives_a_crash)

    assert [user for user, _, _ in handle.get_result()] == ["ada", "ada"]
    assert stored(database, "recovered", "attempt_count") == 2
    with DBOSContextSetAuth("ada", ["clerk", "guest"]):
        queued = desk.enqueue(guarded_above)
    assert queued.get_result() == CLERK
    assert queued.get_status().assumed_role == "clerk"


def test_a_queued_workflow_is_checked_again_when_it_runs(
    dbos: type[DBOS], database: psycopg.Connection[Any]
) -> None:
    """What another program enqueued was not checked there."""
    for workflow in ("guarded_above", "guarded_below"):
        handle = DBOS.enqueue_workflow_with_options(
            {"workflow_name": workflow, "queue_name": "desk", "authenticated_user": "eve"}
        )

        with pytest.raises(DBOSNotAuthorizedError):
            handle.get_result()
        assert handle.get_status().status == "ERROR"


def test_a_debounced_workflow_is_checked(dbos: type[DBOS]) -> None:
    debouncer = Debouncer.create(guarded_above)

    with pytest.raises(DBOSNotAuthorizedError):
        debouncer.debounce("k", 0)
    with DBOSContextSetAuth("ada", ["clerk", "guest"]):
        assert debouncer.debounce("k", 0).get_result() == CLERK


@DBOS.default_required_roles(["clerk"])
@DBOS.dbos_class()
class Office:
    @staticmethod
    @DBOS.workflow()
    def by_default() -> Who:
        return who()

    @classmethod
    @DBOS.required_roles(["admin"])
    @DBOS.workflow()
    def for_admins(cls) -> Who:
        return who()

    @classmethod
    @DBOS.workflow()
    @DBOS.required_roles([])
    def for_all(cls) -> str | None:
        return cls.stamp()

    @staticmethod
    @DBOS.step()
    def stamp() -> str | None:
        return DBOS.assumed_role


@DBOS.dbos_class("Annex")
@DBOS.default_required_roles(["clerk"])
class OtherOrder:
    @classmethod
    @DBOS.workflow()
    def by_default(cls) -> Who:
        return who()


def test_a_class_guards_its_methods(dbos: type[DBOS]) -> None:
    with DBOSContextSetAuth("ada", ["clerk"]):
        assert Office.by_default() == ("ada", ["clerk"], "clerk")
        assert OtherOrder.by_default() == ("ada", ["clerk"], "clerk")
        assert Office.for_all() == "clerk"
        assert Office.stamp() is None
        with pytest.raises(DBOSNotAuthorizedError):
            Office.for_admins()
    for refused in (Office.by_default, OtherOrder.by_default, Office.for_all):
        with pytest.raises(DBOSNotAuthorizedError):
            refused()


def test_the_given_class_name_is_the_recorded_one(dbos: type[DBOS]) -> None:
    with DBOSContextSetAuth("ada", ["clerk"]), SetWorkflowID("annex"):
        OtherOrder.by_default()

    status = DBOS.get_workflow_status("annex")
    assert status is not None
    assert status.class_name == "Annex"


def test_set_authentication_lasts_to_the_end_of_the_block(dbos: type[DBOS]) -> None:
    with DBOSContextEnsure() as context:
        assert who() == (None, None, None)
        DBOS.set_authentication("ada", ["clerk"])
        assert (context.authenticated_user, context.authenticated_roles) == ("ada", ["clerk"])
        assert guarded_step()[0] == "ada"
        with DBOSContextEnsure():
            DBOS.set_authentication(None, [])
            assert who() == (None, None, None)
        assert unguarded()[0] == "ada"

    with pytest.raises(AssertionError):
        _ = DBOS.authenticated_user


@DBOS.workflow()
def changes_its_user() -> list[str | None]:
    DBOS.set_authentication("bob", ["clerk"])
    return [unguarded_step()[0], unguarded()[0], DBOS.authenticated_user]


def test_a_workflow_may_change_its_user(dbos: type[DBOS]) -> None:
    with DBOSContextSetAuth("ada", None):
        assert changes_its_user() == ["bob", "bob", "bob"]
        assert DBOS.authenticated_user == "ada"


@pytest.mark.parametrize(
    "read",
    [
        lambda: DBOS.authenticated_user,
        lambda: DBOS.authenticated_roles,
        lambda: DBOS.assumed_role,
        lambda: DBOS.set_authentication("ada", []),
    ],
)
def test_outside_of_contexts_there_is_nobody_to_name(read: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match="DBOSContextEnsure"):
        read()


def test_roles_are_lists() -> None:
    with pytest.raises(DBOSException, match="roles must be a list"):
        DBOSContextSetAuth("ada", "clerk")  # type: ignore[arg-type]
    with pytest.raises(DBOSException, match="roles must be a list"):
        DBOS.required_roles("clerk")
    with pytest.raises(DBOSException, match="roles must be a list"):
        DBOS.default_required_roles("clerk")
