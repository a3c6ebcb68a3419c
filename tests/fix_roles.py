"""Fixtures: the roles of the engine, and logins that have them or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql as composed

Connection = psycopg.Connection[Any]
Login = Callable[..., str]

# From the least to the most; each may do what those before it may.
ROLES = ("observer", "client", "worker", "admin")


def run(conn: Connection, text: str, *names: str) -> None:
    conn.execute(composed.SQL(text).format(*map(composed.Identifier, names)))  # type: ignore[arg-type, unused-ignore]


@pytest.fixture
def login(sql: Connection) -> Iterator[Login]:
    """Make a login: `login()` may nothing, `login("client")` has a role of the engine."""
    made: list[str] = []

    def make(engine_role: str | None = None) -> str:
        name = f"login_{uuid4().hex[:8]}"
        run(sql, "create role {} login password 'secret'", name)
        made.append(name)
        if engine_role is not None:
            sql.execute("select pyengine.grant_role(%s, %s)", [name, engine_role])
        return name

    yield make
    run(sql, "reset role")
    for name in made:
        run(sql, "drop owned by {} cascade", name)
        run(sql, "drop role {}", name)


@contextmanager
def acting_as(conn: Connection, name: str) -> Iterator[None]:
    run(conn, "set role {}", name)
    try:
        yield
    finally:
        run(conn, "reset role")
