"""A session that is lost while it is opened is an outage, and never the error of a workflow."""

from __future__ import annotations

import os
import socket

import psycopg
import pytest

from pyengine.database.session import is_pooled
from pyengine.sqlstates import retry_policy_of


def test_a_server_that_is_lost_just_after_the_connection_was_made_is_an_outage(
    database_url: str,
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as wire:
            wire.shutdown(socket.SHUT_RDWR)

        with pytest.raises(psycopg.OperationalError) as lost:
            is_pooled(connection)

    assert retry_policy_of(lost.value) == "outage"
