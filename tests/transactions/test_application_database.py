"""An application database of its own: writes and checkpoint in it, the workflow in the engine's database."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID, error, schema
from pyengine.current import get_runtime
from pyengine.runtime import sweep as sweep_module
from pyengine.runtime.sweep import Sweep
from tests.transactions.conftest import Sql

Launch = Callable[..., None]
INSERT = "insert into orders (item) values (%s) returning id"
calls: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.fixture
def launch_shop(shop: Sql, shop_url: str, launch: Launch) -> Launch:
    def start(**keys: Any) -> None:
        launch(application_database_url=shop_url, **keys)

    return start


def items(shop: Sql) -> list[str]:
    return [row[0] for row in shop.execute("select item from orders order by id")]


@DBOS.transaction()
def shop_insert(item: str) -> int:
    calls.append(item)
    row = DBOS.sql_connection.execute(INSERT, [item]).fetchone()
    return int(row[0])


@DBOS.transaction()
async def shop_insert_async(item: str) -> int:
    calls.append(item)
    cursor = await DBOS.sql_connection.execute(INSERT, [item])
    return int((await cursor.fetchone())[0])


@DBOS.workflow()
def shop_order(item: str) -> int:
    return shop_insert(item)


@DBOS.workflow()
async def shop_order_async(item: str) -> int:
    return await shop_insert_async(item)


def call(is_async: bool, item: str) -> int:
    return asyncio.run(shop_order_async(item)) if is_async else shop_order(item)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_the_writes_and_their_checkpoint_are_one_commit_there(
    shop: Sql, launch_shop: Launch, is_async: bool
) -> None:
    launch_shop()

    with SetWorkflowID("w"):
        assert call(is_async, "bread") == 1

    written = shop.execute("select xmin::text from orders").fetchall()
    assert (
        shop.execute("select xmin::text from pyengine.transaction_checkpoints").fetchall()
        == written
    )
    assert [step["output"] for step in DBOS.list_workflow_steps("w")] == [1]


def test_a_replay_without_the_engines_row_finds_the_checkpoint_there(
    sql: Sql, shop: Sql, launch_shop: Launch, run_again: Callable[[str], None], is_async: bool
) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        call(is_async, "bread")

    sql.execute("delete from pyengine.steps")  # as if the process had died between the two commits
    run_again("w")

    assert DBOS.retrieve_workflow("w").get_result() == 1
    assert items(shop) == calls == ["bread"]
    assert [step["output"] for step in DBOS.list_workflow_steps("w")] == [1]


@DBOS.transaction()
def shop_fail(item: str) -> None:
    DBOS.sql_connection.execute(INSERT, [item])
    raise ValueError("out of stock")


@DBOS.workflow()
def failing_shop_order(item: str) -> None:
    shop_fail(item)


def test_an_error_is_recorded_in_the_engines_database_only(shop: Sql, launch_shop: Launch) -> None:
    launch_shop()

    with SetWorkflowID("w"), pytest.raises(ValueError, match="out of stock"):
        failing_shop_order("bread")

    assert items(shop) == []
    assert shop.execute("select * from pyengine.transaction_checkpoints").fetchall() == []
    [step] = DBOS.list_workflow_steps("w")
    assert isinstance(step["error"], ValueError)


first_is_in, second_is_in, first_may_go = threading.Event(), threading.Event(), threading.Event()
both_are_out = threading.Event()
outcomes: list[str] = []


@DBOS.transaction("READ COMMITTED")
def slow_shop_insert(item: str) -> str:
    calls.append(item)
    mark = f"{item} of run {len(calls)}"
    if len(calls) == 1:
        first_is_in.set()
        first_may_go.wait(10)
    else:
        second_is_in.set()
    DBOS.sql_connection.execute(INSERT, [mark])
    return mark


@DBOS.workflow()
def slow_shop_order(item: str) -> str:
    mark = slow_shop_insert(item)
    outcomes.append(mark)
    if len(outcomes) == 2:
        both_are_out.set()
    return mark


def test_of_two_racing_runs_the_loser_adopts_the_winners_outcome(
    sql: Sql, shop: Sql, launch_shop: Launch
) -> None:
    launch_shop()
    handle = DBOS.start_workflow(slow_shop_order, "bread")
    assert first_is_in.wait(10)

    sql.execute("update pyengine.workflows set status = 'ENQUEUED', lease_token = null")
    sql.execute("select pyengine._wake(array[pyengine.wait_key('work', '')])")
    assert second_is_in.wait(10)
    assert DBOS.retrieve_workflow(handle.workflow_id).get_result() == "bread of run 2"
    first_may_go.set()

    assert both_are_out.wait(10)
    assert outcomes == ["bread of run 2"] * 2
    assert items(shop) == ["bread of run 2"]


def test_a_run_that_lost_its_lease_commits_nothing_there(
    sql: Sql, shop: Sql, launch_shop: Launch
) -> None:
    launch_shop()
    handle = DBOS.start_workflow(fenced_shop_order, "bread")
    assert fenced_in.wait(10)

    sql.execute("update pyengine.workflows set lease_token = gen_random_uuid()")
    fenced_go.set()

    assert fenced_out.wait(10)
    assert items(shop) == []
    assert handle.get_status().status == "PENDING"


fenced_in, fenced_go, fenced_out = threading.Event(), threading.Event(), threading.Event()


@DBOS.transaction()
def fenced_shop_insert(item: str) -> None:
    DBOS.sql_connection.execute(INSERT, [item])
    fenced_in.set()
    fenced_go.wait(10)


@DBOS.workflow()
def fenced_shop_order(item: str) -> None:
    try:
        fenced_shop_insert(item)
    finally:
        fenced_out.set()


def test_the_table_is_created_once_by_concurrent_launches(shop_url: str) -> None:
    created: list[bool] = []
    start = threading.Barrier(4)

    def prepare() -> None:
        with psycopg.connect(shop_url, autocommit=True) as connection:
            start.wait(10)
            created.append(schema.prepare_application(connection, schema="Eigenes Schema"))

    threads = [threading.Thread(target=prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(created) == [False, False, False, True]


def test_a_database_that_was_prepared_before_checkpoints_had_origins_is_brought_up(
    shop: Sql, launch_shop: Launch
) -> None:
    first = (schema.sql_root() / "application" / "0001_transaction_checkpoints.sql").read_text()
    shop.execute("create schema pyengine")
    shop.execute(first.encode())
    shop.execute(
        "insert into pyengine.transaction_checkpoints (workflow_id, step_id, name, serialization, output) "
        "values ('other', 1, 'shop_insert', 'json', '7')"
    )

    launch_shop()

    assert shop_order("bread") == 1


def test_a_custom_schema_has_the_same_name_in_both_databases(
    shop: Sql, launch_shop: Launch
) -> None:
    launch_shop(dbos_system_schema="shop_engine")

    assert shop_order("bread") == 1
    found = shop.execute("select count(*) from shop_engine.transaction_checkpoints").fetchone()
    assert found == (1,)


def test_without_migrations_a_missing_table_is_an_error_that_says_what_to_do(
    launch_shop: Launch,
) -> None:
    with pytest.raises(error.DBOSInitializationError, match="run_migrations"):
        launch_shop(run_migrations=False)


CHECKPOINTS = "select workflow_id, step_id from pyengine.transaction_checkpoints order by 1, 2"


def test_a_rewound_transaction_runs_again(shop: Sql, launch_shop: Launch, is_async: bool) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        call(is_async, "bread")

    if is_async:

        async def rewind() -> None:
            await (await DBOS.rewind_workflow_async("w")).get_result()

        asyncio.run(rewind())
    else:
        DBOS.rewind_workflow("w").get_result()

    assert items(shop) == ["bread", "bread"]
    assert shop.execute(CHECKPOINTS).fetchall() == [("w", 1)]


@DBOS.workflow()
def two_shop_orders() -> list[int]:
    return [shop_insert("first"), shop_insert("second")]


def rewind_in_sql(sql: Sql, workflow_id: str, start_step: int) -> None:
    """As from psql, which reaches no other database than the engine's."""
    sql.execute("select pyengine.rewind_workflow(%s, %s)", [workflow_id, start_step])


