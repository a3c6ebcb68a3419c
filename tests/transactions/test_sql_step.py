"""Declared SQL steps: one statement that commits with its checkpoint."""
# mypy: disable-error-code="empty-body, untyped-decorator"

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql as query

from pyengine import DBOS, SetWorkflowID, embedded, error
from pyengine.current import get_runtime
from pyengine.registry import registry
from tests.transactions.conftest import Sql
from tests.transactions.proxy import CommitProxy

Items = Callable[[], list[str]]
Declare = Callable[..., Any]

MOMENT = datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=timezone.utc)


@pytest.fixture
def declare(orders: Sql) -> Iterator[Declare]:
    """Declare a SQL step for this test only: its tables are not there in the next."""
    known = set(registry.launch_checks)
    yield DBOS.sql_step
    for name in set(registry.launch_checks) - known:
        del registry.launch_checks[name]


@pytest.fixture
def steps(declare: Declare, launch: Callable[..., None]) -> dict[str, Any]:
    """Some declared steps, and a workflow that calls one of them."""

    @declare("insert into orders (item) values (:item) returning id", name="add")
    def add(item: str) -> int: ...

    @declare("update orders set item = item || :suffix", name="rename")
    def rename(suffix: str) -> int: ...

    @declare("delete from orders", name="clear")
    def clear() -> None: ...

    @declare("select id, item from orders where id > :after order by id desc", name="newest")
    def newest(after: int) -> list[dict[str, Any]]: ...

    @declare("select item from orders where id = :number", name="find")
    def find(number: int) -> dict[str, Any] | None: ...

    @declare("select item from orders where id = :number", name="item of")
    def item_of(number: int) -> str: ...

    @declare("insert into orders (item) values (:item) returning id", name="add async")
    async def add_async(item: str) -> int: ...

    return {f.__name__: f for f in (add, rename, clear, newest, find, item_of, add_async)}


@DBOS.workflow()
def call_sql_step(step: str, *arguments: Any) -> Any:
    return table[step](*arguments)


@DBOS.workflow()
async def call_sql_step_async(step: str, *arguments: Any) -> Any:
    return await table[step](*arguments)


table: dict[str, Any] = {}


@pytest.fixture
def ready(steps: dict[str, Any], launch: Callable[..., None]) -> Iterator[dict[str, Any]]:
    table.update(steps)
    launch()
    yield steps
    table.clear()


def test_the_statement_and_its_checkpoint_are_one_commit_and_one_round_trip(
    orders: Sql, ready: dict[str, Any]
) -> None:
    with SetWorkflowID("w"):
        assert call_sql_step("add", "bread") == 1

    assert (
        orders.execute("select xmin::text from orders").fetchall()
        == orders.execute("select xmin::text from pyengine.steps").fetchall()
    )
    [step] = DBOS.list_workflow_steps("w")
    assert (step["function_name"], step["output"]) == ("add", [{"id": 1}])


def test_a_coroutine_does_the_same(orders: Sql, ready: dict[str, Any]) -> None:
    assert asyncio.run(call_sql_step_async("add_async", "bread")) == 1

    assert (
        orders.execute("select xmin::text from orders").fetchall()
        == orders.execute("select xmin::text from pyengine.steps").fetchall()
    )


@pytest.mark.parametrize(
    ("step", "arguments", "result"),
    [
        ("rename", ["!"], 2),
        ("clear", [], None),
        ("newest", [0], [{"id": 2, "item": "milk"}, {"id": 1, "item": "bread"}]),
        ("newest", [9], []),
        ("find", [2], {"item": "milk"}),
        ("find", [9], None),
        ("item_of", [1], "bread"),
    ],
)
def test_the_annotation_says_what_the_result_becomes_also_in_a_replay(
    ready: dict[str, Any],
    run_again: Callable[[str], None],
    step: str,
    arguments: list[Any],
    result: Any,
) -> None:
    for item in ("bread", "milk"):
        call_sql_step("add", item)
    with SetWorkflowID("w"):
        assert call_sql_step(step, *arguments) == result

    run_again("w")

    assert DBOS.retrieve_workflow("w").get_result() == result


def test_a_value_that_is_not_there_is_an_error(ready: dict[str, Any]) -> None:
    with pytest.raises(error.DBOSException, match="gave no row"):
        call_sql_step("item_of", 9)


def test_a_replay_does_not_run_the_statement_again(
    items: Items, ready: dict[str, Any], run_again: Callable[[str], None]
) -> None:
    with SetWorkflowID("w"):
        call_sql_step("add", "bread")

    run_again("w")

    assert DBOS.retrieve_workflow("w").get_result() == 1
    assert items() == ["bread"]


def test_values_of_many_types_come_back_as_the_driver_gives_them(
    declare: Declare, launch: Callable[..., None], run_again: Callable[[str], None]
) -> None:
    @declare(
        "select :number::numeric as n, :moment::timestamptz as m, :raw::bytea as b, "
        ":flags::bool[] as f, :document::jsonb as j, :nothing::text as x",
        name="types",
    )
    def types(
        number: Decimal,
        moment: datetime,
        raw: bytes,
        flags: list[bool],
        document: Any,
        nothing: None,
    ) -> dict[str, Any] | None: ...

    table["types"] = types
    launch()
    document = {"a": [1, None, "é"]}
    expected = {
        "n": Decimal("1.50"),
        "m": MOMENT,
        "b": b"\x00'\\\xff",
        "f": [True, False],
        "j": document,
        "x": None,
    }

    with SetWorkflowID("w"):
        found = call_sql_step(
            "types", Decimal("1.50"), MOMENT, b"\x00'\\\xff", [True, False], document, None
        )
    run_again("w")

    assert found == expected
    assert DBOS.retrieve_workflow("w").get_result() == expected


