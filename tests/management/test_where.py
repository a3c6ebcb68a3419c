"""The filter language: conditions that people write, what they find, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, schema
from pyengine.errors import DBOSInvalidArgumentError
from pyengine.filters import COLUMNS, compile_condition

Connection = psycopg.Connection[Any]

ROWS = """
    insert into pyengine.workflows (
        workflow_id, status, name, queue_name, priority, attributes, timeout, was_forked_from, authenticated_user,
        created_at, updated_at, started_at, finished_at, attempt_count, serialization, inputs, application_name
    )
    select r.id, r.status, r.name, r.queue, r.priority, r.attributes::jsonb, r.timeout::interval, r.id = 'f', r.usr,
        pyengine.now() - r.age::interval, pyengine.now(), pyengine.now() - r.age::interval,
        case when r.status in ('SUCCESS', 'ERROR') then pyengine.now() - r.age::interval + interval '10 minutes' end,
        1, 'json', '[]', 'test-app'
    from (values
        ('a', 'SUCCESS', 'order_new', null, 0, null, null, '1 hour', 'ada'),
        ('b', 'ERROR', 'order_paid', 'mails', 1, '{"customer": "5", "vip": true}', null, '2 days', null),
        ('c', 'ERROR', 'invoice', 'mails', 2, '{"customer": 5}', '1 hour', '3 hours', 'it''s me'),
        ('d', 'ENQUEUED', 'Order_odd', 'mails', 3, null, null, '2 hours', null),
        ('e', 'ENQUEUED', 'invoice', null, 0, '{"it''s": "%_\\\\"}', null, '1 minute', null),
        ('f', 'SUCCESS', 'invoice', null, 0, null, '2 hours', '5 days', null)
    ) r (id, status, name, queue, priority, attributes, timeout, age, usr)