@pytest.mark.parametrize(("start_step", "result"), [(1, [3, 4]), (2, [1, 3])])
def test_a_rewind_from_sql_counts_here_too(
    shop: Sql, launch_shop: Launch, sql: Sql, start_step: int, result: list[int]
) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        assert two_shop_orders() == [1, 2]

    rewind_in_sql(sql, "w", start_step)

    assert DBOS.retrieve_workflow("w").get_result() == result


def test_each_rewind_from_sql_counts_and_what_was_done_after_it_is_kept(
    shop: Sql, launch_shop: Launch, sql: Sql, run_again: Callable[[str], None]
) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        two_shop_orders()
    handle = DBOS.retrieve_workflow("w")
    for start_step, result in ((2, [1, 3]), (1, [4, 5]), (2, [4, 6])):
        rewind_in_sql(sql, "w", start_step)
        assert handle.get_result() == result

    sql.execute("delete from pyengine.steps")  # as if the process had died between the two commits
    run_again("w")
    assert handle.get_result() == [4, 6]
    sql.execute("delete from pyengine.steps")
    assert DBOS.fork_workflow("w", 3).get_result() == [4, 6]
    assert DBOS.fork_workflow("w", 2).get_result() == [4, 7]


def test_a_fork_that_is_rewound_from_sql_takes_nothing_from_its_original(
    shop: Sql, launch_shop: Launch, sql: Sql
) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        two_shop_orders()
    fork = DBOS.fork_workflow("w", 3)
    assert fork.get_result() == [1, 2]

    rewind_in_sql(sql, fork.workflow_id, 2)

    assert fork.get_result() == [1, 3]


