"""Steps that are one SQL statement: checked when they are declared, not when they run.

The text a user writes is cut at the positions that sqlglot's tokens give and is never regenerated
from its syntax tree, because that rewrites SQL. The tree serves to look: which kind of statement it
is, what it touches, and whether it changed since the last version. The server has the last word, at
launch (`describe`).

sqlglot is imported by the first declaration: a program without SQL steps does not pay for it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.metadata import version
from inspect import Parameter, Signature
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from pyengine.errors import DBOSInvalidArgumentError
from pyengine.sqlrows import Column, decode_rows, describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlglot import exp
    from sqlglot.tokenizer_core import Token

__all__ = ["Column", "SqlStatement", "compile_sql_step", "decode_rows", "describe"]

_SESSION_LOCK = "its lock would outlive the step; take pg_advisory_xact_lock"
_FILES = "it reaches into the server's files"
_SERVER = "it acts on the server, not on the step's transaction"
_REFUSED_FUNCTIONS = {
    r"pg_(try_)?advisory_(lock|unlock)\w*": _SESSION_LOCK,
    r"set_config": "the setting would leak to whoever uses the connection next",
    r"dblink\w*": "what it does is no part of the step's transaction",
    r"pg_sleep\w*": "it keeps a connection waiting; use DBOS.sleep",
    r"lo_(import|export)|pg_(read|ls|stat)_\w*(file|dir)|pg_file_\w+": _FILES,
    r"pg_(terminate|cancel)_backend|pg_(reload_conf|rotate_logfile|promote|switch_wal)": _SERVER,
    r"pg_(start|stop)_backup|pg_backup_\w+|pg_create_restore_point|pg_wal_replay_\w+": _SERVER,
    r"pg_\w*replication_(slot|origin)\w*|pg_logical_\w+|pg_stat_reset\w*": _SERVER,
    r"(query|cursor)_to_xml\w*": "it runs SQL that cannot be checked here",
}
_FIRST_WORDS = {"select", "values", "table", "insert", "update", "delete", "merge", "with", "("}
_KINDS = "a step is one SELECT, VALUES, INSERT, UPDATE, DELETE or MERGE statement"
_PARAMETER = re.compile(r":([^\W\d]\w*)")
_OPERAND_END = re.compile(r"""[\w\])"'$]""")


@dataclass(frozen=True, slots=True)
class SqlStatement:
    """One checked statement with numbered parameters.

    Args:
        name: The step's name.
        text: The statement with `$1`, `$2`, … and otherwise as the user wrote it.
        parameters: The name of each parameter, `$1` first.
        writes: Whether it changes or locks rows itself; what its functions do is not known.
        returns_rows: Whether it gives rows, and not only how many it touched.
        single_round_trip: Whether `as_json_cte` can wrap it.
        fingerprint: Hexadecimal sha256 that stays while only layout and comments change, and while
            sqlglot stays at its version.
        hoisted: The length of its WITH clause, if that changes rows and so must stay at the top;
            else 0.
    """

    name: str
    text: str
    parameters: tuple[str, ...]
    writes: bool
    returns_rows: bool
    single_round_trip: bool
    fingerprint: str
    hoisted: int = 0

    def as_json_cte(self, final: str = "select rows, row_count from {result}") -> str:
        """Return one statement that runs this one and goes on with what it gave.

        The rows come in the order in which the statement gives them. Read `rows` as text
        (`rows::text`) for `decode_rows`: the driver would make a float of every decimal number.

        Args:
            final: What to run on the result; `{result}` is a table of one row with the columns
                `rows` (json array of objects, empty if the statement gives no rows) and `row_count`
                (bigint, the rows given or touched). Its parameters follow the statement's.

        Returns:
            The statement. It begins with WITH and must not be put into another one.

        Raises:
            DBOSInvalidArgumentError: `single_round_trip` is False.
        """
        if not self.single_round_trip:
            raise DBOSInvalidArgumentError(
                f"SQL step {self.name!r} cannot run inside another statement: run it by itself"
            )
        # No text holds a name made from itself, so this hides no column or table of the user.
        given = f"step_{self.fingerprint[:24]}"
        result = f"{given}_result"
        above, own = self.text[: self.hoisted], self.text[self.hoisted :]
        rows = f"coalesce(json_agg(row_to_json({given})), '[]'::json)"
        if not self.returns_rows:
            own += "\nreturning 1"
            rows = "'[]'::json"
        opening = f"{above.rstrip()}\n, " if above else "with "
        return (
            f"{opening}{given} as (\n{own}\n), "
            f"{result} as (select {rows} as rows, count(*) as row_count from {given})\n"
            + final.replace("{result}", result)
        )


