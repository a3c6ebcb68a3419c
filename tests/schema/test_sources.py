"""Which files make up the engine, in which order, and how its schema gets another name."""

import hashlib
import re

import pytest

from pyengine.errors import DBOSInvalidArgumentError
from pyengine.schema import check_schema_name, load, rename_schema, sql_root
from pyengine.schema.sources import migrations, released, repeatables
from tests.schema.conftest import Tree


def test_a_checkout_reads_its_own_sql_directory() -> None:
    assert (sql_root() / "migrations" / "0000_schema_migrations.sql").is_file()


def test_migrations_come_in_the_order_of_their_numbers(tree: Tree) -> None:
    tree.migration("0002_b", "select 2;")
    tree.migration("0001_c", "select 1;")

    assert [m.name for m in migrations(tree.root)] == ["0000_schema_migrations", "0001_c", "0002_b"]


def test_a_gap_between_migrations_is_refused(tree: Tree) -> None:
    tree.migration("0002_b", "select 2;")

    with pytest.raises(ValueError, match="0002_b should have the number 0001"):
        migrations(tree.root)


def test_two_migrations_of_one_number_are_refused(tree: Tree) -> None:
    tree.migration("0001_b", "select 1;")
    tree.migration("0001_c", "select 1;")

    with pytest.raises(ValueError, match="0001_c should have the number 0002"):
        migrations(tree.root)


@pytest.mark.parametrize("name", ["1_short", "0001-dash", "0001_Capital", "0001_"])
def test_a_migration_of_another_form_of_name_is_refused(tree: Tree, name: str) -> None:
    tree.migration(name, "select 1;")

    with pytest.raises(ValueError, match="NNNN_noun"):
        migrations(tree.root)


def test_a_directory_without_migrations_is_refused(tree: Tree) -> None:
    (tree.root / "migrations" / "0000_schema_migrations.sql").unlink()

    with pytest.raises(ValueError, match="no migrations"):
        migrations(tree.root)


def test_a_migration_says_itself_that_it_is_breaking(tree: Tree) -> None:
    tree.migration("0001_a", "-- pyengine: breaking\nselect 1;")
    tree.migration("0002_b", "select '-- pyengine: breaking';")

    assert [m.breaking for m in migrations(tree.root)] == [False, True, False]


def test_repeatables_come_as_base_topics_views_and_grants(tree: Tree) -> None:
    tree.write("grants.sql", "")
    tree.write("views/a.sql", "")
    tree.function("b", "''", topic="admin")
    tree.function("a", "''", topic="workflow")
    tree.function("a", "''", topic="admin")

    assert [r.path for r in repeatables(tree.root)] == [
        "functions/base/list_migrations.sql",
        "functions/admin/a.sql",
        "functions/admin/b.sql",
        "functions/workflow/a.sql",
        "views/a.sql",
        "grants.sql",
    ]


def test_the_hash_of_the_functions_follows_their_texts_and_their_names(tree: Tree) -> None:
    hashes = {load(tree.root).functions_sha256}
    tree.function("a", "'one'")
    hashes.add(load(tree.root).functions_sha256)
    tree.function("a", "'two'")
    hashes.add(load(tree.root).functions_sha256)
    (tree.root / "functions" / "base" / "a.sql").rename(tree.root / "functions" / "base" / "b.sql")
    hashes.add(load(tree.root).functions_sha256)

    assert len(hashes) == 4


def test_line_ends_do_not_change_a_hash(tree: Tree) -> None:
    tree.migration("0001_a", "select 1;\nselect 2;\n")
    unix = migrations(tree.root)[1].sha256
    (tree.root / "migrations" / "0001_a.sql").write_bytes(b"select 1;\r\nselect 2;\r\n")

    assert migrations(tree.root)[1].sha256 == unix


def test_the_hash_of_a_migration_is_that_of_its_file() -> None:
    for migration in migrations():
        content = (sql_root() / migration.path).read_bytes()
        assert migration.sha256 == hashlib.sha256(content).hexdigest()


def test_a_released_migration_is_what_it_was() -> None:
    shipped = {m.name: m.sha256 for m in migrations()}

    for name, sha256 in released().items():
        assert shipped.get(name) == sha256, f"{name} was released and must not change: add another"


def test_the_list_of_released_migrations_is_read(tree: Tree) -> None:
    tree.write("migrations/RELEASED", "# a remark\nabc  0001_a\n\ndef  0002_b\n")

    assert released(tree.root) == {"0001_a": "abc", "0002_b": "def"}


