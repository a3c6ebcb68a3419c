"""SQL steps on a server: their rows in one round trip, their columns, and their values."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from pyengine.errors import DBOSInitializationError, DBOSSerializationError
from pyengine.sqlsteps import Column, SqlStatement, compile_sql_step, decode_rows, describe


def compiled(sql: str, *names: str) -> SqlStatement:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    return compile_sql_step(sql, signature, name="pay")


@pytest.fixture(scope="module")
def conn(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection with a schema of its own, whose work is never committed."""
    with psycopg.connect(database_url, cursor_factory=psycopg.RawCursor) as connection:
        connection.execute("create schema sqlsteps")
        connection.execute("set local search_path = sqlsteps")
        connection.execute("create table t (id int primary key, x text, n numeric(10, 2))")
        yield connection
        connection.rollback()


@pytest.fixture
def table(conn: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """The connection, with three rows in `t`."""
    with conn.transaction(force_rollback=True):
        conn.execute("insert into t values (1, 'a', 1.5), (2, 'b', 2.25), (3, null, null)")
        yield conn


def run(
    conn: psycopg.Connection[Any], statement: SqlStatement, *values: object
) -> tuple[list[dict[str, object]], int]:
    """Run a statement in one round trip, as the engine does."""
    columns = describe(conn, statement)
    wrapped = statement.as_json_cte("select rows::text, row_count from {result}")
    row = conn.execute(wrapped, values).fetchone()
    assert row is not None
    return decode_rows(row[0], columns), row[1]


@pytest.mark.parametrize(
    ("sql", "values", "rows", "count"),
    [
        ("select id, n from t where id < :a order by id desc", [3], [(2, "2.25"), (1, "1.50")], 2),
        ("select id from t where id > :a", [9], [], 0),
        ("values (:a::int), (2) -- end", [1], [(1,), (2,)], 2),
        ("table t limit :a", [0], [], 0),
        ("(select id from t order by id limit :a)", [1], [(1,)], 1),
        ("select id from t union all select :a order by 1 desc", [7], [(7,), (3,), (2,), (1,)], 4),
        ("with w as (select id from t) select id from w where id=:a", [2], [(2,)], 1),
        ("select id from t where id = :a for update", [1], [(1,)], 1),
        ("insert into t values (:a) returning id, x", [9], [(9, None)], 1),
        ("insert into t values (:a, 'x')", [9], [], 1),
        ("insert into t values (:a), (10) on conflict do nothing", [1], [], 1),
        ("insert into t(id) select 100 + id from t where id <> :a -- end", [1], [], 2),
        ("insert into t values (:a) on conflict (id) do update set x = 'z' returning x",
         [1], [("z",)], 1),
        ("update t set x = x where id < :a", [3], [], 2),
        ("update t set x = 'q' where id = :a returning id, x", [3], [(3, "q")], 1),
        ("delete from t where id >= :a", [2], [], 2),
        ("delete from t where id > :a", [5], [], 0),
        ("with w as (select 1 as id) insert into t select id + :a from w", [50], [], 1),
        ("with w as (insert into t values (:a) returning id) select id + 1 as y from w",
         [20], [(21,)], 1),
        ("""with recursive w(id) as (delete from t where id = :a returning id), v as (select 1)
            update t set x = 'moved' from w where t.id = w.id + 1 returning t.id""",
         [1], [(2,)], 1),
        ("""with w as (delete from t returning id)
            insert into t(id) select id + 100 from w where id < :a""",
         [3], [], 2),
    ],
)  # fmt: skip
def test_a_wrapped_statement_gives_its_rows_in_order_and_counts_them(
    table: psycopg.Connection[Any], sql: str, values: list[Any], rows: list[Any], count: int
) -> None:
    statement = compiled(sql, "a")

    found, counted = run(table, statement, *values)

    shown = [tuple(str(v) if k == "n" else v for k, v in row.items()) for row in found]
    assert shown == rows
    assert counted == count


def test_a_wrapped_statement_does_what_the_statement_does(table: psycopg.Connection[Any]) -> None:
    statement = compiled("update t set x = :x where id <= :id", "x", "id")
    with table.transaction(force_rollback=True):
        touched = table.execute(statement.text, ["new", 2]).rowcount
        expected = table.execute("select * from t order by id").fetchall()

    _, count = run(table, statement, "new", 2)

    assert count == touched == 2
    assert table.execute("select * from t order by id").fetchall() == expected


def test_the_order_of_many_rows_is_kept(table: psycopg.Connection[Any]) -> None:
    statement = compiled(
        "select i, md5(i::text) as h from generate_series(1, :n) i order by md5(i::text), i", "n"
    )

    rows, count = run(table, statement, 20_000)

    assert count == 20_000
    assert [row["h"] for row in rows] == sorted(str(row["h"]) for row in rows)


def test_columns_named_like_our_own_do_not_disturb(table: psycopg.Connection[Any]) -> None:
    statement = compiled(
        'select 1 as rows, 2 as row_count, 3 as x, 4 as q, 5 as x, 6, 7 as "Ä ""b"'
    )

    rows, _ = run(table, statement)

    assert rows == [
        {"rows": 1, "row_count": 2, "x": 5, "q": 4, "?column?": 6, 'Ä "b': 7},
    ]


def test_the_result_can_be_given_to_another_function_with_parameters_of_its_own(
    table: psycopg.Connection[Any],
) -> None:
    statement = compiled("insert into t values (:id, :x) returning id", "id", "x")
    wrapped = statement.as_json_cte(
        "select json_build_object('step', $3::int, 'rows', rows, 'count', row_count)::text "
        "from {result}"
    )

    row = table.execute(wrapped, [8, "x", 4]).fetchone()

    assert row is not None
    assert json.loads(row[0]) == {"step": 4, "rows": [{"id": 8}], "count": 1}


def test_the_server_describes_the_columns(table: psycopg.Connection[Any]) -> None:
    statement = compiled('select id, x as "Name", n, :p::uuid as u from t where id = :q', "p", "q")

    assert describe(table, statement) == (
        Column("id", 23),
        Column("Name", 25),
        Column("n", 1700),
        Column("u", 2950),
    )
    assert describe(table, compiled("delete from t")) == ()


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select\n nothing from t", 'column "nothing" does not exist'),
        ("select * from nowhere", 'relation "nowhere" does not exist'),
        ("select idd from t", "Perhaps you meant to reference the column"),
        ("select 1 + now()", "operator does not exist"),
    ],
)
def test_a_statement_that_the_server_refuses_is_named_with_the_reason(
    conn: psycopg.Connection[Any], sql: str, reason: str
) -> None:
    with pytest.raises(DBOSInitializationError) as caught:
        describe(conn, compiled(sql))

    assert "SQL step 'pay' was refused: " in caught.value.message
    assert reason in caught.value.message
    assert f"line {sql.count(chr(10)) + 1}" in caught.value.message
    assert conn.execute("select 1").fetchone() == (1,)


