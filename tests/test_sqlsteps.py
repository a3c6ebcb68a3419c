"""SQL steps as they are declared: what is accepted and how the text is cut."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pglast.parser
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyengine.errors import DBOSInvalidArgumentError
from pyengine.sqlsteps import SqlStatement, compile_sql_step


def signature(*names: str) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([inspect.Parameter(name, kind) for name in names])


def compiled(sql: str, *names: str, **options: Any) -> SqlStatement:
    return compile_sql_step(sql, signature(*names), name="pay", **options)


def refusal(sql: str, *names: str, **options: Any) -> str:
    with pytest.raises(DBOSInvalidArgumentError) as caught:
        compiled(sql, *names, **options)
    assert "SQL step 'pay': " in caught.value.message
    return caught.value.message.removeprefix("SQL step 'pay': ")


# Parameters


def test_each_name_becomes_one_number_in_the_order_of_first_use() -> None:
    statement = compiled("select :b, :a, :b from t where x = :a", "a", "b")

    assert statement.text == "select $1, $2, $1 from t where x = $2"
    assert statement.parameters == ("b", "a")


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("select :a::int, x::text", "select $1::int, x::text"),
        ("select x ? :a, x ?| y, x ?& y, x @? '$.a'", "select x ? $1, x ?| y, x ?& y, x @? '$.a'"),
        ("select x?:a", "select x?$1"),
        ("select x % 2, '%s %(a)s', :a", "select x % 2, '%s %(a)s', $1"),
        ("select ':b', ':b'':c', :a", "select ':b', ':b'':c', $1"),
        (r"select 'c:\', E'it\'s :b', :a", r"select 'c:\', E'it\'s :b', $1"),
        ('select ":b", :a as ":c"', 'select ":b", $1 as ":c"'),
        ("select $$ :b $$, $x$ :b $$ :c $x$, :a", "select $$ :b $$, $x$ :b $$ :c $x$, $1"),
        ("select :a -- :b\n, 1", "select $1 -- :b\n, 1"),
        ("select /* :b /* :c */ :d */ :a", "select /* :b /* :c */ :d */ $1"),
        ("select x[1:n], x[lo:hi], :a", "select x[1:n], x[lo:hi], $1"),
        ("select x[1: :a], x[:a]", "select x[1: $1], x[$1]"),
        ("select f(y => :a, z:=:a)", "select f(y => $1, z:=$1)"),
        ("select 1-:a+:a||:a,:a,(:a)", "select 1-$1+$1||$1,$1,($1)"),
        ("select x @> :a, x -> :a, x #>> :a", "select x @> $1, x -> $1, x #>> $1"),
        ("insert into t values (:a,:a)", "insert into t values ($1,$1)"),
        ("select x from t limit :a", "select x from t limit $1"),
        ("/*+ IndexScan(t) */ select :a", "/*+ IndexScan(t) */ select $1"),
        ("  select :a  ", "select $1"),
        ("select :a;", "select $1"),
        (";; select :a -- x\n ; ;-- y", "select $1 -- x\n    -- y"),
        ("SELECT  :a,\n\tNow ( )", "SELECT  $1,\n\tNow ( )"),
    ],
)
def test_only_parameters_change_in_the_users_text(sql: str, text: str) -> None:
    statement = compiled(sql, "a")

    assert statement.text.strip() == text
    assert statement.parameters == ("a",)


@pytest.mark.parametrize("name", ["user", "limit", "order", "date", "größe", "_x1", "a1"])
def test_a_parameter_may_have_any_name_that_python_allows(name: str) -> None:
    assert compiled(f"select :{name}", name).text == "select $1"


# Operands, and the parameters in each.
_OPERANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys([":a", "(:a)", ":a::int", "x[:a]", "x[1: :a]", "f(y=>:a)", "f(y:=:a)"], ("a",)),
    **dict.fromkeys([":bb", " /*c:a*/:bb", "array[:bb]", "(-:bb)", "(select :bb)"], ("bb",)),
    **dict.fromkeys(["(:a,:bb)", "x[:a : :bb]", "coalesce(:bb,:a)"], ("a", "bb")),
    **dict.fromkeys(["x", "1.5", "'q:a'", '"i:a"', "$$d:a$$", "$t$:a$$$t$", "E'e\\':a'"], ()),
    **dict.fromkeys(["x[1:n]", "x[lo:hi]", "'it''s :a'", "'\\'", "1::int", "1 --l:a\n", "é"], ()),
}
_OPERATORS = ["+", "-", ",", "||", "->", "->>", "?", "@>", "%", "/*c:bb*/+", "=", "--:a '\n*", "#>"]
_SPACE = st.sampled_from(["", " ", "\n"])
_OPERATION = st.tuples(
    _SPACE, st.sampled_from(_OPERATORS), _SPACE, st.sampled_from(list(_OPERANDS))
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_OPERATION, min_size=1, max_size=6))
def test_postgresql_finds_the_parameters_where_we_do(
    operations: list[tuple[str, str, str, str]],
) -> None:
    sql = "select x" + "".join(map("".join, operations)) + " from t"
    names = sorted({name for *_, operand in operations for name in _OPERANDS[operand]})
    try:
        tokens = pglast.parser.scan(sql.replace(":a", "$1").replace(":bb", "$2"))
    except pglast.parser.ParseError:
        assume(False)

    statement = compiled(sql, *names)

    written = statement.text
    found = [token for token in pglast.parser.scan(written) if token.name == "PARAM"]
    assert len(found) == len([token for token in tokens if token.name == "PARAM"])
    for token in reversed(found):
        name = statement.parameters[int(written[token.start + 1 : token.end + 1]) - 1]
        written = f"{written[: token.start]}:{name}{written[token.end + 1 :]}"
    assert written == sql


def test_self_and_cls_are_no_parameters() -> None:
    assert compiled("select :a", "self", "a").parameters == ("a",)
    assert compiled("select :a", "cls", "a").parameters == ("a",)


def test_missing_and_unused_arguments_are_both_named() -> None:
    message = refusal("select\n  :a, :b", "c", "d")

    assert message == (
        "its function has no argument 'a', 'b'; it does not use the argument 'c', 'd' "
        "(line 2, column 3)"
    )
    assert refusal("select 1", "c") == "it does not use the argument 'c'"


def test_a_function_with_unnamed_arguments_is_refused() -> None:
    def pay(*args: int, **options: int) -> None:
        raise NotImplementedError

    with pytest.raises(DBOSInvalidArgumentError, match=r"its function takes \*args: "):
        compile_sql_step("select 1", inspect.signature(pay), name="pay")


# What is refused


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("", "it holds no SQL statement"),
        (" ; -- nothing", "it holds no SQL statement"),
        ("select 1; select 2", "it holds a second statement (line 1, column 11)"),
        ("select 1;\ncommit", "it holds a second statement (line 2, column 1)"),
        ("select 'x", "a string, a quoted name or a comment in it never ends"),
        ("select 1 /* x", "a string, a quoted name or a comment in it never ends"),
        ("select a\nfrom t where and", "it is no SQL that can be checked, at 'and' (line 2, col"),
        ("select 1 into t", "SELECT INTO makes a table; insert into one that exists"),
        ("select $1", "write a parameter as :name, not as a number (line 1, column 8)"),
        ("select %(x)s", "write a parameter as :name, not %(x)s"),
        ("select x from t where x = ?", "write a parameter as :name, not ?"),
        ("select :a$b", "the name of a parameter must be a Python name (line 1, column 8)"),
        ('select U&"\\0070g_sleep"(1)', 'U&"…" names are not supported'),
    ],
)
def test_what_cannot_be_checked_is_refused_with_its_place(sql: str, problem: str) -> None:
    assert refusal(sql).startswith(problem)


def test_the_place_of_an_error_is_the_place_in_the_users_text() -> None:
    message = refusal("select :aaaaaaa, :aaaaaaa from t where :aaaaaaa and or x", "aaaaaaa")

    assert message == "it is no SQL that can be checked, at 'or' (line 1, column 53)"


@pytest.mark.parametrize(
    "sql",
    [
        "commit", "begin", "start transaction", "savepoint a", "abort", "end", "rollback",
        "do $$ begin end $$", "call f()", "copy t to stdout", "set x = 1", "set local x = 1",
        "listen a", "notify a", "truncate t", "explain select 1", "prepare a as select 1", "lock t",
        "create table t (a int)", "drop table t", "alter table t add a int", "grant all on t to u",
        "vacuum", "show x", "reset all", "discard all", "declare c cursor for select 1", "x",
        "explain analyze delete from t", "create table t as select 1",
        "refresh materialized view v",
    ],
)  # fmt: skip
def test_a_statement_that_is_no_step_is_refused(sql: str, caplog: pytest.LogCaptureFixture) -> None:
    assert refusal(sql) == (
        "a step is one SELECT, VALUES, INSERT, UPDATE, DELETE or MERGE statement (line 1, column 1)"
    )
    assert caplog.records == []


@pytest.mark.parametrize(
    "call",
    [
        "pg_advisory_lock(1)", "pg_advisory_lock_shared(1)", "pg_try_advisory_lock(1)",
        "pg_advisory_unlock_all()", "set_config('a', 'b', false)", "dblink('x', 'y')",
        "dblink_exec('x')", "pg_sleep(1)", "pg_sleep_for('1 s')", "lo_import('/x')",
        "lo_export(1, '/x')", "pg_read_file('/x')", "pg_read_binary_file('/x')", "pg_ls_dir('/')",
        "pg_ls_waldir()", "pg_stat_file('/x')", "pg_terminate_backend(1)", "pg_cancel_backend(1)",
        "pg_reload_conf()", "query_to_xml('x', true, true, '')", "pg_switch_wal()",
        "pg_create_physical_replication_slot('x')", "pg_logical_slot_get_changes('x')",
        "PG_SLEEP(1)", '"pg_sleep"(1)', "pg_catalog.pg_sleep(1)", "pg_sleep /* x */ (1)",
        'pg_catalog . "pg_sleep" (1)',
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "sql", ["select {}", "select * from {} as x", "insert into t select 1 where {} is null"]
)
def test_a_function_whose_effect_outlives_the_step_is_refused(sql: str, call: str) -> None:
    assert " is not allowed: " in refusal(sql.format(call))


@pytest.mark.parametrize(
    "expression",
    [
        "pg_advisory_xact_lock(1)",
        "current_setting('a')",
        "'pg_sleep(1)'",
        "pg_sleep",
        '"PG_SLEEP"(1)',
    ],
)
def test_a_function_or_word_that_only_looks_like_one_is_allowed(expression: str) -> None:
    assert compiled(f"select {expression}").returns_rows


@pytest.mark.parametrize(
    "sql",
    [
        "select * from pyengine.workflows",
        'select * from "pyengine".workflows',
        "select * from PyEngine.workflows",
        "select * from db.pyengine.workflows",
        "insert into pyengine.steps values (1)",
        "update only pyengine.steps set a = 1",
        "delete from t using pyengine.steps",
        "merge into pyengine.steps using s on true when matched then delete",
        "with a as (delete from pyengine.steps returning 1) select * from a",
        "select (select count(*) from pyengine.steps)",
    ],
)
def test_the_tables_of_the_engine_are_refused(sql: str) -> None:
    message = refusal(sql)

    assert " is a table of the engine; call its functions (line 1, column " in message
    place = int(message.rpartition("column ")[2].rstrip(")")) - 1
    assert sql[place:].lower().startswith(("pyengine", '"pyengine'))


def test_the_schema_of_the_engine_is_the_configured_one() -> None:
    assert refusal("select * from dbos.workflows", engine_schema="dbos").startswith("workflows is")
    assert compiled("select * from pyengine.workflows", engine_schema="dbos").returns_rows
    assert compiled('select * from "PyEngine".workflows').returns_rows
    assert compiled(
        "select pyengine.x, f.* from pyengine, pyengine.list_workflows() f"
    ).returns_rows


# What is known about a statement


@pytest.mark.parametrize(
    ("sql", "writes", "rows", "one_trip"),
    [
        ("select 1", False, True, True),
        ("(select 1)", False, True, True),
        ("table t", False, True, True),
        ("values (1), (2)", False, True, True),
        ("select 1 union select 2", False, True, True),
        ("with a as (select 1) select * from a", False, True, True),
        ("select x from t for update skip locked", True, True, True),
        ("insert into t values (1)", True, False, True),
        ("insert into t select 1 returning x", True, True, True),
        ("insert into t values (1) on conflict (x) do update set x = 1", True, False, True),
        ("update t set x = 1", True, False, True),
        ("update t set x = 1 returning *", True, True, True),
        ("delete from t", True, False, True),
        ("delete from t returning x", True, True, True),
        ("merge into t using s on true when matched then delete", True, False, False),
        ("with a as (insert into t values (1) returning x) select * from a", True, True, True),
        ("with a as (delete from t returning x) insert into s select x from a", True, False, True),
        ("(with a as (insert into t values (1)) select 1)", True, True, False),
    ],
)
def test_a_statement_says_what_it_does(sql: str, writes: bool, rows: bool, one_trip: bool) -> None:
    statement = compiled(sql)

    assert statement.writes is writes
    assert statement.returns_rows is rows
    assert statement.single_round_trip is one_trip


def test_a_statement_that_cannot_be_wrapped_says_so() -> None:
    with pytest.raises(DBOSInvalidArgumentError, match="'pay' cannot run inside another statement"):
        compiled("merge into t using s on true when matched then delete").as_json_cte()


def test_the_fingerprint_ignores_layout_and_notices_meaning() -> None:
    base = compiled("select a, b from t where x = :p", "p").fingerprint

    assert compiled("SELECT a,\n  b -- note\nFROM t WHERE x = :p;", "p").fingerprint == base
    assert compiled("select a, b from t where x = :q", "q").fingerprint != base
    assert compiled("select b, a from t where x = :p", "p").fingerprint != base
    assert compiled("select a, b from t where x = 'p'").fingerprint != base
    assert compiled("select :p, _p", "p").fingerprint != compiled("select _p, :p", "p").fingerprint


def test_importing_the_module_does_not_import_sqlglot() -> None:
    program = "import sys, pyengine.sqlsteps; sys.exit('sqlglot' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
