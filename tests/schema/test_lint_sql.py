"""The conventions of the SQL files: ours keep them, and a file that breaks one is found."""

import pytest

from pyengine.schema import sql_root
from tests.schema.conftest import Tree
from tests.tools.lint_sql import LAST_WITH_WAITING_WRITERS, problems

GOOD = """\
create or replace function pyengine.greet(name text)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return 'hello at ' || pyengine.now();
end
$$;

comment on function pyengine.greet is 'Greets. Role: observer.';
"""


def test_the_engines_own_files_keep_the_conventions() -> None:
    assert problems(sql_root()) == []


def test_a_good_function_has_no_problem(tree: Tree) -> None:
    tree.write("functions/base/greet.sql", GOOD)

    assert problems(tree.root) == []


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


BAD_FUNCTIONS = [
    (changed("or replace ", ""), "creates without `or replace`"),
    (changed("pyengine.greet(", "pyengine.other("), "not the name of the file"),
    (changed("pyengine.greet(", "greet("), "not the name of the file"),
    (changed("stable\n", ""), "does not say whether it is volatile"),
    (changed("security definer\n", ""), "lacks `security definer`"),
    (changed("set search_path = pg_catalog, pg_temp\n", ""), "lacks `set search_path"),
    (changed("pg_catalog, pg_temp", "pg_temp, pg_catalog"), "lacks `set search_path"),
    (changed("pg_temp\n", "pg_temp\nset enable_seqscan = off\n"), "lacks `set jit = off`"),
    (changed("begin\n", "begin\n perform pyengine._wake('{}');\n"), "on which _wake relies"),
    (changed("begin\n", "begin\n perform 1 where name = any ('{}');\n"), "is planned at each call"),
    (
        changed("comment on function pyengine.greet is 'Greets. Role: observer.';", ""),
        "has no `comment on",
    ),
    (
        changed("comment on function pyengine.greet", "comment on function a.b"),
        "has no `comment on",
    ),
    (changed(" Role: observer.", ""), "does not say who may use greet: end its comment with"),
    (changed("Role: observer.", "Role: janitor."), "does not say who may use greet"),
    (changed("name text", "name text, out reply text"), "the OUT parameter reply"),
    (changed("name text", "inout name text"), "the INOUT parameter name"),
    (changed("name text", "variadic name text[]"), "the VARIADIC parameter name"),
    (changed("name text", "text"), "a parameter without a name"),
    (changed("returns text", "returns table (a text)"), "returns a column a of its own"),
    (
        changed("returns text\n", "").replace("function", "procedure").replace("stable", ""),
        "procedure",
    ),
    (changed("begin\n", "begin\n execute 'select 1';\n"), "builds SQL at run time"),
    (
        changed(
            "begin\n", "declare x record;\nbegin\n for x in execute 'select 1' loop end loop;\n"
        ),
        "builds SQL at",
    ),
    (
        changed("returns text", "returns setof pyengine.schema_migrations").replace(
            "return 'hello at ' || pyengine.now()", "return query execute 'select 1'"
        ),
        "builds SQL at run time",
    ),
    (changed("end\n$$", "exception when others then return '';\nend\n$$"), "EXCEPTION block"),
    (changed("begin\n", "begin\n commit;\n"), "ends the transaction"),
    (changed("pyengine.now()", "now()"), "reads the clock by now"),
    (changed("pyengine.now()", "pg_catalog.now()"), "reads the clock by now"),
    (changed("pyengine.now()", "clock_timestamp()"), "reads the clock by clock_timestamp"),
    (changed("pyengine.now()", "current_timestamp"), "reads the clock by current_timestamp"),
    (changed("pyengine.now();", "pyengine.now() +;"), "cannot parse"),
    (changed("comment on", "create table pyengine.x (id int);\ncomment on"), "holds a CreateStmt"),
    (changed("comment on", "do $$ begin end $$;\ncomment on"), "holds a DoStmt"),
    (changed("comment on", "drop table pyengine.x;\ncomment on"), "holds a DropStmt"),
    (GOOD + GOOD, "defines 2 functions"),
    (
        changed("$$\nbegin", "'\nbegin").replace("$$;", "';").replace("'hello at '", "''"),
        "not dollar-",
    ),
]


@pytest.mark.parametrize(("text", "complaint"), BAD_FUNCTIONS)
def test_a_function_that_breaks_a_convention_is_found(
    tree: Tree, text: str, complaint: str
) -> None:
    tree.write("functions/base/greet.sql", text)

    found = problems(tree.root)

    assert any(
        line.startswith("functions/base/greet.sql: ") and complaint in line for line in found
    )