"""


@pytest.fixture
def six(sql: Connection) -> Connection:
    sql.execute(ROWS)
    return sql


def found(sql: Connection, where: str) -> str:
    query = "select workflow_id from pyengine.list_workflows(condition => %s)"
    return "".join(
        sorted(name for (name,) in sql.execute(query, [json.dumps(compile_condition(where))]))
    )


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("status = 'ERROR' and name like 'order%' and created_at < now() - interval '1 day'", "b"),
        ("status = 'ENQUEUED'", "de"),
        ("'ENQUEUED' = status", "de"),
        ("status <> 'SUCCESS' AND NOT status = 'ENQUEUED'", "bc"),
        ("status in ('ERROR', 'ENQUEUED') and queue_name is not null", "bcd"),
        ("status not in ('ERROR', 'ENQUEUED')", "af"),
        ("name ilike 'ORDER%' or queue_name is null", "abdef"),
        ("name not like '%order%'", "cdef"),
        ("(name = 'invoice' or name = 'order_new') and not (queue_name = 'mails')", ""),
        ("name = 'invoice' and (queue_name = 'mails') is not true", "ef"),
        ("queue_name is distinct from 'mails'", "aef"),
        ("queue_name is not distinct from 'mails'", "bcd"),
        ("priority between 1 and 2", "bc"),
        ("priority not between 1 and 2 and priority > -1", "adef"),
        ("priority + 1 >= 3 - 0", "cd"),
        ("lower(name) like 'order%' and length(name) = 9 and upper(workflow_id) > 'A'", "d"),
        ("created_at > now() - interval '90 minutes'", "ae"),
        ("created_at > now() - interval '1' day - interval '1 hour'", "acde"),
        ("now() - created_at > interval '1 day 1 hour'", "bf"),
        ("created_at > now() - '1 day'", "acde"),
        ("created_at > '2001-01-01' and created_at < '2100-01-01T00:00:00Z'", "abcdef"),
        ("created_at between timestamptz '2001-01-01' and current_timestamp", "abcdef"),
        ("finished_at - started_at >= interval '10 minutes'", "abcf"),
        ("timeout > '1 hour'", "f"),
        ("timeout is null", "abde"),
        ("attributes ->> 'customer' = '5'", "bc"),
        ("attributes ->> 'it''s' = '%_\\'", "e"),
        ("attributes @> '{\"customer\": 5}'", "c"),
        ("was_forked_from", "f"),
        ("not was_forked_from and status = 'SUCCESS'", "a"),
        ("was_forked_from is true", "f"),
        ("authenticated_user = 'it''s me'", "c"),
        ("STATUS = 'ERROR' -- the failed ones", "bc"),
        (" or ".join(["workflow_id = 'a'"] * 300), "a"),
    ],
)
def test_a_condition_finds_what_it_says(six: Connection, where: str, expected: str) -> None:
    assert found(six, where) == expected


def test_a_condition_goes_with_the_other_filters(dbos: type[DBOS], sql: Connection) -> None:
    DBOS.register_queue("mails")
    DBOS.pause_queue("mails")
    sql.execute(ROWS)

    listed = DBOS.list_workflows(
        where="priority >= 0 and name <> 'invoice'",
        status=["ERROR", "ENQUEUED", "SUCCESS"],
        sort_desc=True,
        limit=2,
    )

    assert [status.workflow_id for status in listed] == ["a", "d"]


@pytest.mark.parametrize(
    "hostile",
    [
        "' or true --",
        "'; drop table pyengine.workflows; --",
        "\\' or 1=1 --",
        "$$ or true $$",
        "%s %1$I %L",
        "a') or (true",
        '" or "" = "',
        "é\u2028\u202e\t\n",
    ],
)
def test_values_are_values_whatever_they_hold(six: Connection, hostile: str) -> None:
    quoted = "'" + hostile.replace("'", "''") + "'"
    six.execute("update pyengine.workflows set name = %s where workflow_id = 'a'", [hostile])
    six.execute(
        "update pyengine.workflows set attributes = jsonb_build_object(%s::text, 'x') where workflow_id = 'b'",
        [hostile],
    )

    assert found(six, f"name = {quoted}") == "a"
    assert found(six, f"attributes ->> {quoted} = 'x'") == "b"
    assert found(six, f"name like {quoted} and name in ({quoted}, {quoted})") in ("a", "")
    assert six.execute("select count(*) from pyengine.workflows").fetchone() == (6,)


@pytest.mark.parametrize(
    ("where", "column", "problem"),
    [
        ("status = 'ERROR' and nam = 'x'", 22, "there is no column nam: did you mean name?"),
        ("inputs = 'x'", 1, "there is no column inputs"),
        ("lease_token = 'x'", 1, "there is no column lease_token"),
        ('name = "x"', 8, "there is no column x"),
        ("pg_sleep(10) is null", 1, "the function pg_sleep is not allowed"),
        ("name = version()", 8, "not allowed"),
        ("name = coalesce(name, 'x')", 8, "the function coalesce is not allowed"),
        ("status = (select 'ERROR')", 18, "not allowed"),
        ("name in (select 'a')", 1, "in needs a list of values"),
        ("exists (select 1)", 16, "not allowed"),
        ("name = 'a'; drop table pyengine.workflows", 11, "more than one condition"),
        ("name ~ '(a+)+$'", 1, "not allowed"),
        ("name = $1", 9, "not allowed"),
        ("name || 'x' = 'ax'", 1, "not allowed"),
        ("w.name = 'a'", 1, "without a table"),
        ("priority = 'high'", 12, "not a number"),
        ("priority > 'NaN'", 12, "not a number"),
        ("priority = name", 1, "a number can't be compared with a text"),
        ("created_at > 'yesterday'", 14, "not a time"),
        ("created_at > now() - interval '1 fortnight'", 22, "not a duration"),
        ("created_at + created_at > now()", 1, "means nothing"),
        ("name", 1, "a condition is expected here, not a text"),
        ("'x'", 1, "a condition is expected"),
        ("status = 'ERROR' and", 18, "can't be read"),
        ("status = 'ERROR' and (name = 'x'", 30, "can't be read"),
        ("name = 'x", 1, "a quote is not closed"),
        ("1=1) or (1=1", 4, "can't be read"),
        ("attributes = 'x'", 1, "use attributes ->> 'key'"),
        ("attributes -> 'a' ->> 'b' = 'x'", 1, "only attributes has keys"),
        ("attributes @> '[1]'", 1, "a json object in quotes is expected"),
        ("name = 'a'::regclass", 8, "only a text in quotes can be cast"),
        ("status = 'a' 'b'", 10, "not allowed"),
        ("status = E'a'", 10, "not allowed"),
        ("case when true then true end", 1, "not allowed"),
        ("name like 'a' escape '!'", 1, "not allowed"),
    ],
)
def test_anything_else_is_refused_with_its_position(where: str, column: int, problem: str) -> None:
    with pytest.raises(DBOSInvalidArgumentError) as refused:
        compile_condition(where)

    first, shown, marks = str(refused.value.message).split("\n")
    assert problem in first
    assert first.startswith(f"where, line 1, column {column}:")
    assert shown == f"  {where}"
    assert marks.index("^") == column + 1


def test_the_position_counts_lines() -> None:
    with pytest.raises(DBOSInvalidArgumentError, match="line 2, column 5") as refused:
        compile_condition("status = 'ERROR'\nand nam = 'x'\nor name = 'y'")

    assert refused.value.ids == {"line": 2, "column": 5}
    assert str(refused.value).endswith("\n  and nam = 'x'\n      ^^^")


@pytest.mark.parametrize(
    "where", ["", "  ", "x" * 10_001, "name = '\x00'", "(" * 5000 + "true" + ")" * 5000]
)
def test_what_is_no_condition_at_all_is_refused(where: str) -> None:
    with pytest.raises(DBOSInvalidArgumentError):
        compile_condition(where)


def by_tree(sql: Connection, tree: object) -> list[Any]:
    query = "select workflow_id from pyengine.list_workflows(condition => %s)"
    return sql.execute(query, [json.dumps(tree)]).fetchall()


def test_every_column_of_the_language_is_one_of_sql(sql: Connection) -> None:
    for column in COLUMNS:
        assert by_tree(sql, {"op": "is null", "args": [{"column": column}]}) == []


def test_sql_knows_the_same_columns_and_no_more(sql: Connection) -> None:
    names = [
        name
        for (name,) in sql.execute(
            "select attname from pg_attribute where attrelid = 'pyengine.workflows'::regclass"
        )
    ]
    for name in set(names) - set(COLUMNS):
        with pytest.raises(psycopg.Error) as refused:
            by_tree(sql, {"op": "is null", "args": [{"column": name}]})
        assert refused.value.sqlstate == "PE400"


@pytest.mark.parametrize(
    "tree",
    [
        {"op": "; drop table pyengine.workflows", "args": [{"boolean": True}]},
        {"op": "= true or", "args": [{"column": "name"}, {"text": "x"}]},
        {"op": "is null", "args": [{"column": "name) or (true"}]},
        {"op": "is null", "args": [{"column": "name", "text": "x"}]},
        {"op": "is null", "args": [{}]},
        {"op": "is null", "args": [{"sql": "true"}]},
        {"op": "is null", "args": ["name"]},
        {"op": "is null", "args": [None]},
        {"op": "is null", "args": []},
        {"op": "is null"},
        {"op": "and", "args": []},
        {"op": "in", "args": [{"column": "name"}]},
        {"op": ["and"], "args": [{"boolean": True}]},
        {"column": None},
        [],
        "true",
        1,
    ],
)
def test_sql_refuses_trees_that_mean_nothing(sql: Connection, tree: object) -> None:
    with pytest.raises(psycopg.Error) as refused:
        by_tree(sql, tree)

    assert refused.value.sqlstate == "PE400"


@pytest.mark.parametrize("kind", ["time", "interval", "number", "boolean", "json"])
def test_sql_reads_values_before_it_uses_them(sql: Connection, kind: str) -> None:
    with pytest.raises(psycopg.DataError):
        by_tree(sql, {"op": "=", "args": [{"column": "name"}, {kind: "1; select pg_sleep(9) --"}]})


def test_sql_refuses_a_tree_that_is_too_deep(sql: Connection) -> None:
    tree: Any = {"boolean": True}
    for _ in range(60):
        tree = {"op": "not", "args": [tree]}

    with pytest.raises(psycopg.Error, match="50 deep"):
        by_tree(sql, tree)


def test_a_condition_works_under_another_schema_name(engine_url: str) -> None:
    with psycopg.connect(engine_url, autocommit=True) as connection:
        schema.migrate(connection, schema="my own")
        try:
            query = 'select count(*) from "my own".list_workflows(condition => %s)'
            tree = compile_condition(
                "status = 'ENQUEUED' and created_at > now() - interval '1 day'"
            )
            assert connection.execute(query, [json.dumps(tree)]).fetchone() == (0,)
        finally:
            schema.reset(connection, "my own", truncate=False)