def compile_sql_step(
    sql: str, signature: Signature, *, name: str, engine_schema: str = "pyengine"
) -> SqlStatement:
    """Check a step's SQL against its function and give it numbered parameters.

    Args:
        sql: One SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE or MERGE, with or without WITH;
            `:name` stands for the argument of that name. A colon right behind an operand is no
            parameter (`a[1:n]` is a slice; write `a[1: :n]` for one that ends at an argument).
        signature: Of the declared function; a first parameter `self` or `cls` is left out.
        name: The step's name, for messages.
        engine_schema: The schema whose tables only the engine itself may touch.

    Returns:
        The statement.

    Raises:
        DBOSInvalidArgumentError: Names the step, what is wrong and where (line, column).
    """
    from sqlglot import exp

    source = _Source(name, sql)
    source.refuse_functions()
    source.match(_argument_names(name, signature))
    tree = source.parse()
    source.refuse_tables(tree, engine_schema)
    changes = list(tree.find_all(*_changing_kinds()))
    nested = any(change is not tree for change in changes)
    hoisted = source.with_clause_length() if nested else 0
    return SqlStatement(
        name=name,
        text=source.numbered().rstrip(),
        parameters=tuple(source.numbers),
        writes=bool(changes) or tree.find(exp.Lock) is not None,
        returns_rows=not isinstance(tree, _changing_kinds()) or bool(tree.args.get("returning")),
        single_round_trip=not isinstance(tree, exp.Merge) and (not nested or hoisted > 0),
        fingerprint=source.fingerprint(tree),
        hoisted=hoisted,
    )


