"""The rows of a SQL step: their columns as the server describes them, and their values from JSON.

A step's rows travel and are stored as the JSON that `row_to_json` makes. Here each value becomes
again what the driver gives for its column's type, by the driver's own loaders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

from pyengine.errors import DBOSInitializationError, DBOSSerializationError

if TYPE_CHECKING:
    from psycopg import abc

    from pyengine.sqlsteps import SqlStatement

_Decoder = Callable[[Any], Any]

_TYPES = psycopg.adapters.types
_DECIMAL = {_TYPES["numeric"].oid}
_FLOATS = {_TYPES[name].oid for name in ("float4", "float8")}
_DOCUMENTS = {_TYPES[name].oid for name in ("json", "jsonb")}
_INTERVALS = {_TYPES["interval"].oid}
_MOMENTS = {_TYPES[name].oid for name in ("timestamp", "timestamptz")}
# Of an interval in another style the driver would make one of length zero.
_INTERVAL = re.compile(r"([+-]?\d+ (years?|mons?|days?) ?)*([+-]?\d+:\d\d:\d\d(\.\d+)?)?")
# Python refuses to make an int of more digits than a few thousand; numeric has room for 131 072.
_INT_DIGITS = 4000


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result.

    Args:
        name: Its name; a result may have several of one name.
        type_oid: The number of its type in `pg_type`.
    """

    name: str
    type_oid: int


def describe(conn: psycopg.Connection[Any], statement: SqlStatement) -> tuple[Column, ...]:
    """Ask the server what a statement returns, without running it.

    Args:
        conn: A connection; what it does here is undone if the statement is refused.
        statement: The statement of a SQL step.

    Returns:
        The columns of its rows; none for a statement that returns no rows.

    Raises:
        DBOSInitializationError: The server refuses it; names the step and the server's reason.
    """
    # In one transaction, as a transaction pooler may answer the two requests by two servers.
    with conn.transaction():
        prepared = conn.pgconn.prepare(b"", statement.text.encode(conn.info.encoding))
        _require(prepared, statement, conn)
        described = conn.pgconn.describe_prepared(b"")
        _require(described, statement, conn)
    if described.nparams != len(statement.parameters):
        raise DBOSInitializationError(
            f"SQL step {statement.name!r}: PostgreSQL finds {described.nparams} parameters in it, "
            f"and {len(statement.parameters)} were meant; put spaces around the colons"
        )
    names = [described.fname(index) or b"" for index in range(described.nfields)]
    return tuple(
        Column(name.decode(conn.info.encoding), described.ftype(index))
        for index, name in enumerate(names)
    )


def decode_rows(json_text: str | bytes, columns: Sequence[Column]) -> list[dict[str, object]]:
    """Turn the JSON of rows back into the values that the driver gives for the same rows.

    Types that the driver knows come back in its classes (Decimal, datetime, UUID, bytes, ranges,
    addresses, …), also in arrays; composite types stay as JSON gives them. A moment is
    in UTC, equal to the same moment in the session's zone.

    Args:
        json_text: A JSON array of objects, one for each row, or `null`; made by a session whose
            `intervalstyle` is `postgres`, the default, if it has intervals.
        columns: The columns, from `describe`.

    Returns:
        The rows, as dictionaries by column name; of two columns with one name the last counts.

    Raises:
        DBOSSerializationError: A value has no form in Python (such as a date before the year 1, or
            `infinity`); names the column, not the value.
    """
    transformer = Transformer()
    decoders = {column.name: _decoder(column.type_oid, transformer) for column in columns}
    rows = json.loads(json_text, parse_float=Decimal, parse_int=_whole_number)
    return [
        {name: _decoded(value, name, decoders.get(name)) for name, value in row.items()}
        for row in rows or []
    ]


def _decoded(value: Any, column: str, decoder: _Decoder | None) -> Any:
    if value is None or decoder is None:
        return value
    try:
        return decoder(value)
    except (ValueError, ArithmeticError, psycopg.Error):
        pass  # the text of that error shows the value
    raise DBOSSerializationError(f"a value in the column {column!r} has no form in Python")


def _decoder(oid: int, transformer: abc.Transformer) -> _Decoder:
    known = _TYPES.get(oid)
    if known is not None and oid == known.array_oid:
        return _array_of(_decoder(known.oid, transformer))
    if oid in _DECIMAL:
        return Decimal
    if oid in _FLOATS:
        return float
    if oid in _DOCUMENTS:
        return _plain_numbers
    load = transformer.get_loader(oid, pq.Format.TEXT).load
    if oid in _MOMENTS:
        return lambda text: load(text.replace("T", " ").encode())
    if oid in _INTERVALS:
        return lambda text: load(_postgres_interval(text).encode())
    return lambda value: load(value.encode()) if isinstance(value, str) else _plain_numbers(value)


def _array_of(decode: _Decoder) -> _Decoder:
    def decode_array(value: Any) -> Any:
        if isinstance(value, list):
            return [decode_array(element) for element in value]
        return None if value is None else decode(value)

    return decode_array


def _plain_numbers(value: Any) -> Any:
    """Give the numbers in a JSON document the types that `json.loads` gives them."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [_plain_numbers(element) for element in value]
    if isinstance(value, dict):
        return {key: _plain_numbers(element) for key, element in value.items()}
    return value


def _postgres_interval(text: str) -> str:
    if not _INTERVAL.fullmatch(text):
        raise ValueError("the interval is not in the style of PostgreSQL")
    return text


def _whole_number(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < _INT_DIGITS else Decimal(digits)


def _require(
    answer: pq.abc.PGresult, statement: SqlStatement, conn: psycopg.Connection[Any]
) -> None:
    if answer.status == pq.ExecStatus.COMMAND_OK:
        return

    def field(code: pq.DiagnosticField) -> str:
        return (answer.error_field(code) or b"").decode(conn.info.encoding, "replace")

    position = field(pq.DiagnosticField.STATEMENT_POSITION)
    line = statement.text[: int(position or 1) - 1].count("\n") + 1
    said = [
        field(pq.DiagnosticField.MESSAGE_PRIMARY) or "the connection was lost",
        field(pq.DiagnosticField.MESSAGE_HINT),
        f"line {line}" if position else "",
    ]
    message = "; ".join(part for part in said if part)
    raise DBOSInitializationError(f"SQL step {statement.name!r} was refused: {message}")
