from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from pyengine import DBOS, SetWorkflowID, error
from pyengine.current import get_runtime
from tests.transactions.conftest import Sql
from tests.transactions.proxy import CommitProxy

Items = Callable[[], list[str]]

calls: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def insert(item: str) -> int:
    calls.append(item)
    row = DBOS.sql_connection.execute(
        "insert into orders (item) values (%s) returning id", [item]
    ).fetchone()
    return int(row[0])


@DBOS.transaction()
def add_order(item: str) -> int:
    return insert(item)


@DBOS.workflow()
def two_orders(first: str, second: str) -> list[int]:
    return [add_order(first), add_order(second)]


@DBOS.workflow()
def one_order(item: str) -> int:
    return add_order(item)


def steps(workflow_id: str) -> list[Any]:
    return DBOS.list_workflow_steps(workflow_id)


def test_the_writes_and_the_checkpoint_are_one_commit(orders: Sql, dbos: type[DBOS]) -> None:
    assert two_orders("bread", "milk") == [1, 2]

    written = orders.execute("select xmin::text from orders order by id").fetchall()
    recorded = orders.execute("select xmin::text from pyengine.steps order by step_id").fetchall()
    assert written == recorded
    assert written[0] != written[1]


def test_a_transaction_takes_one_step_number_and_is_recorded_by_its_name(
    orders: Sql, dbos: type[DBOS]
) -> None:
    with SetWorkflowID("w"):
        two_orders("bread", "milk")

    found = [(step["function_id"], step["function_name"], step["output"]) for step in steps("w")]
    assert found == [(1, "add_order", 1), (2, "add_order", 2)]


def test_an_error_rolls_everything_back_and_is_recorded(items: Items, dbos: type[DBOS]) -> None:
    with SetWorkflowID("w"), pytest.raises(ValueError, match="no bread today"):
        failing_order("bread")

    assert items() == []
    [step] = steps("w")
    assert isinstance(step["error"], ValueError)


@DBOS.transaction()
def add_order_and_fail(item: str) -> None:
    insert(item)
    raise ValueError(f"no {item} today")


@DBOS.workflow()
def failing_order(item: str) -> None:
    add_order_and_fail(item)


def test_a_replay_does_not_run_a_transaction_again(
    items: Items, dbos: type[DBOS], run_again: Callable[[str], None]
) -> None:
    with SetWorkflowID("w"):
        two_orders("bread", "milk")

    run_again("w")

    assert DBOS.retrieve_workflow("w").get_result() == [1, 2]
    assert items() == calls == ["bread", "milk"]


def test_a_replay_raises_the_recorded_error_without_running_again(
    orders: Sql, dbos: type[DBOS], run_again: Callable[[str], None]
) -> None:
    with SetWorkflowID("w"), pytest.raises(ValueError, match="no bread"):
        failing_order("bread")

    run_again("w")

    with pytest.raises(ValueError, match="no bread today"):
        DBOS.retrieve_workflow("w").get_result()
    assert calls == ["bread"]


def test_an_error_of_the_database_that_nothing_can_heal_is_the_outcome(
    orders: Sql, dbos: type[DBOS]
) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        query_a_missing_table()

    assert calls == ["missing"]


@DBOS.transaction()
def select_from_nowhere() -> None:
    calls.append("missing")
    DBOS.sql_connection.execute("select * from nowhere")


@DBOS.workflow()
def query_a_missing_table() -> None:
    select_from_nowhere()


def test_a_deferred_constraint_that_fails_at_commit_is_the_outcome(
    orders: Sql, items: Items, dbos: type[DBOS]
) -> None:
    orders.execute(
        "alter table orders add constraint c unique (item) deferrable initially deferred"
    )
    one_order("bread")

    with SetWorkflowID("w"), pytest.raises(psycopg.errors.UniqueViolation):
        one_order("bread")

    assert items() == ["bread"]
    [step] = steps("w")
    assert step["error"] is not None


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("SERIALIZABLE", "serializable"),
        ("REPEATABLE READ", "repeatable read"),
        ("READ COMMITTED", "read committed"),
    ],
)
def test_the_isolation_level_is_the_one_asked_for(
    orders: Sql, dbos: type[DBOS], level: str, shown: str
) -> None:
    @DBOS.transaction(level, name=f"isolation {level}")
    def read_level() -> str:
        row = DBOS.sql_connection.execute("show transaction_isolation").fetchone()
        return str(row[0])

    assert read_level() == shown