def test_administration_may_build_sql(tree: Tree) -> None:
    tree.write("functions/admin/greet.sql", changed("begin\n", "begin\n execute 'select 1';\n"))

    assert problems(tree.root) == []


@pytest.mark.parametrize(
    ("statement", "is_quoted"),
    [
        ("format('drop role %I', name)", True),
        ("format('drop role %s', name)", False),
        ("'drop role ' || name", False),
        ("name", False),
    ],
)
def test_what_is_built_into_sql_is_quoted(tree: Tree, statement: str, is_quoted: bool) -> None:
    text = changed("begin\n", f"begin\n execute {statement};\n")
    tree.write("functions/admin/greet.sql", text)

    assert bool(problems(tree.root)) is not is_quoted


def test_private_functions_may_run_with_the_rights_of_their_caller(tree: Tree) -> None:
    text = (
        changed("security definer\n", "").replace("greet", "_greet").replace(" Role: observer.", "")
    )
    tree.write("functions/base/_greet.sql", text)

    assert problems(tree.root) == []


def test_two_functions_of_one_name_are_found(tree: Tree) -> None:
    tree.write("functions/base/greet.sql", GOOD)
    tree.write("functions/workflow/greet.sql", GOOD.replace("name text", "name int"))

    assert problems(tree.root) == ["functions: greet is defined 2 times"]


BAD_MIGRATIONS = [
    ("create or replace view pyengine.v as select 1;", "create or replace"),
    (
        "create or replace function pyengine.f() returns int language sql return 1;",
        "create or repl",
    ),
    ("create schema pyengine;", "creates a schema"),
    ("create table if not exists pyengine.t (id int);", "if not exists"),
    ("create table t (id int);", "names t without the schema"),
    (
        "create table pyengine.t (id int); create index t_idx on t (id);",
        "names t without the schema",
    ),
    ("create table public.t (id int);", "names t without the schema"),
    ("create index concurrently t_idx on pyengine.schema_migrations (name);", "concurrently"),
    (
        "-- pyengine: concurrently\ncreate table pyengine.t (id int);",
        "holds a CreateStmt, but says `-- pyengine: concurrently`",
    ),
    (
        "-- pyengine: concurrently\ncreate unique index t_idx on pyengine.schema_migrations (name);",
        "makes a unique index concurrently",
    ),
    ("-- pyengine: concurrently\ndrop index pyengine.a, pyengine.b;", "has no concurrent form"),
    ("commit;", "controls the transaction"),
    ("create extension hstore;", "needs an extension"),
    ("set search_path = x;", "changes a setting"),
    ("create table pyengine.t (at timestamptz default now());", "reads the clock by now"),
    ("create tabel pyengine.t (id int);", "cannot parse"),
]


KEEPS_WAITING = [
    (
        "create index t_idx on pyengine.schema_migrations (name);",
        "changes the indexes of a table in use",
    ),
    ("drop index pyengine.t_idx;", "changes the indexes of a table in use"),
    (
        "alter table pyengine.schema_migrations add constraint c check (version < 9);",
        "checks every row of a table in use",
    ),
]


@pytest.mark.parametrize(("text", "complaint"), KEEPS_WAITING)
def test_a_migration_that_keeps_writers_of_a_table_in_use_waiting_is_found(
    tree: Tree, text: str, complaint: str
) -> None:
    for version in range(1, LAST_WITH_WAITING_WRITERS + 1):
        tree.migration(f"{version:04}_empty", "")
    tree.migration(f"{LAST_WITH_WAITING_WRITERS + 1:04}_bad", text)

    assert any(complaint in problem for problem in problems(tree.root))


@pytest.mark.parametrize(("text", "complaint"), BAD_MIGRATIONS)
def test_a_migration_that_breaks_a_convention_is_found(
    tree: Tree, text: str, complaint: str
) -> None:
    tree.migration("0001_bad", text)

    found = problems(tree.root)

    assert any(line.startswith("migrations/0001_bad.sql: ") and complaint in line for line in found)


def test_a_good_migration_has_no_problem(tree: Tree) -> None:
    tree.migration(
        "0001_good",
        "create table pyengine.t (id int);\ncreate index t_idx on pyengine.t (id);\n"
        "insert into pyengine.t values (1);\ndrop function if exists pyengine.f(int);\n",
    )

    assert problems(tree.root) == []


def test_a_function_among_the_grants_is_found(tree: Tree) -> None:
    tree.write("grants.sql", GOOD)

    assert problems(tree.root) == ["grants.sql: defines a function; those are in functions/"]
