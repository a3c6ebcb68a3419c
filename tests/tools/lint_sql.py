"""Check the engine's SQL files against the conventions that PostgreSQL itself does not enforce.

Run as `python -m tests.tools.lint_sql`; each line of output names a file and what is wrong with it.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, cast

from pglast import ast, parse_plpgsql, parse_sql
from pglast.enums import FunctionParameterMode, ObjectType
from pglast.parser import ParseError
from pglast.visitors import Visitor

from pyengine.schema import indexes
from pyengine.schema.rename import SOURCE_SCHEMA, rename_schema, tokens
from pyengine.schema.sources import Migration, load, sql_root

SEARCH_PATH = ["pg_catalog", "pg_temp"]
REPEATABLE_STATEMENTS = (
    ast.CreateFunctionStmt,
    ast.ViewStmt,
    ast.CommentStmt,
    ast.GrantStmt,
    ast.GrantRoleStmt,
    ast.AlterDefaultPrivilegesStmt,
)
# Statements that do not fit the one transaction of a migration, or belong to the runner.
MIGRATION_REFUSES = {
    ast.CreateSchemaStmt: "creates a schema; the runner does",
    ast.TransactionStmt: "controls the transaction; the runner does",
    ast.CreateExtensionStmt: "needs an extension",
    ast.VacuumStmt: "vacuums or analyzes, which does not fit the transaction",
    ast.VariableSetStmt: "changes a setting; the runner sets what is needed",
}
OTHER_PARAMETERS = {
    FunctionParameterMode.FUNC_PARAM_OUT: "OUT",
    FunctionParameterMode.FUNC_PARAM_INOUT: "INOUT",
    FunctionParameterMode.FUNC_PARAM_VARIADIC: "VARIADIC",
}
CLOCKS = frozenset(
    {
        "clock_timestamp",
        "current_date",
        "current_time",
        "current_timestamp",
        "localtime",
        "localtimestamp",
        "statement_timestamp",
        "timeofday",
        "transaction_timestamp",
    }
)
GRANTS_FILE = "grants.sql"
CONCURRENTLY = "-- pyengine: concurrently"
INDEX = ObjectType.OBJECT_INDEX
# Migrations up to here build indexes of earlier tables inside the upgrade. They came before the first release: every
# schema got them while it was empty.
LAST_WITH_WAITING_WRITERS = 27
# SQL that a function may run: a text, or one into which format() quotes names and values.
_LITERAL = re.compile(r"'[^']*'")
_FORMATTED = re.compile(r"format\('([^'%]|%[IL])*'(,|\))")
# How the comment of a public function or a view ends; who is no owner gets what `_grant_functions` reads there.
ROLES = ("observer", "client", "worker", "admin", "owner")
DECLARATION = re.compile(rf" Role: ({'|'.join(ROLES)})\.$")
# Where SQL may be built at run time: what people ask for, never what workflows wait for.
LISTS = (
    "functions/listing/",
    "functions/workflow/list_workflows.sql",
    "functions/insight/aggregate_workflows.sql",
    "functions/insight/aggregate_steps.sql",
)
BUILDERS_OF_SQL = ("functions/admin/", *LISTS)
# These run functions of users, with the rights and the search path of their caller.
RUNS_USERS_CODE = frozenset(
    {
        "functions/sqlworkflow/run_sql_step.sql",
        "functions/sqlworkflow/run_sql_workflows.sql",
    }
)
CLOCK_FILE = "functions/base/now.sql"
# Nobody waits for these, or not often: their statements may be planned at each call.
RARE = (
    *BUILDERS_OF_SQL,
    "functions/insight/",
    "functions/queue/list_queues.sql",
    "functions/schedule/",
    "functions/sqlworkflow/",
    "functions/upkeep/",
    "functions/workflow/_operand_sql.sql",
)
_READS_ARRAY = re.compile(r"\b(any \(|unnest\()")
# These are called so often that they have no settings of their own: they rely on those of their callers.
INHERITING = frozenset({"functions/base/_wake.sql", "functions/workflow/_start_alone.sql"})
# These are called so often that each setting counts, and reach every row through an index: their plans are never dear,
# as tests/schema/test_hot_plans.py sees.
CHEAP = frozenset(
    {
        "functions/step/record_step_in_transaction.sql",
        "functions/step/record_steps.sql",
        "functions/workflow/_hold_lease.sql",
        "functions/workflow/finish_workflows.sql",
        "functions/workflow/start_workflows.sql",
    }
)


def problems(root: Path) -> list[str]:
    """Return what is wrong with the SQL files of a directory, one line each."""
    sources = load(root)
    found: list[str] = []
    for migration in sources.migrations:
        found += _told(migration.path, _migration_problems(migration.sql))
        found += _told(migration.path, _index_problems(migration))
        found += _told(migration.path, _waiting_problems(migration))
        found += _told(migration.path, _clock_problems(migration.path, migration.sql))
    names: Counter[str] = Counter()
    for source in sources.repeatables:
        found += _told(source.path, _repeatable_problems(source.path, source.sql))
        found += _told(source.path, _clock_problems(source.path, source.sql))
        if source.path.startswith("functions/"):
            names[PurePosixPath(source.path).stem] += 1
    found += [f"functions: {name} is defined {n} times" for name, n in names.items() if n > 1]
    return found


def _told(path: str, complaints: Iterator[str]) -> list[str]:
    found: list[str] = []
    try:
        # What came before a part that cannot be parsed stays in the list.
        found.extend(f"{path}: {complaint}" for complaint in complaints)
    except ParseError as exc:
        found.append(f"{path}: PostgreSQL cannot parse it: {exc.args[0]}")
    return found


def _migration_problems(text: str) -> Iterator[str]:
    for raw in parse_sql(text):
        statement = raw.stmt
        for kind, complaint in MIGRATION_REFUSES.items():
            if isinstance(statement, kind):
                yield complaint
        if getattr(statement, "replace", False):
            yield "uses `create or replace`; what may be replaced is not part of a migration"
        if getattr(statement, "if_not_exists", False):
            yield "uses `if not exists`; a migration runs once"
        if getattr(statement, "concurrent", False):
            yield "works concurrently, which does not fit the transaction"
        relations = _Relations()
        relations(raw)
        yield from relations.complaints


def _index_problems(migration: Migration) -> Iterator[str]:
    """What keeps an index from being built beside the work on its table, or is not built so."""
    made: set[str] = set()
    for raw in parse_sql(migration.sql):
        statement: Any = raw.stmt
        relation: Any = getattr(statement, "relation", None)
        if isinstance(statement, ast.CreateStmt):
            made.add(relation.relname)
        is_create = isinstance(statement, ast.IndexStmt)
        is_drop = isinstance(statement, ast.DropStmt) and statement.removeType == INDEX
        is_of_earlier_table = is_drop or (is_create and relation.relname not in made)
        if not migration.concurrent:
            if is_of_earlier_table and migration.version > LAST_WITH_WAITING_WRITERS:
                yield f"changes the indexes of a table in use: that is for a migration with `{CONCURRENTLY}`"
        elif not is_create and not is_drop:
            yield f"holds a {type(statement).__name__}, but says `{CONCURRENTLY}`, which is for indexes"
        elif is_create and statement.unique:
            yield "makes a unique index concurrently, which functions could not rely on"
    if migration.concurrent:
        for text in indexes.statements(migration.sql):
            if indexes.concurrently(text) is None:
                yield f"has no concurrent form of {text!r}: `create index name on` or `drop index name`"


def _waiting_problems(migration: Migration) -> Iterator[str]:
    """What reads a whole table while everybody else waits for it."""
    if migration.version <= LAST_WITH_WAITING_WRITERS:
        return
    for raw in parse_sql(migration.sql):
        commands: Any = raw.stmt.cmds if isinstance(raw.stmt, ast.AlterTableStmt) else ()
        for command in commands:
            is_constraint = isinstance(command.def_, ast.Constraint)
            if is_constraint and not command.def_.skip_validation:
                yield "checks every row of a table in use while others wait: add the constraint `not valid`"


class _Relations(Visitor):  # type: ignore[misc, unused-ignore]
    """Collects the tables that are named without their schema."""

    def __init__(self) -> None:
        super().__init__()
        self.complaints: list[str] = []

    def visit_RangeVar(self, _ancestors: object, node: ast.RangeVar) -> None:  # noqa: N802
        if node.schemaname != SOURCE_SCHEMA:
            self.complaints.append(f"names {node.relname} without the schema {SOURCE_SCHEMA}")


def _repeatable_problems(path: str, text: str) -> Iterator[str]:
    statements = [raw.stmt for raw in parse_sql(text)]
    for statement in statements:
        if isinstance(statement, ast.DoStmt) and path == GRANTS_FILE:
            continue
        if not isinstance(statement, REPEATABLE_STATEMENTS):
            yield f"holds a {type(statement).__name__}, which cannot be run again and again"
        elif isinstance(statement, ast.CreateFunctionStmt | ast.ViewStmt) and not statement.replace:
            yield "creates without `or replace`"
    functions = [s for s in statements if isinstance(s, ast.CreateFunctionStmt)]
    yield from _declaration_problems(statements)
    if not path.startswith("functions/"):
        if functions:
            yield "defines a function; those are in functions/"
        return
    if len(functions) != 1:
        yield f"defines {len(functions)} functions, not one"
    for function in functions:
        yield from _function_problems(path, text, function)
        if not any(_comments_on(statement, function) for statement in statements):
            yield "has no `comment on function`"


def _declaration_problems(statements: list[Any]) -> Iterator[str]:
    for statement in statements:
        if not isinstance(statement, ast.CommentStmt):
            continue
        named: Any = statement.object
        if statement.objtype == ObjectType.OBJECT_FUNCTION:
            named = named.objname
        elif statement.objtype != ObjectType.OBJECT_VIEW:
            continue
        name = _name(named).removeprefix(f"{SOURCE_SCHEMA}.")
        declares = DECLARATION.search(statement.comment or "") is not None
        if name.startswith("_") and declares:
            yield f"declares a role for {name}, which is private"
        elif not name.startswith("_") and not declares:
            yield (
                f"does not say who may use {name}: end its comment with ' Role: client.', or the least of "
                f"{', '.join(ROLES)} that needs it (sql/README.md, Roles); nobody else will be granted it"
            )


def _function_problems(path: str, text: str, function: ast.CreateFunctionStmt) -> Iterator[str]:
    name = _name(function.funcname)
    is_private = name.startswith(f"{SOURCE_SCHEMA}._")
    if name != f"{SOURCE_SCHEMA}.{PurePosixPath(path).stem}":
        yield f"defines {name}, which is not the name of the file"
    if function.is_procedure:
        yield "is a procedure"
    for parameter in function.parameters or ():
        if mode := OTHER_PARAMETERS.get(parameter.mode):
            yield f"has the {mode} parameter {parameter.name}"
        if parameter.mode == FunctionParameterMode.FUNC_PARAM_TABLE and not is_private:
            yield f"returns a column {parameter.name} of its own; use a table or a composite type"
        if not parameter.name:
            yield "has a parameter without a name"
    options = {
        option.defname: option.arg for option in function.options or () if option.defname != "set"
    }
    if "volatility" not in options:
        yield "does not say whether it is volatile, stable or immutable"
    if options["language"].sval == "plpgsql":
        is_definer = _is_on(options.get("security"))
        yield from _rights_problems(
            path, text, function, is_private=is_private, is_definer=is_definer
        )


def _rights_problems(
    path: str, text: str, function: ast.CreateFunctionStmt, *, is_private: bool, is_definer: bool
) -> Iterator[str]:
    if path in RUNS_USERS_CODE:
        if is_definer or _search_path(function):
            yield "runs functions of users with rights or a search path that are not their caller's"
    elif path in INHERITING:
        if is_definer or _settings(function):
            yield "has rights or settings that are not its callers'"
        yield from _body_problems(path, text)
    else:
        yield from _plpgsql_problems(
            path, text, function, must_define=not (is_private or is_definer)
        )


def _plpgsql_problems(
    path: str, text: str, function: ast.CreateFunctionStmt, *, must_define: bool
) -> Iterator[str]:
    if _search_path(function) != SEARCH_PATH:
        yield f"lacks `set search_path = {', '.join(SEARCH_PATH)}`"
    if must_define:
        yield "lacks `security definer`"
    settings = _settings(function)
    if "enable_seqscan" not in settings:
        for name in _called(text, INHERITING):
            yield f"lacks `set enable_seqscan = off`, on which {name} relies"
    if "enable_seqscan" in settings and "jit" not in settings and path not in CHEAP:
        yield "lacks `set jit = off`: a plan with a disabled node looks dear enough to be compiled"
    if (
        _READS_ARRAY.search(text)
        and "plan_cache_mode" not in settings
        and not path.startswith(RARE)
    ):
        yield "lacks `set plan_cache_mode = force_generic_plan`: a statement about an array is planned at each call"
    if not _is_dollar_quoted(text):
        yield "has a body that is not dollar-quoted, where the schema could not be renamed"
    yield from _body_problems(path, text)


def _settings(function: ast.CreateFunctionStmt) -> set[str]:
    return {option.arg.name for option in function.options or () if option.defname == "set"}


def _called(text: str, paths: Iterable[str]) -> list[str]:
    """Which of the functions of these files a function calls."""
    names = sorted(PurePosixPath(path).stem for path in paths)
    return [name for name in names if re.search(rf"\b{SOURCE_SCHEMA}\.{name}\(", text)]


def _search_path(function: ast.CreateFunctionStmt) -> list[str]:
    for option in function.options or ():
        if option.defname == "set" and option.arg.name == "search_path":
            return [argument.val.sval for argument in option.arg.args]
    return []


def _is_on(option: Any) -> bool:
    return option is not None and bool(option.boolval)


def _is_dollar_quoted(text: str) -> bool:
    return any(kind == "body" for kind, _ in tokens(text))


def _body_problems(path: str, text: str) -> Iterator[str]:
    create = text[: text.lower().find("\ncomment on")] if "\ncomment on" in text.lower() else text
    # The parser looks types up and knows no schemas but its own two, and no arrays of rows.
    known = re.sub(r'"public"\.\w+\[\]', "json[]", rename_schema(create, "public"))
    body = json.dumps(parse_plpgsql(known))
    if '"exceptions"' in body:
        yield "has an EXCEPTION block, which costs a subtransaction"
    if not path.startswith(BUILDERS_OF_SQL) and re.search(
        r'"(PLpgSQL_stmt_dyn\w+|dynquery)"', body
    ):
        yield "builds SQL at run time; only functions/admin and lists may"
    for statement in _executed(json.loads(body)):
        # What a list runs was made by the functions `_*_sql`, which quote whatever they are given.
        if not path.startswith(LISTS) and not (
            _LITERAL.fullmatch(statement) or _FORMATTED.match(statement)
        ):
            yield f"executes {statement!r}; only format() with %I and %L quotes what it is given"
    if re.search(r'"PLpgSQL_stmt_(commit|rollback)"', body):
        yield "ends the transaction of its caller"


def _executed(node: Any) -> Iterator[str]:
    """The expressions whose text is run as SQL, wherever they are in a body."""
    if isinstance(node, list):
        for child in node:
            yield from _executed(child)
    elif isinstance(node, dict):
        if "PLpgSQL_stmt_dynexecute" in node:
            yield node["PLpgSQL_stmt_dynexecute"]["query"]["PLpgSQL_expr"]["query"]
        for child in node.values():
            yield from _executed(child)


def _comments_on(statement: object, function: ast.CreateFunctionStmt) -> bool:
    return (
        isinstance(statement, ast.CommentStmt)
        and statement.objtype == ObjectType.OBJECT_FUNCTION
        and _name(cast("ast.ObjectWithArgs", statement.object).objname) == _name(function.funcname)
    )


def _name(parts: Iterable[Any] | None) -> str:
    return ".".join(part.sval for part in parts or ())


def _clock_problems(path: str, text: str) -> Iterator[str]:
    if path != CLOCK_FILE:
        yield from (
            f"reads the clock by {clock}; time comes from pyengine.now() only"
            for clock in _clocks(text)
        )


def _clocks(text: str) -> Iterator[str]:
    words: list[str] = []
    for kind, lexeme in tokens(text):
        if kind == "body":
            delimiter = lexeme[: lexeme.index("$", 1) + 1]
            yield from _clocks(lexeme.removeprefix(delimiter).removesuffix(delimiter))
        elif kind not in ("space", "line_comment", "block_comment"):
            words.append(lexeme.lower())
    for i, word in enumerate(words):
        is_now = word == "now" and words[i + 1 : i + 2] == ["("]
        if word in CLOCKS or (is_now and words[max(i - 2, 0) : i] != [SOURCE_SCHEMA, "."]):
            yield word


def main() -> int:
    """Print the problems of the repository's own files."""
    found = problems(sql_root())
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
