"""The filter language: a condition in SQL's own words, checked word by word and compiled to a json tree.

`status = 'ERROR' and name like 'order%' and created_at > now() - interval '1 day'`. The columns, operators and
functions that are allowed are listed here, and again in the SQL function that reads the tree (`_condition_sql`): what
people write never becomes part of a statement.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from pyengine.conditions import DURATION, Tree, moment
from pyengine.errors import DBOSInvalidArgumentError

TEXT, NUMBER, TIME, INTERVAL, CONDITION = "text", "number", "time", "interval", "condition"

COLUMNS: Mapping[str, str] = {
    "workflow_id": TEXT,
    "status": TEXT,
    "name": TEXT,
    "class_name": TEXT,
    "config_name": TEXT,
    "application_name": TEXT,
    "application_version": TEXT,
    "executor_id": NUMBER,
    "executor_name": TEXT,
    "attempt_count": NUMBER,
    "max_attempts": NUMBER,
    "queue_name": TEXT,
    "priority": NUMBER,
    "partition_key": TEXT,
    "deduplication_id": TEXT,
    "parent_workflow_id": TEXT,
    "forked_from": TEXT,
    "was_forked_from": CONDITION,
    "schedule_name": TEXT,
    "authenticated_user": TEXT,
    "assumed_role": TEXT,
    "timeout": INTERVAL,
    "deadline_at": TIME,
    "delayed_until": TIME,
    "created_at": TIME,
    "updated_at": TIME,
    "started_at": TIME,
    "finished_at": TIME,
}
"""What a condition may name, and the kind of its values. `attributes ->> 'key'` is a text as well."""

LONGEST = 10_000
_COMPARISONS: Mapping[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeNEQ: "is distinct from",
}
_PATTERNS: Mapping[type[exp.Expr], str] = {exp.Like: "like", exp.ILike: "ilike"}
_FUNCTIONS: Mapping[type[exp.Expr], tuple[str, str]] = {
    exp.Lower: ("lower", TEXT),
    exp.Upper: ("upper", TEXT),
    exp.Length: ("length", NUMBER),
}
_SUMS: Mapping[tuple[str, str, str], str] = {
    ("-", TIME, INTERVAL): TIME,
    ("+", TIME, INTERVAL): TIME,
    ("-", TIME, TIME): INTERVAL,
    ("-", INTERVAL, INTERVAL): INTERVAL,
    ("+", INTERVAL, INTERVAL): INTERVAL,
    ("-", NUMBER, NUMBER): NUMBER,
    ("+", NUMBER, NUMBER): NUMBER,
}
_INTERVAL = re.compile(r"interval\s*'[^']*'", re.IGNORECASE)
_ALLOWED = (
    "allowed are and, or, not, comparisons, like, ilike, in, between, is null, + and -, "
    "lower(), upper(), length(), now(), interval '1 day', attributes ->> 'key' and attributes @> '{...}'"
)


@dataclass(frozen=True, slots=True)
class _Part:
    """A compiled part: its kind and tree. A text in quotes is a `quoted` too, whose kind its neighbour decides."""

    kind: str
    tree: Tree
    quoted: str | None = None


def compile_condition(text: str) -> Tree:
    """Check a condition and compile it to the tree that `list_workflows(condition => ...)` reads.

    Args:
        text: A condition on the columns of `COLUMNS`, in SQL.

    Returns:
        The tree, to be given as json.

    Raises:
        DBOSInvalidArgumentError: Something in it is not allowed; says what and where.
    """
    if not text.strip():
        raise DBOSInvalidArgumentError("where is empty: give a condition such as status = 'ERROR'")
    if len(text) > LONGEST:
        raise DBOSInvalidArgumentError(
            f"where has {len(text)} characters: at most {LONGEST} are allowed"
        )
    if "\x00" in text:
        raise DBOSInvalidArgumentError("where contains a NUL character, which no text can")
    compiler = _Compiler(text)
    try:
        return compiler.condition(_parse(text)).tree
    except RecursionError:
        raise DBOSInvalidArgumentError("where is nested too deep: make it simpler") from None


def _parse(text: str) -> exp.Expr:
    try:
        statements = sqlglot.parse(text, read="postgres")
    except ParseError as error:
        problem = error.errors[0] if error.errors else {}
        position = _offset(text, problem.get("line"), problem.get("col"), problem.get("highlight"))
        _refuse(text, "the condition can't be read here", position, position + 1)
    except TokenError:
        _refuse(text, "the condition can't be read: a quote is not closed", 0, len(text))
    if len(statements) != 1 or statements[0] is None:
        end = text.find(";")
        _refuse(text, "there is more than one condition", max(end, 0), max(end, 0) + 1)
    return statements[0]


class _Compiler:
    """Compiles the expressions of one text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def condition(self, node: exp.Expr) -> _Part:
        """A part that is true or false."""
        part = self.part(node)
        if part.kind != CONDITION:
            self.refuse(node, f"a condition is expected here, not a {part.kind}")
        return part

    def part(self, node: exp.Expr) -> _Part:
        """Any part; refuses what is not allowed."""
        compile_node = _COMPILERS.get(type(node))
        if compile_node is None:
            self.refuse(node, f"{_described(node)} is not allowed: {_ALLOWED}")
        return compile_node(self, node)

    def refuse(self, node: exp.Expr, problem: str) -> NoReturn:
        """Refuse a part of the text."""
        places = [(n.meta["start"], n.meta["end"]) for n in node.walk() if "start" in n.meta]
        if not places and isinstance(
            node, exp.Interval
        ):  # the parser makes it anew, without its place
            places = [(m.start(), m.end() - 1) for m in _INTERVAL.finditer(self._text)][:1]
        start = min((place[0] for place in places), default=0)
        end = max((place[1] for place in places), default=len(self._text) - 1)
        _refuse(self._text, problem, start, end + 1)

    def logic(self, node: exp.Expr) -> _Part:
        op = "and" if isinstance(node, exp.And) else "or"
        # A long chain is a deep tree on its left: it is walked, not descended.
        members: list[exp.Expr] = []
        while type(node) is (exp.And if op == "and" else exp.Or):
            members.append(node.args["expression"])
            node = node.args["this"]
        arguments = [self.condition(each).tree for each in (node, *reversed(members))]
        return _Part(CONDITION, {"op": op, "args": arguments})

    def negation(self, node: exp.Expr) -> _Part:
        return _negated(self.condition(node.this))

    def parentheses(self, node: exp.Expr) -> _Part:
        return self.part(node.this)

    def comparison(self, node: exp.Expr) -> _Part:
        left, right = self.alike(node, node.this, node.args["expression"])
        return _Part(CONDITION, {"op": _COMPARISONS[type(node)], "args": [left.tree, right.tree]})

    def same(self, node: exp.Expr) -> _Part:
        left, right = self.alike(node, node.this, node.args["expression"])
        return _negated(
            _Part(CONDITION, {"op": "is distinct from", "args": [left.tree, right.tree]})
        )

    def pattern(self, node: exp.Expr) -> _Part:
        arguments = [self.of_kind(each, TEXT).tree for each in (node.this, node.args["expression"])]
        part = _Part(CONDITION, {"op": _PATTERNS[type(node)], "args": arguments})
        return _negated(part) if node.args.get("negate") else part

    def membership(self, node: exp.Expr) -> _Part:
        values = node.args.get("expressions") or []
        if not values:
            self.refuse(node, "in needs a list of values, such as in ('ERROR', 'CANCELLED')")
        subject = self.part(node.this)
        if subject.quoted is not None:
            self.refuse(node.this, "a column is expected before in")
        arguments = [subject.tree, *(self.of_kind(each, subject.kind).tree for each in values)]
        part = _Part(CONDITION, {"op": "in", "args": arguments})
        return _negated(part) if node.args.get("negate") else part

    def between(self, node: exp.Expr) -> _Part:
        subject, low = self.alike(node, node.this, node.args["low"])
        high = self.of_kind(node.args["high"], subject.kind)
        bounds = [
            {"op": ">=", "args": [subject.tree, low.tree]},
            {"op": "<=", "args": [subject.tree, high.tree]},
        ]
        part = _Part(CONDITION, {"op": "and", "args": bounds})
        return _negated(part) if node.args.get("negate") else part

    def identity(self, node: exp.Expr) -> _Part:
        other = node.args["expression"]
        if isinstance(other, exp.Null):
            part = _Part(CONDITION, {"op": "is null", "args": [self.part(node.this).tree]})
        elif isinstance(other, exp.Boolean):
            arguments = [self.of_kind(node.this, CONDITION).tree, self.part(other).tree]
            part = _negated(_Part(CONDITION, {"op": "is distinct from", "args": arguments}))
        else:
            self.refuse(node, "is can be followed by null, not null, true, false or distinct from")
        return _negated(part) if node.args.get("negate") else part

    def sum(self, node: exp.Expr) -> _Part:
        op = "+" if isinstance(node, exp.Add) else "-"
        left, right = self.part(node.this), self.part(node.args["expression"])
        if right.quoted is not None and left.kind in (TIME, INTERVAL):
            right = self.read(node.args["expression"], right.quoted, INTERVAL)
        kind = _SUMS.get((op, left.kind, right.kind))
        if kind is None:
            self.refuse(node, f"a {left.kind} {op} a {right.kind} means nothing")
        return _Part(kind, {"op": op, "args": [left.tree, right.tree]})

    def function(self, node: exp.Expr) -> _Part:
        name, kind = _FUNCTIONS[type(node)]
        return _Part(kind, {"op": name, "args": [self.of_kind(node.this, TEXT).tree]})

    def column(self, node: exp.Expr) -> _Part:
        identifier = node.this
        name = str(identifier.this)
        name = name if identifier.args.get("quoted") else name.lower()
        if node.args.get("table") is not None:
            self.refuse(node, "columns are named alone, without a table")
        if name == "attributes":
            self.refuse(node, "use attributes ->> 'key' or attributes @> '{\"key\": \"value\"}'")
        if name not in COLUMNS:
            close = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COLUMNS)}"
            self.refuse(node, f"there is no column {name}: {hint}")
        return _Part(COLUMNS[name], {"column": name})

    def attribute(self, node: exp.Expr) -> _Part:
        self.attributes(node)
        path = node.args["expression"]
        keys = path.expressions[1:] if isinstance(path, exp.JSONPath) else [path]
        key = keys[0].this if len(keys) == 1 else None
        if not isinstance(key, str) or not isinstance(keys[0], (exp.JSONPathKey, exp.Literal)):
            self.refuse(node, "one key is expected, as in attributes ->> 'customer'")
        return _Part(TEXT, {"attribute": key})

    def containment(self, node: exp.Expr) -> _Part:
        self.attributes(node)
        value = self.part(node.args["expression"])
        try:
            wanted = json.loads(value.quoted or "")
        except ValueError:
            wanted = None
        if not isinstance(wanted, dict):
            self.refuse(node, "a json object in quotes is expected behind @>")
        return _Part(CONDITION, {"op": "contains", "args": [{"json": json.dumps(wanted)}]})

    def attributes(self, node: exp.Expr) -> None:
        """Refuse anything but `attributes` on the left."""
        column = node.this
        if not isinstance(column, exp.Column) or column.name.lower() != "attributes":
            self.refuse(node, "only attributes has keys, as in attributes ->> 'customer'")

    def literal(self, node: exp.Expr) -> _Part:
        if node.args.get("is_string"):
            return _Part(TEXT, {"text": node.this}, quoted=node.this)
        return self.number(node, str(node.this))

    def minus(self, node: exp.Expr) -> _Part:
        if not isinstance(node.this, exp.Literal) or node.this.args.get("is_string"):
            self.refuse(node, "a number is expected behind -")
        return self.number(node, f"-{node.this.this}")

    def number(self, node: exp.Expr, digits: str) -> _Part:
        if not re.fullmatch(r"-?\d+(\.\d+)?", digits):
            self.refuse(node, "this is not a number")
        return _Part(NUMBER, {"number": digits})

    def boolean(self, node: exp.Expr) -> _Part:
        return _Part(CONDITION, {"boolean": bool(node.this)})

    def now(self, node: exp.Expr) -> _Part:
        del node
        return _Part(TIME, {"now": True})

    def interval(self, node: exp.Expr) -> _Part:
        unit = node.args.get("unit")
        amount = node.this.this if isinstance(node.this, exp.Literal) else None
        if amount is None or not (unit is None or isinstance(unit, exp.Var)):
            self.refuse(node, "this interval can't be read: write it as interval '90 minutes'")
        return self.read(
            node, f"{amount} {unit.name}" if unit is not None else str(amount), INTERVAL
        )

    def cast(self, node: exp.Expr) -> _Part:
        part = self.part(node.this)
        kind = _CASTS.get(node.args["to"].this)
        if kind is None or part.quoted is None:
            self.refuse(node, "only a text in quotes can be cast, to timestamptz or interval")
        return self.read(node, part.quoted, kind)

    def alike(self, node: exp.Expr, *sides: exp.Expr) -> tuple[_Part, _Part]:
        """Two sides of one kind: a text in quotes is read as what the other side is."""
        left, right = (self.part(side) for side in sides)
        if left.quoted is not None:
            left = self.read(sides[0], left.quoted, right.kind)
        if right.quoted is not None:
            right = self.read(sides[1], right.quoted, left.kind)
        if left.kind != right.kind:
            self.refuse(node, f"a {left.kind} can't be compared with a {right.kind}")
        return left, right

    def of_kind(self, node: exp.Expr, kind: str) -> _Part:
        """A part that must be of a kind; a text in quotes is read as one."""
        part = self.part(node)
        if part.quoted is not None:
            return self.read(node, part.quoted, kind)
        if part.kind != kind:
            self.refuse(node, f"a {kind} is expected here, not a {part.kind}")
        return part

    def read(self, node: exp.Expr, quoted: str, kind: str) -> _Part:
        """A text in quotes as a value of a kind."""
        if kind == TEXT:
            return _Part(TEXT, {"text": quoted})
        if kind == TIME:
            return _Part(TIME, {"time": self.moment(node, quoted)})
        if kind == INTERVAL:
            if not DURATION.fullmatch(quoted):
                self.refuse(node, "this is not a duration: write it as '90 minutes' or '2 days'")
            return _Part(INTERVAL, {"interval": quoted})
        if kind == CONDITION:
            self.refuse(node, "a condition is expected here, not a text")
        return self.number(node, quoted)

    def moment(self, node: exp.Expr, quoted: str) -> str:
        try:
            return moment("where", quoted.strip()).isoformat()
        except DBOSInvalidArgumentError:
            self.refuse(node, "this is not a time: write it as '2026-01-31T12:00:00Z'")


