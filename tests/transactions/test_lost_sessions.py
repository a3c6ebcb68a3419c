"""A session that is lost while libpq still counts it as open: an attempt at a transaction is repeated, not failed."""

from __future__ import annotations

import shutil
import socket
import threading
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyengine.database.connections import StepConnection
from tests.fix_server import server_directory


class DeafServer:
    """A door to a server, at a socket file, that can be made to hear nothing more while it still speaks."""

    def __init__(self, url: str, directory: Path) -> None:
        target = conninfo_to_dict(url)
        self._path = f"{target['host']}/.s.PGSQL.{target['port']}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / ".s.PGSQL.5432"))
        self._listener.listen()
        self.url = make_conninfo(url, host=str(directory), port=5432)
        self.client = self.server = self._listener
        threading.Thread(target=self._serve, daemon=True).start()

    def hear_nothing_more(self) -> None:
        self.client.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        for each in (self.client, self.server, self._listener):
            each.close()

    def _serve(self) -> None:
        self.client, _ = self._listener.accept()
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(self._path)
        threading.Thread(target=self._forward, args=(self.client, self.server), daemon=True).start()
        self._forward(self.server, self.client)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:  # the test is over
            return


def test_a_connection_that_libpq_counts_as_open_is_closed_when_a_transaction_cannot_begin(
    engine_url: str,
) -> None:
    directory = server_directory()
    door = DeafServer(engine_url, directory)
    connection = StepConnection.connect(door.url, autocommit=True)
    connection.execute("listen lost_sessions")
    door.hear_nothing_more()
    with psycopg.connect(engine_url, autocommit=True) as other:
        other.execute("notify lost_sessions")

    with pytest.raises(psycopg.OperationalError):
        connection.begin("begin")

    assert connection.closed
    door.close()
    shutil.rmtree(directory)
