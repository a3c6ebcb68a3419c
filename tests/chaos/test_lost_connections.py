"""Losing the connection is an outage, however the loss shows: it is never a workflow's error."""

from __future__ import annotations

import socket

import psycopg
import pytest

from pyengine.database.session import Session
from pyengine.runtime.sessions import Sessions
from pyengine.sqlstates import retry_policy_of


def test_a_connection_that_is_cut_without_a_word_is_an_outage(engine_url: str) -> None:
    session = Session.connect(engine_url, application_name="test")
    session.execute("select 1", [])
    cut(session)

    with pytest.raises(psycopg.OperationalError) as failure:
        session.execute("select 1", [])

    assert failure.value.sqlstate is None
    assert retry_policy_of(failure.value) == "outage"
    assert session.broken
    session.close()


def test_a_terminated_session_is_an_outage(engine_url: str) -> None:
    session = Session.connect(engine_url, application_name="test")
    with psycopg.connect(engine_url, autocommit=True) as admin:
        admin.execute("select pg_terminate_backend(%s, 5000)", [session.backend_pid])

    with pytest.raises(psycopg.Error) as failure:
        session.execute("select 1", [])

    assert retry_policy_of(failure.value) == "outage"
    session.close()


def test_one_broken_session_makes_way_for_new_ones(engine_url: str) -> None:
    sessions = Sessions(engine_url, application_name="test", prepare=True)
    opened = [sessions.open() for _ in range(3)]
    for session in opened:
        sessions.give_back(session)
        cut(session)

    with pytest.raises(psycopg.OperationalError), sessions.use() as session:
        session.execute("select 1", [])

    with sessions.use() as session:
        assert session.execute("select 1", []) == [(1,)]
    sessions.close()


def cut(session: Session) -> None:
    """End the connection below libpq, as a dead network does."""
    descriptor = session._pgconn.socket
    with socket.socket(fileno=socket.dup(descriptor)) as connection:
        connection.shutdown(socket.SHUT_RDWR)