def test_a_lost_connection_is_reported_as_such(database_url: str) -> None:
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        second.autocommit = True
        second.execute("select pg_terminate_backend(%s)", [first.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            describe(first, compiled("select 1"))


_VALUES = {
    "int2": ["1", "-32768"],
    "int4": ["2147483647"],
    "int8": ["9223372036854775807", "-9223372036854775808"],
    "numeric": ["1", "1.50", "-0.000000000000000001", "123456789012345678901234567890.12", "NaN",
                "Infinity", "1e-20", "0"],
    "numeric(10,2)": ["100", "3.1"],
    "float4": ["1.1", "NaN", "-Infinity"],
    "float8": ["0.1", "1e300", "3", "Infinity", "NaN", "1e-5"],
    "bool": ["true", "false"],
    "text": ["", "a\"b\\c\n\t", "Ä😀", "NaN", "2020-01-01T00:00:00", "null"],
    "varchar(5)": ["abc"],
    "char(5)": ["abc"],
    "name": ["abc"],
    '"char"': ["a"],
    "bytea": ["", "\\x00ff10", "abc"],
    "uuid": ["00000000-0000-0000-0000-00000000000f"],
    "date": ["2020-02-29", "0001-01-01", "9999-12-31"],
    "time": ["04:05:06", "04:05:06.7", "23:59:59.999999"],
    "timetz": ["04:05:06.7+02", "04:05:06-03:30"],
    "timestamp": ["2020-02-29 01:02:03", "2020-02-29 01:02:03.5", "9999-12-31 23:59:59.999999"],
    "timestamptz": ["2020-02-29 01:02:03.000001+05", "1890-01-01 00:00+00", "2020-07-01 12:00+00"],
    "interval": ["1 day 02:03:04.5", "-1 day +00:00:01", "1 year 2 mons 3 days", "-00:00:00.001"],
    "json": ['{"b": 1, "a": [1.5, null, "x", 1e2, {"c": 0.1}]}', "null", "[]", "1.10", '"s"'],
    "jsonb": ['{"b": 1, "a": [1.5, true]}', "12345678901234567890", "0.1"],
    "inet": ["10.0.0.1", "10.0.0.0/8", "::1"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03"],
    "oid": ["4294967295"],
    "money": ["12.50"],
    "bit(3)": ["101"],
    "point": ["(1,2)"],
    "tsvector": ["a b"],
    "int4range": ["[1,5)", "empty"],
    "tstzrange": ["[2020-01-01 00:00+00,2020-02-01 00:00+00)"],
    "nummultirange": ["{[1.5,2.5]}"],
    "regclass": ["pg_class"],
    "xid": ["5"],
    "colour": ["red"],
    "positive": ["1.50"],
    "int4[]": ["{1,NULL,3}", "{}", "{{1,2},{3,4}}", "[2:3]={1,2}"],
    "int8[]": ["{9223372036854775807}"],
    "numeric[]": ["{1.50,NULL}", "{NaN}"],
    "float8[]": ["{0.1,Infinity,3}"],
    "text[]": ["{a,NULL,\"b,c\"}"],
    "bytea[]": ['{"\\\\x00ff"}'],
    "uuid[]": ["{00000000-0000-0000-0000-00000000000f}"],
    "date[]": ["{2020-02-29}"],
    "timestamp[]": ['{"2020-02-29 01:02:03.5"}'],
    "timestamptz[]": ['{{"2020-02-29 01:02:03+05"}}'],
    "interval[]": ['{"1 day 02:03:04.5"}'],
    "json[]": ['{"[1.5, 2]","{\\"a\\": 0.1}",NULL}'],
    "jsonb[]": ['{"[1.5, [2]]"}'],
    "int4range[]": ['{"[1,5)"}'],
}  # fmt: skip


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "Asia/Kathmandu"])
@pytest.mark.parametrize("type_name", _VALUES)
def test_decoded_rows_equal_what_the_driver_gives(
    conn: psycopg.Connection[Any], type_name: str, zone: str
) -> None:
    with conn.transaction(force_rollback=True):
        conn.execute("create type colour as enum ('red')")
        conn.execute("create domain positive as numeric check (value > 0)")
        conn.execute(f"set local timezone = '{zone}'")
        conn.execute(f"create table v (i serial, v {type_name})")
        for text in [*_VALUES[type_name], None]:
            conn.execute(f"insert into v (v) values (cast($1::text as {type_name}))", [text])
        statement = compiled("select i, v from v order by i")

        found, _ = run(conn, statement)
        with conn.cursor(row_factory=dict_row) as cursor:
            expected = cursor.execute("select i, v from v order by i").fetchall()

    assert len(found) == len(_VALUES[type_name]) + 1
    for ours, theirs in zip(found, expected, strict=True):
        assert type(ours["v"]) is type(theirs["v"])
        # repr tells 1.5 from 1.50 and NaN is itself; moments may show another zone.
        same_text = repr(ours) == repr(theirs)
        assert same_text or (type_name.startswith(("timestamptz", "tstz")) and ours == theirs)


def test_a_result_of_all_types_at_once_is_decoded_by_column(conn: psycopg.Connection[Any]) -> None:
    columns = [
        f"'{values[0]}'::{name} as c{number}"
        for number, (name, values) in enumerate(_VALUES.items())
        if name not in ("colour", "positive")
    ]
    statement = compiled(f"select {', '.join(columns)}")

    found, _ = run(conn, statement)

    with conn.cursor(row_factory=dict_row) as cursor:
        assert found == cursor.execute(statement.text.encode()).fetchall()


@pytest.mark.parametrize(
    "value", ["'infinity'::timestamptz", "'-infinity'::date", "'0044-03-15 BC'::date"]
)
def test_a_value_without_a_form_in_python_is_refused_by_its_column(
    conn: psycopg.Connection[Any], value: str
) -> None:
    statement = compiled(f"select {value} as due")

    with pytest.raises(DBOSSerializationError, match="in the column 'due'") as caught:
        run(conn, statement)

    assert caught.value.__context__ is None


@pytest.mark.parametrize("style", ["iso_8601", "sql_standard", "postgres_verbose"])
def test_an_interval_in_another_style_is_refused_and_never_misread(
    conn: psycopg.Connection[Any], style: str
) -> None:
    with conn.transaction(force_rollback=True):
        conn.execute(f"set local intervalstyle = '{style}'")
        with pytest.raises(DBOSSerializationError, match="in the column 'span'"):
            run(conn, compiled("select interval '1 day 2 hours' as span"))


def test_the_settings_of_the_session_do_not_change_the_values(
    conn: psycopg.Connection[Any],
) -> None:
    statement = compiled(
        "select '\\x00ff'::bytea as b, date '2020-02-03' as d, timestamptz '2020-02-03 04:05Z' as t"
    )
    expected, _ = run(conn, statement)

    with conn.transaction(force_rollback=True):
        conn.execute("set local bytea_output = 'escape'")
        conn.execute("set local datestyle = 'German, DMY'")
        found, _ = run(conn, statement)

    assert found == expected


def test_numbers_of_any_length_are_decoded() -> None:
    digits = "9" * 20_000

    (row,) = decode_rows(
        f'[{{"n": {digits}, "f": {digits}.5}}]', [Column("n", 1700), Column("f", 1700)]
    )

    assert str(row["n"]) == digits
    assert str(row["f"]) == digits + ".5"


def test_no_rows_are_decoded_from_null() -> None:
    assert decode_rows("null", []) == []
    assert decode_rows(b"[]", [Column("x", 23)]) == []