_COMPILERS: Mapping[type[exp.Expr], Callable[[_Compiler, exp.Expr], _Part]] = {
    exp.And: _Compiler.logic,
    exp.Or: _Compiler.logic,
    exp.Not: _Compiler.negation,
    exp.Paren: _Compiler.parentheses,
    **dict.fromkeys(_COMPARISONS, _Compiler.comparison),
    exp.NullSafeEQ: _Compiler.same,
    **dict.fromkeys(_PATTERNS, _Compiler.pattern),
    exp.In: _Compiler.membership,
    exp.Between: _Compiler.between,
    exp.Is: _Compiler.identity,
    exp.Add: _Compiler.sum,
    exp.Sub: _Compiler.sum,
    **dict.fromkeys(_FUNCTIONS, _Compiler.function),
    exp.Column: _Compiler.column,
    exp.JSONExtractScalar: _Compiler.attribute,
    exp.ArrayContainsAll: _Compiler.containment,
    exp.Literal: _Compiler.literal,
    exp.Neg: _Compiler.minus,
    exp.Boolean: _Compiler.boolean,
    exp.CurrentTimestamp: _Compiler.now,
    exp.Interval: _Compiler.interval,
    exp.Cast: _Compiler.cast,
}
_CASTS = {
    exp.DataType.Type.TIMESTAMPTZ: TIME,
    exp.DataType.Type.TIMESTAMP: TIME,
    exp.DataType.Type.DATE: TIME,
    exp.DataType.Type.INTERVAL: INTERVAL,
    exp.DataType.Type.TEXT: TEXT,
}


def _negated(part: _Part) -> _Part:
    return _Part(CONDITION, {"op": "not", "args": [part.tree]})


def _described(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return f"the function {node.name}"
    if isinstance(node, exp.Func):
        return f"the function {node.sql_name().lower()}"
    return "this"


def _offset(text: str, line: int | None, column: int | None, highlight: str | None) -> int:
    """Where a parser's line and column are; its column is the end of what it highlights."""
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    begin = starts[min((line or 1) - 1, len(starts) - 1)]
    return max(begin, min(begin + (column or 1) - len(highlight or " "), len(text) - 1))


def _refuse(text: str, problem: str, start: int, end: int) -> NoReturn:
    """Refuse, and point at the part of the text that is meant."""
    line = text.count("\n", 0, start) + 1
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", begin)
    stop = len(text) if stop < 0 else stop
    column = start - begin + 1
    shown = text[begin:stop].expandtabs(1)
    marks = "^" * max(1, min(end, stop) - start)
    raise DBOSInvalidArgumentError(
        f"where, line {line}, column {column}: {problem}\n  {shown}\n  {' ' * (column - 1)}{marks}",
        {"line": line, "column": column},
    )