RENAMED = [
    ("select pyengine.now()", 'select "other".now()'),
    ("select PyEngine.now()", 'select "other".now()'),
    ('select "pyengine".now()', 'select "other".now()'),
    ('select "PyEngine".now()', 'select "PyEngine".now()'),
    ("select pyengine /* here */ . now()", 'select "other" /* here */ . now()'),
    ("grant usage on schema pyengine to x", 'grant usage on schema "other" to x'),
    (
        "grant x on all tables in Schema\n\tpyengine to y",
        'grant x on all tables in Schema\n\t"other" to y',
    ),
    ("declare v pyengine.workflows%rowtype;", 'declare v "other".workflows%rowtype;'),
    ("select a.pyengine.b, pyengine_x.c, pyengine2.d, xpyengine.e", None),
    ("select x.pyengine", None),
    ("grant pyengine to x; select pyengine", None),
    ("grant pyengine_worker to x", None),
    ("select 'pyengine.now()'", None),
    ("select 'it''s pyengine.now()'", None),
    ("select e'it\\'s pyengine.now()'", None),
    ("select E'a'\n  'b\\'s pyengine.now()'", None),
    (r"select '\', pyengine.now()", r"""select '\', "other".now()"""),
    ("select U&'pyengine.x', N'pyengine.x', B'1', x'ff'", None),
    ('select "a pyengine.b ""pyengine.c"""', None),
    ("-- pyengine.now()\nselect 1", None),
    ("-- it's\nselect pyengine.now()", '-- it\'s\nselect "other".now()'),
    ("/* pyengine.a /* pyengine.b */ pyengine.c */ select 1", None),
    ("/* /* ' */ */ select pyengine.x", '/* /* \' */ */ select "other".x'),
    ("do $$ begin perform pyengine.f(); end $$", 'do $$ begin perform "other".f(); end $$'),
    ("as $a_1$ select pyengine.f('$$') $a_1$", """as $a_1$ select "other".f('$$') $a_1$"""),
    ("as $$ select 'pyengine.f' -- pyengine.f\n$$", None),
    (
        "as $f$ execute $q$ select pyengine.x $q$; -- don't\n perform pyengine.y; $f$",
        'as $f$ execute $q$ select "other".x $q$; -- don\'t\n perform "other".y; $f$',
    ),
    ("select $1, $2 from pyengine.t", 'select $1, $2 from "other".t'),
    ("select a$$, pyengine.f()", 'select a$$, "other".f()'),
    ("select 1e5, 0x1f from pyengine.t", 'select 1e5, 0x1f from "other".t'),
    ("select ärger$x, pyengine.f()", 'select ärger$x, "other".f()'),
    ("select a->>'pyengine.b' || pyengine.c", "select a->>'pyengine.b' || \"other\".c"),
    ("select 'never ends pyengine.x", None),
    ("/* never ends pyengine.x", None),
    ("as $$ never ends pyengine.x", 'as $$ never ends "other".x'),
    ("", None),
]


@pytest.mark.parametrize(("text", "expected"), RENAMED)
def test_only_identifiers_of_the_schema_are_renamed(text: str, expected: str | None) -> None:
    assert rename_schema(text, "other") == (text if expected is None else expected)


def test_a_name_that_needs_quotes_gets_them() -> None:
    assert rename_schema("select pyengine.f()", 'my "own"') == 'select "my ""own""".f()'


def test_the_own_name_changes_nothing() -> None:
    text = "select pyengine.f(), PYENGINE . g()"

    assert rename_schema(text, "pyengine") == text


def test_no_source_names_its_schema_where_renaming_does_not_reach() -> None:
    sources = load()
    texts = [(m.path, m.sql) for m in sources.migrations]
    texts += [(r.path, r.sql) for r in sources.repeatables]
    for path, text in texts:
        for line in rename_schema(text, "other").splitlines():
            code = line.split("--")[0]
            assert "pyengine." not in code, f"{path}: {line.strip()}"
            assert "'pyengine'" not in code, f"{path}: {line.strip()}"


@pytest.mark.parametrize(
    "name", ["pyengine", "dbos", "order", 'a "b"', "Ünïcode", "x" * 63, "a b.c"]
)
def test_any_identifier_can_be_the_schema(name: str) -> None:
    assert check_schema_name(name) == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "non-empty"),
        ("x" * 64, "63 bytes"),
        ("ü" * 32, "63 bytes"),
        ("a\0b", "NUL"),
        ("pg_mine", "reserved"),
        ("information_schema", "reserved"),
    ],
)
def test_a_name_that_cannot_be_a_schema_is_refused(name: str, problem: str) -> None:
    with pytest.raises(DBOSInvalidArgumentError, match=problem):
        check_schema_name(name)


def test_rows_are_locked_in_one_order_under_every_collation() -> None:
    """Ids compare by bytes in the tables; a function that sorts ids it was given must do the same, or two deadlock."""
    given = re.compile(
        r"(?:unnest|json_to_recordset|_requests)\(.*?\border by (?P<order>[^\n]*)", re.DOTALL
    )
    locking = [
        source
        for source in repeatables()
        if re.search(r"^-- .*Locks:(.|\n-- )*in id order", source.sql, re.MULTILINE)
        and re.search(r"\bfor (no key update|update|key share)", source.sql)
        and given.search(source.sql)
    ]

    assert len(locking) > 5
    for source in locking:
        assert 'collate "C"' in source.sql, source.path