def test_what_a_rewound_workflow_has_is_not_swept(shop: Sql, launch_shop: Launch, sql: Sql) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        two_shop_orders()
    rewind_in_sql(sql, "w", 2)
    DBOS.retrieve_workflow("w").get_result()
    shop.execute(
        "update pyengine.transaction_checkpoints set created_at = created_at - interval '2 hours'"
    )

    the_sweep().next_batch()

    assert len(shop.execute(CHECKPOINTS).fetchall()) == 3


def test_a_rewind_that_is_refused_forgets_nothing(shop: Sql, launch_shop: Launch, sql: Sql) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        shop_order("bread")
    sql.execute(
        "update pyengine.workflows set status = 'ENQUEUED', finished_at = null, queue_name = 'q'"
    )

    with pytest.raises(error.DBOSException, match="only a workflow that has ended"):
        DBOS.rewind_workflow("w")

    assert shop.execute(CHECKPOINTS).fetchall() == [("w", 1)]


def test_a_fork_does_not_repeat_a_transaction_whose_answer_was_lost(
    shop: Sql, launch_shop: Launch, sql: Sql
) -> None:
    """As when the process died between the commit there and the record of it here."""
    launch_shop()
    with SetWorkflowID("w"):
        shop_order("bread")
    sql.execute("delete from pyengine.steps")

    assert DBOS.fork_workflow("w", 2).get_result() == 1
    assert items(shop) == ["bread"]

    assert DBOS.fork_workflow("w", 1).get_result() == 2
    assert items(shop) == ["bread", "bread"]


def test_a_deleted_workflow_leaves_nothing_there(shop: Sql, launch_shop: Launch) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        shop_order("bread")

    DBOS.delete_workflow("w")
    assert shop.execute(CHECKPOINTS).fetchall() == []

    with SetWorkflowID("w"):
        assert shop_order("bread") == 2


def remove_from_the_engine_alone(sql: Sql, workflow_id: str) -> None:
    """As retention does, which knows nothing of this database."""
    sql.execute("select pyengine.delete_workflows(array[%s])", [workflow_id])


def test_a_used_id_does_not_find_the_checkpoints_of_the_workflow_that_had_it(
    shop: Sql, launch_shop: Launch, sql: Sql, is_async: bool
) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        assert call(is_async, "bread") == 1
    remove_from_the_engine_alone(sql, "w")

    with SetWorkflowID("w"):
        assert call(is_async, "milk") == 2

    assert items(shop) == ["bread", "milk"]


