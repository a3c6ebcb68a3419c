"""A server's door that can swallow the answer to a commit: the client never learns what became of it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict


class CommitProxy:
    """Forwards connections to a server; what it was told to lose goes through and is not answered.

    As a block: listens inside it.
    """

    def __init__(self, url: str) -> None:
        target = conninfo_to_dict(url)
        self._host, self._port = str(target["host"]), int(target.get("port") or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        port = self._listener.getsockname()[1]
        password = f":{quote(str(target['password']))}" if target.get("password") else ""
        self.url = (
            f"postgresql://{target['user']}{password}@127.0.0.1:{port}/{target['dbname']}"
            "?sslmode=disable&gssencmode=disable"
        )
        self._to_lose: bytes | None = None
        self.lost = 0

    def lose_next(self, mark: bytes = b"COMMIT") -> None:
        """Lose the answer to the next message that contains these bytes, with its connection."""
        self._to_lose = mark

    def __enter__(self) -> CommitProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for each in self._sockets:
            _hang_up(each)

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = self._connect()
                self._sockets += [client, server]
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()
                threading.Thread(target=self._ask, args=(client, server), daemon=True).start()

    def _connect(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, self._port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._host}/.s.PGSQL.{self._port}")
        return server

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self._to_lose is not None and self._to_lose in data:
                    self._to_lose = None
                    self.lost += 1
                    _hang_up(client)
                server.sendall(data)
        _hang_up(server)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        _hang_up(client)


def _hang_up(each: socket.socket) -> None:
    with suppress(OSError):  # it has gone already
        each.shutdown(socket.SHUT_RDWR)
    each.close()