class _Source:
    """A step's SQL as the user wrote it: its checks, and messages that say where.

    For sqlglot each `:name` becomes `_name`, a column to its eyes: every place stays where it was,
    and a name that is a keyword, or a colon it takes for something else, cannot mislead it.
    """

    def __init__(self, name: str, sql: str) -> None:
        self._name = name
        self._tokens = self._one_statement(sql)
        begin = re.match(r"\s*", self._sql)
        assert begin is not None
        self._begin = begin.end()
        self._used: list[tuple[int, Token, str]] = []
        self.numbers: dict[str, int] = {}
        for index, (token, following) in enumerate(pairwise(self._tokens)):
            argument = self._parameter_at(token, following)
            if argument is not None:
                self._used.append((index, token, argument))
                self.numbers.setdefault(argument, len(self.numbers) + 1)

    def _one_statement(self, sql: str) -> list[Token]:
        self._sql = sql
        found = _tokenize(sql)
        if found is None:
            self._refuse("a string, a quoted name or a comment in it never ends")
        parts: list[list[Token]] = [[]]
        for token in found:
            if sql[token.start : token.end + 1] == ";":
                self._sql = f"{self._sql[: token.start]} {self._sql[token.end + 1 :]}"
                parts.append([])
            else:
                parts[-1].append(token)
        parts = [part for part in parts if part]
        if not parts:
            self._refuse("it holds no SQL statement")
        if len(parts) > 1:
            self._refuse("it holds a second statement", parts[1][0].start)
        return parts[0]

    def _parameter_at(self, token: Token, following: Token) -> str | None:
        before = self._sql[token.start - 1] if token.start else " "
        if self._written(token) == "$" and self._written(following).isdigit():
            self._refuse("write a parameter as :name, not as a number", token.start)
        if self._written(token) != ":" or _OPERAND_END.match(before):
            return None
        found = _PARAMETER.match(self._sql, token.start)
        if found is None:
            return None
        if found.end() != following.end + 1:
            self._refuse("the name of a parameter must be a Python name", token.start)
        return found[1]

    def match(self, arguments: Sequence[str]) -> None:
        """Refuse parameters that are no arguments, and arguments that are no parameters."""
        missing = [name for name in self.numbers if name not in arguments]
        unused = [name for name in arguments if name not in self.numbers]
        problems = []
        if missing:
            problems.append(f"its function has no argument {', '.join(map(repr, missing))}")
        if unused:
            problems.append(f"it does not use the argument {', '.join(map(repr, unused))}")
        if problems:
            places = [token.start for _, token, argument in self._used if argument in missing]
            self._refuse("; ".join(problems), places[0] if places else None)

    def numbered(self, end: int | None = None) -> str:
        """Return the text up to `end` with `$n` for each `:name`, leading comments included."""
        text, position = "", self._begin
        for _, token, argument in self._used:
            if end is None or token.start < end:
                text += f"{self._sql[position : token.start]}${self.numbers[argument]}"
                position = token.end + 1 + len(argument)
        return text + self._sql[position:end]

    def refuse_functions(self) -> None:
        """Refuse calls whose effect does not end with the step's transaction."""
        for token, following in pairwise(self._tokens):
            written = self._written(token)
            if self._sql[max(following.start - 2, 0) : following.start + 1].lower() == 'u&"':
                self._refuse('U&"…" names are not supported; write the characters', token.start)
            if self._written(following) != "(" or written.startswith("'"):
                continue
            function = token.text if written.startswith('"') else token.text.lower()
            for pattern, reason in _REFUSED_FUNCTIONS.items():
                if re.fullmatch(pattern, function):
                    self._refuse(f"{function} is not allowed: {reason}", token.start)

    def parse(self) -> exp.Expr:
        """Return the syntax tree, which is of an allowed kind."""
        from sqlglot import exp

        start = self._tokens[0].start
        if self._written(self._tokens[0]).lower() not in _FIRST_WORDS:
            self._refuse(_KINDS, start)
        text = list(self._sql)
        for _, token, _ in self._used:
            text[token.start] = "_"
        tree = _parse("".join(text))
        if isinstance(tree, dict):
            self._refuse_unparsed(tree)
        reading = (exp.Select, exp.SetOperation, exp.Values, exp.Subquery)
        if not isinstance(tree, (*reading, *_changing_kinds())):
            self._refuse(_KINDS, start)
        if tree.find(exp.Into) is not None:
            self._refuse("SELECT INTO makes a table; insert into one that exists", start)
        placeholder = tree.find(exp.Placeholder)
        if placeholder is not None:
            self._refuse(f"write a parameter as :name, not {placeholder.sql('postgres')}", start)
        return tree

    def _refuse_unparsed(self, found: Mapping[str, object]) -> NoReturn:
        line, column, near = found.get("line"), found.get("col"), str(found.get("highlight") or "")
        if not isinstance(line, int) or not isinstance(column, int):
            self._refuse("it is no SQL that can be checked")
        # sqlglot counts to the end of the word.
        lines = self._sql.split("\n")
        offset = sum(len(earlier) + 1 for earlier in lines[: line - 1]) + column - len(near)
        word = self._sql[offset : offset + len(near)]
        self._refuse(f"it is no SQL that can be checked, at {word!r}", offset)

    def refuse_tables(self, tree: exp.Expr, engine_schema: str) -> None:
        """Refuse the engine's own tables, which only its functions may touch."""
        from sqlglot import exp

        for table in tree.find_all(exp.Table):
            schema = table.args.get("db")
            if not isinstance(schema, exp.Identifier) or not isinstance(table.this, exp.Identifier):
                continue
            if (schema.name if schema.quoted else schema.name.lower()) == engine_schema:
                problem = f"{table.name} is a table of the engine; call its functions"
                self._refuse(problem, schema.meta.get("start"))

    def with_clause_length(self) -> int:
        """Return the length of a leading WITH clause in the numbered text; 0 if unsure."""
        if self._written(self._tokens[0]).lower() != "with":
            return 0
        depth = 0
        for token, following in pairwise(self._tokens):
            written = self._written(token)
            depth += {"(": 1, ")": -1}.get(written, 0)
            if written != ")" or depth:
                continue
            word = self._written(following).lower()
            if word in ("search", "cycle"):
                return 0  # these clauses have no closing mark
            if word not in (",", "as"):
                return len(self.numbered(following.start))
        return 0

    def fingerprint(self, tree: exp.Expr) -> str:
        """Return the hash of what the statement says."""
        # The canonical form is no promise of sqlglot: it may differ from one release to the next.
        # The places of the parameters tell each from a column of the name that stands for it.
        canonical = tree.sql("postgres", comments=False, normalize=True)
        places = [(index, self.numbers[argument]) for index, _, argument in self._used]
        said = f"{canonical}\n{places}\n{version('sqlglot')}"
        return hashlib.sha256(said.encode()).hexdigest()

    def _written(self, token: Token) -> str:
        return self._sql[token.start : token.end + 1]

    def _refuse(self, problem: str, offset: int | None = None) -> NoReturn:
        place = ""
        if offset is not None:
            before = self._sql[:offset]
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            place = f" (line {line}, column {column})"
        raise DBOSInvalidArgumentError(f"SQL step {self._name!r}: {problem}{place}")


def _changing_kinds() -> tuple[type[exp.Expr], ...]:
    from sqlglot import exp

    return (exp.Insert, exp.Update, exp.Delete, exp.Merge)


def _tokenize(sql: str) -> list[Token] | None:
    from sqlglot import tokenize
    from sqlglot.errors import TokenError

    try:
        return tokenize(sql, read="postgres")
    except TokenError:
        return None


def _parse(sql: str) -> exp.Expr | dict[str, object]:
    """Return the syntax tree, or sqlglot's description of where it stopped."""
    from sqlglot import parse_one
    from sqlglot.errors import ParseError

    try:
        return parse_one(sql, read="postgres")
    except ParseError as error:
        return dict(error.errors[0]) if error.errors else {}


def _argument_names(step: str, signature: Signature) -> list[str]:
    arguments = list(signature.parameters.values())
    if arguments and arguments[0].name in ("self", "cls"):
        del arguments[0]
    for argument in arguments:
        if argument.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            raise DBOSInvalidArgumentError(
                f"SQL step {step!r}: its function takes {argument}; give each argument a name"
            )
    return [argument.name for argument in arguments]