def test_serializable_is_the_default(orders: Sql, dbos: type[DBOS]) -> None:
    assert show_level() == "serializable"


@DBOS.transaction()
def show_level() -> str:
    row = DBOS.sql_connection.execute("show transaction_isolation").fetchone()
    return str(row[0])


def test_an_unknown_isolation_level_is_refused_at_the_declaration() -> None:
    with pytest.raises(error.DBOSException, match="REPEATABLE READ"):
        DBOS.transaction("SNAPSHOT")


def test_a_decorator_without_parentheses_is_refused() -> None:
    with pytest.raises(error.DBOSException, match="parentheses"):
        DBOS.transaction(add_order)  # type: ignore[arg-type]


def test_outside_a_workflow_it_is_a_workflow_of_its_own(items: Items, dbos: type[DBOS]) -> None:
    with SetWorkflowID("alone"):
        assert add_order("bread") == 1

    status = DBOS.get_workflow_status("alone")
    assert status is not None
    assert (status.name, status.status) == ("<temp>.add_order", "SUCCESS")
    assert items() == ["bread"]


def test_outside_a_workflow_a_known_id_returns_the_stored_result(
    items: Items, dbos: type[DBOS]
) -> None:
    results = []
    for _ in range(2):
        with SetWorkflowID("alone"):
            results.append(add_order("bread"))

    assert results == [1, 1]
    assert items() == ["bread"]


def test_a_transaction_can_be_started_in_the_background(items: Items, dbos: type[DBOS]) -> None:
    assert DBOS.start_workflow(add_order, "bread").get_result() == 1
    assert items() == ["bread"]


def test_a_transaction_inside_a_step_is_refused(orders: Sql, dbos: type[DBOS]) -> None:
    with pytest.raises(AssertionError, match="inside a step"):
        order_in_a_step()


@DBOS.step()
def step_with_transaction() -> None:
    add_order("bread")


@DBOS.workflow()
def order_in_a_step() -> None:
    step_with_transaction()


def test_a_transaction_inside_a_transaction_is_refused(items: Items, dbos: type[DBOS]) -> None:
    with pytest.raises(AssertionError, match="inside another transaction"):
        outer_order()

    assert items() == []


@DBOS.transaction()
def outer_order() -> None:
    insert("bread")
    add_order("milk")


def test_the_connection_is_only_there_inside_a_transaction(dbos: type[DBOS]) -> None:
    with pytest.raises(AssertionError, match=r"@DBOS\.transaction"):
        _ = DBOS.sql_connection
    with pytest.raises(AssertionError, match=r"@DBOS\.transaction"):
        _ = DBOS.sql_session


def test_the_step_number_is_known_inside(orders: Sql, dbos: type[DBOS]) -> None:
    assert numbered() == [1, 2]


@DBOS.transaction()
def step_number() -> int | None:
    return DBOS.step_id


@DBOS.workflow()
def numbered() -> list[int | None]:
    return [step_number(), step_number()]


def test_a_transaction_that_touches_nothing_is_a_recorded_step(
    orders: Sql, dbos: type[DBOS]
) -> None:
    with SetWorkflowID("w"):
        numbered()

    assert [step["output"] for step in steps("w")] == [1, 2]


def end_with(how: str) -> None:
    insert("bread")
    connection = DBOS.sql_connection
    if how.isupper():
        connection.execute(how)
    else:
        getattr(connection, how)()


@DBOS.transaction()
def end_it(how: str) -> None:
    end_with(how)


@pytest.mark.parametrize("how", ["commit", "rollback", "close", "ROLLBACK"])
def test_the_function_must_not_end_its_transaction(
    items: Items, dbos: type[DBOS], how: str
) -> None:
    with pytest.raises(error.DBOSException, match="the engine commits when the function returns"):
        end_it(how)

    assert items() == []
    assert add_order("milk") > 0


def test_a_savepoint_undoes_a_part(items: Items, dbos: type[DBOS]) -> None:
    order_with_savepoint()

    assert items() == ["bread", "butter"]


@DBOS.transaction()
def order_with_savepoint() -> None:
    connection = DBOS.sql_connection
    with connection.transaction():
        insert("bread")
    with contextlib.suppress(ZeroDivisionError), connection.transaction():
        insert("milk")
        _ = 1 / 0
    insert("butter")


def test_what_the_function_sets_on_the_connection_does_not_reach_the_next(
    orders: Sql, dbos: type[DBOS]
) -> None:
    assert use_dict_rows() == {"one": 1}
    assert show_level() == "serializable"


