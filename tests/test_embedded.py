"""The embedded server: found, started, shared, stopped, and repaired after every kind of crash."""

import psycopg

from pyengine import embedded


def test_the_server_answers_at_its_dsn_and_its_url(server: embedded.Server) -> None:
    for address in (server.dsn(), server.url()):
        with psycopg.connect(address) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