def test_a_fork_under_a_used_id_does_not_find_what_was_copied_to_the_fork_before(
    shop: Sql, launch_shop: Launch, sql: Sql
) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        shop_order("bread")
    sql.execute("delete from pyengine.steps")
    with SetWorkflowID("fork"):
        assert DBOS.fork_workflow("w", 2).get_result() == 1
    remove_from_the_engine_alone(sql, "fork")

    with SetWorkflowID("fork"):
        assert DBOS.fork_workflow("w", 1).get_result() == 2

    assert items(shop) == ["bread", "bread"]


def engine_of(sql: Sql) -> str:
    row = sql.execute("select pyengine.engine_id()").fetchone()
    assert row is not None
    return str(row[0])


def the_sweep() -> Sweep:
    transactions = get_runtime("test").transactions
    return Sweep(transactions, lambda job: job())


def test_checkpoints_of_workflows_that_are_gone_are_removed(
    shop: Sql, launch_shop: Launch, sql: Sql
) -> None:
    launch_shop()
    for name in ("gone", "used again", "there", "young"):
        with SetWorkflowID(name):
            shop_order(name)
    for name in ("gone", "used again", "young"):
        remove_from_the_engine_alone(sql, name)
    shop.execute(
        "update pyengine.transaction_checkpoints set created_at = created_at - interval '2 hours' "
        "where workflow_id <> 'young'"
    )
    with SetWorkflowID("used again"):
        shop_order("used again")

    assert the_sweep().next_batch() is False

    assert shop.execute(CHECKPOINTS).fetchall() == [
        ("there", 1),
        ("used again", 1),
        ("young", 1),
    ]


def test_the_removal_goes_on_where_it_was_and_then_rests(
    sql: Sql, shop: Sql, launch_shop: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "BATCH_LIMIT", 2)
    monkeypatch.setattr(sweep_module, "BATCH_PAUSE_SECONDS", 0.0)
    launch_shop()
    shop.execute(
        "insert into pyengine.transaction_checkpoints"
        " (workflow_id, step_id, origin, owner, name, serialization, created_at)"
        " select 'gone ' || n, s, 'x', %s, 'shop_insert', 'json', clock_timestamp() - interval '2 hours' "
        "from generate_series(1, 3) n, generate_series(1, 5) s",
        [engine_of(sql)],
    )
    sweep = the_sweep()

    assert sweep.next_batch() is True
    assert {row[0] for row in shop.execute(CHECKPOINTS)} == {"gone 3"}
    assert sweep.next_batch() is False
    assert shop.execute(CHECKPOINTS).fetchall() == []

    rests = (
        "select next_at > clock_timestamp() + interval '50 minutes' from pyengine.checkpoint_upkeep"
    )
    assert shop.execute(rests).fetchone() == (True,)


def test_of_two_processes_one_removes(shop: Sql, launch_shop: Launch) -> None:
    launch_shop()
    the_sweep().next_batch()
    shop.execute("update pyengine.checkpoint_upkeep set next_at = '-infinity'")
    with shop.transaction():
        shop.execute("select from pyengine.checkpoint_upkeep for update")

        assert the_sweep().next_batch() is False

    rests = "select next_at from pyengine.checkpoint_upkeep where next_at > '-infinity'"
    assert shop.execute(rests).fetchall() == []


def test_a_process_looks_after_a_while_and_not_at_each_tick(
    shop: Sql, launch_shop: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch_shop()
    sweep = the_sweep()
    looked: list[bool] = []

    def look() -> bool:
        looked.append(True)
        return False

    monkeypatch.setattr(sweep, "next_batch", look)

    sweep.after_tick()
    assert looked == []

    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + sweep_module.LOOK_SECONDS + 1)
    sweep.after_tick()
    sweep.after_tick()
    assert looked == [True]


def test_a_database_that_refuses_the_removal_is_told_about_and_left_alone(
    shop: Sql,
    launch_shop: Launch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    launch_shop()
    sweep = the_sweep()
    shop.execute("drop table pyengine.checkpoint_upkeep")

    sweep._work()
    sweep.after_tick()

    told = [each for each in caplog.records if "stay in the application's database" in each.message]
    assert len(told) == 1
    assert "UndefinedTable" in told[0].message
