"""Fixtures: an empty database for a test that installs, and trees of SQL sources."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from pyengine.embedded import Server
from pyengine.schema import sql_root

Connect = Callable[..., psycopg.Connection[Any]]


class Tree:
    """A directory of SQL sources that starts with nothing but the bookkeeping of migrations."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for file in (
            "migrations/0000_schema_migrations.sql",
            "functions/base/list_migrations.sql",
        ):
            self.write(file, (sql_root() / file).read_text())

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def migration(self, name: str, text: str) -> None:
        self.write(f"migrations/{name}.sql", text)

    def function(self, name: str, result: str, *, topic: str = "base") -> None:
        """Write a function without arguments that returns a text."""
        text = (
            f"create or replace function pyengine.{name}() returns text language plpgsql as "
            f"$$ begin return {result}; end $$;"
        )
        self.write(f"functions/{topic}/{name}.sql", text)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "sql")


@pytest.fixture
def copy_of_tree(tree: Tree, tmp_path: Path) -> Callable[[], Tree]:
    """Copy the tree as it is now: what an older library ships."""

    def copy() -> Tree:
        older = tmp_path / f"sql-{uuid4().hex[:6]}"
        shutil.copytree(tree.root, older)
        return Tree(older)

    return copy


@pytest.fixture
def empty_database(server: Server) -> Iterator[str]:
    """The URL of an empty database of this test only."""
    name = f"schema_{uuid4().hex[:12]}"
    database = sql.Identifier(name)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(database))
        yield server.url(name)
        connection.execute(sql.SQL("drop database {} with (force)").format(database))


@pytest.fixture
def connect(empty_database: str) -> Iterator[Connect]:
    """Open connections to the empty database; they are closed after the test."""
    with ExitStack() as stack:

        def open_one(*, autocommit: bool = True) -> psycopg.Connection[Any]:
            connection = psycopg.connect(empty_database, autocommit=autocommit)
            return stack.enter_context(connection)

        yield open_one


@pytest.fixture
def conn(connect: Connect) -> psycopg.Connection[Any]:
    return connect()
