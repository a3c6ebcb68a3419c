"""A session tells what became of a statement: that its commit failed, or that the server is gone."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import psycopg
import pytest

from pyengine.database.session import Session, is_pooled
from pyengine.sqlstates import retry_policy_of

INSERT = "insert into public.at_commit values (1) returning number"


def test_a_server_that_is_lost_just_after_the_connection_was_made_is_an_outage(
    database_url: str,
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as wire:
            wire.shutdown(socket.SHUT_RDWR)

        with pytest.raises(psycopg.OperationalError) as lost:
            is_pooled(connection)

    assert retry_policy_of(lost.value) == "outage"


@pytest.mark.parametrize("prepare", [True, False])
@pytest.mark.parametrize("on_loop", [True, False])
def test_a_statement_that_fails_at_its_commit_has_failed(
    database_url: str, prepare: bool, on_loop: bool
) -> None:
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("drop table if exists public.at_commit")
        admin.execute("create table public.at_commit (number int unique initially deferred)")
        admin.execute(INSERT.encode())
    session = Session.connect(database_url, application_name="test", prepare=prepare)

    with pytest.raises(psycopg.errors.UniqueViolation):
        asyncio.run(executed(session)) if on_loop else session.execute(INSERT, [])

    assert not session.broken
    session.close()


async def executed(session: Session) -> Any:
    """The rows of the insert, sent on this loop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def done(rows: Any, error: BaseException | None) -> None:
        if error is None:
            future.set_result(rows)
        else:
            future.set_exception(error)

    session.start(loop, INSERT, [], done)
    return await future