def test_outside_a_workflow_it_is_a_workflow_of_its_own(
    items: Items, ready: dict[str, Any]
) -> None:
    with SetWorkflowID("alone"):
        assert ready["add"]("bread") == 1

    assert DBOS.retrieve_workflow("alone").get_status().name == "<temp>.add"
    assert items() == ["bread"]


def test_an_error_of_the_statement_is_recorded_and_nothing_written(
    orders: Sql, items: Items, ready: dict[str, Any]
) -> None:
    orders.execute("create unique index on orders (item)")
    call_sql_step("add", "bread")

    with SetWorkflowID("w"), pytest.raises(psycopg.errors.UniqueViolation):
        call_sql_step("add", "bread")

    assert items() == ["bread"]
    [step] = DBOS.list_workflow_steps("w")
    assert isinstance(step["error"], Exception)


def test_a_run_that_lost_its_lease_writes_nothing(
    orders: Sql, items: Items, ready: dict[str, Any]
) -> None:
    with pytest.raises(error.DBOSAwaitedWorkflowCancelledError), SetWorkflowID("w"):
        cancel_and_add("bread")

    assert items() == []


@DBOS.workflow()
def cancel_and_add(item: str) -> None:
    with psycopg.connect(get_runtime("test").engine.options.database_url) as other:
        other.execute("select pyengine.cancel_workflows(array['w'])")
    table["add"](item)


def test_a_lost_answer_leaves_exactly_one_row(
    proxy: CommitProxy, steps: dict[str, Any], launch: Callable[..., None], items: Items, sql: Sql
) -> None:
    table.update(steps)
    # Asked directly: the driver keeps Python's lock while it waits, and the proxy is in this process.
    for step in registry.launch_checks.values():
        step.check(sql, "pyengine")
    registry.launch_checks.clear()
    launch(system_database_url=proxy.url)
    call_sql_step("add", "first")

    proxy.lose_next(b"second")
    assert call_sql_step("add", "second") == 2

    assert proxy.lost == 1
    assert items() == ["first", "second"]


def test_the_server_checks_the_statement_at_launch(
    declare: Declare, launch: Callable[..., None]
) -> None:
    @declare("insert into orders (itme) values (:item)", name="misspelt")
    def misspelt(item: str) -> None: ...

    with pytest.raises(error.DBOSInitializationError, match=r"'misspelt'.*itme"):
        launch()


def test_a_step_that_is_declared_after_the_launch_is_checked_when_it_runs(
    dbos: type[DBOS], declare: Declare, items: Items
) -> None:
    @declare("insert into orders (item) values (:item) returning item", name="late")
    def late(item: str) -> str: ...

    assert late("bread") == "bread"


def no_annotation(item: str): ...  # type: ignore[no-untyped-def]


def with_body(item: str) -> int:
    return len(item)


def nothing() -> None: ...


def not_implemented(item: str) -> int:
    raise NotImplementedError


def gives_rows(item: str) -> list[dict[str, Any]]: ...


@pytest.mark.parametrize(
    ("statement", "function", "message"),
    [
        ("insert into t values (:item)", no_annotation, "no return annotation"),
        ("insert into t values (:item)", with_body, "has a body"),
        ("insert into t values (:item)", gives_rows, "add RETURNING"),
        ("insert into t values (:other)", gives_rows, "no argument 'other'"),
        ("drop table t", nothing, "a step is one SELECT"),
        ("select :item; select 1", gives_rows, "second statement"),
        (
            "merge into t using u on t.id = u.id and u.x = :item when matched then delete returning t.id",
            gives_rows,
            "@DBOS.transaction",
        ),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_declared(
    declare: Declare, statement: str, function: Any, message: str
) -> None:
    with pytest.raises(error.DBOSInvalidArgumentError, match=message):
        declare(statement)(function)


def test_a_body_that_only_raises_not_implemented_is_no_body(declare: Declare) -> None:
    declare("delete from orders where item = :item")(not_implemented)


def test_a_merge_counts_its_rows(
    orders: Sql, declare: Declare, launch: Callable[..., None], items: Items
) -> None:
    orders.execute("insert into orders (item) values ('bread')")

    @declare(
        "merge into orders o using (values (:item)) as v(item) on o.item = v.item "
        "when matched then update set item = v.item || '!' when not matched then insert (item) values (v.item)",
        name="merge",
    )
    def merge(item: str) -> int: ...

    table["merge"] = merge
    launch()

    assert call_sql_step("merge", "bread") == 1
    assert items() == ["bread!"]


def test_it_works_in_a_separate_application_database(
    server: embedded.Server,
    engine_url: str,
    steps: dict[str, Any],
    launch: Callable[..., None],
    sql: Sql,
    run_again: Callable[[str], None],
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(engine_url)["dbname"]) + "_steps"
    sql.execute(query.SQL("create database {}").format(query.Identifier(name)))
    table.update(steps)
    with psycopg.connect(server.url(name), autocommit=True) as shop:
        shop.execute("create table orders (id bigint generated always as identity, item text)")
        launch(application_database_url=server.url(name))

        with SetWorkflowID("w"):
            assert call_sql_step("add", "bread") == 1
        assert asyncio.run(call_sql_step_async("add_async", "milk")) == 2
        sql.execute("delete from pyengine.steps")
        run_again("w")

        assert DBOS.retrieve_workflow("w").get_result() == 1
        assert shop.execute("select item from orders order by id").fetchall() == [
            ("bread",),
            ("milk",),
        ]
        assert (
            shop.execute("select xmin::text from orders").fetchall()
            == shop.execute("select xmin::text from pyengine.transaction_checkpoints").fetchall()
        )
        DBOS.destroy()
    sql.execute(query.SQL("drop database {} with (force)").format(query.Identifier(name)))