@DBOS.transaction()
def use_dict_rows() -> dict[str, int]:
    DBOS.sql_connection.row_factory = dict_row
    return dict(DBOS.sql_connection.execute("select 1 as one").fetchone())


def test_an_output_that_cannot_be_stored_rolls_back(items: Items, dbos: type[DBOS]) -> None:
    with pytest.raises(error.DBOSSerializationError):
        unstorable()

    assert items() == []


@DBOS.transaction()
def unstorable() -> object:
    insert("bread")
    return threading.Lock()


def test_an_output_that_is_too_large_rolls_back_and_is_the_outcome(
    items: Items, dbos: type[DBOS]
) -> None:
    with SetWorkflowID("w"), pytest.raises(error.DBOSPayloadTooLargeError):
        too_large_order()

    assert items() == []
    [step] = steps("w")
    assert isinstance(step["error"], error.DBOSPayloadTooLargeError)


@DBOS.transaction()
def return_too_much() -> str:
    insert("bread")
    return "x" * 2_000_000


@DBOS.workflow()
def too_large_order() -> None:
    return_too_much()


def test_a_run_that_lost_its_lease_writes_nothing(
    orders: Sql, items: Items, dbos: type[DBOS]
) -> None:
    handle = DBOS.start_workflow(fenced_order, "w-fenced")

    assert arrived.wait(10)
    orders.execute("update pyengine.workflows set lease_token = gen_random_uuid()")
    go_on.set()

    assert ended.wait(10)
    assert items() == []
    assert orders.execute("select count(*) from pyengine.steps").fetchone() == (0,)
    assert endings == [error.DBOSWorkflowConflictIDError]
    assert handle.get_status().status == "PENDING"


arrived, go_on, ended = threading.Event(), threading.Event(), threading.Event()
endings: list[type[BaseException]] = []


@DBOS.transaction()
def wait_and_insert() -> None:
    insert("bread")
    arrived.set()
    go_on.wait(10)


@DBOS.workflow()
def fenced_order(item: str) -> None:
    try:
        wait_and_insert()
    except BaseException as raised:
        endings.append(type(raised))
        raise
    finally:
        ended.set()


def test_a_cancelled_workflow_commits_no_transaction(
    orders: Sql, items: Items, dbos: type[DBOS]
) -> None:
    with SetWorkflowID("w"), pytest.raises(error.DBOSAwaitedWorkflowCancelledError):
        cancelled_order()

    assert items() == []


@DBOS.transaction("READ COMMITTED")
def cancel_and_insert() -> None:
    insert("bread")
    with psycopg.connect(get_runtime("test").engine.options.database_url) as other:
        other.execute("select pyengine.cancel_workflows(array['w'])")


@DBOS.workflow()
def cancelled_order() -> None:
    cancel_and_insert()


def test_a_lost_answer_to_the_commit_leaves_exactly_one_row(
    proxy: CommitProxy, items: Items, launch: Callable[..., None]
) -> None:
    launch(system_database_url=proxy.url)
    one_order("first")

    proxy.lose_next()
    assert one_order("second") == 2

    assert proxy.lost == 1
    assert items() == ["first", "second"]
    assert calls == ["first", "second"]


def test_a_connection_that_ends_inside_the_function_is_replaced(
    orders: Sql, items: Items, dbos: type[DBOS], caplog: pytest.LogCaptureFixture
) -> None:
    assert terminate_once("bread") == 2

    assert items() == ["bread"]
    assert calls == ["bread", "bread"]


@DBOS.transaction()
def terminate_once(item: str) -> int:
    number = insert(item)
    if len(calls) == 1:
        row = DBOS.sql_connection.execute("select pg_backend_pid()").fetchone()
        pid = row[0] if row is not None else None
        with psycopg.connect(get_runtime("test").engine.options.database_url) as other:
            other.execute("select pg_terminate_backend(%s, 5000)", [pid])
        DBOS.sql_connection.execute("select 1")
    return number


def test_in_a_running_loop_it_works_and_warns_once(
    items: Items, dbos: type[DBOS], caplog: pytest.LogCaptureFixture
) -> None:
    async def in_loop() -> None:
        looped_order("bread")
        looped_order("milk")

    asyncio.run(in_loop())

    assert items() == ["bread", "milk"]
    warnings = [r.getMessage() for r in caplog.records if "blocks the running" in r.getMessage()]
    assert len(warnings) == 1


@DBOS.transaction()
def looped_order(item: str) -> int:
    return insert(item)
