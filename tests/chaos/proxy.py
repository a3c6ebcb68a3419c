"""A door to a server that can cut a connection at a chosen call: before it arrives, or when its reply is on its way."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict


@dataclass
class Cut:
    """Cut once, at a call of an SQL function; `rows`: only if its reply holds rows."""

    function: str
    after: bool
    rows: bool = False
    done: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Forwards connections to a server, message by message. As a block: listens inside it."""

    def __init__(self, url: str) -> None:
        target = conninfo_to_dict(url)
        self.retarget(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        password = f":{quote(str(target['password']))}" if target.get("password") else ""
        self.url = (
            f"postgresql://{target['user']}{password}@127.0.0.1:{port}/{target['dbname']}"
            "?sslmode=disable&gssencmode=disable"
        )
        self._lock = threading.Lock()
        self._armed: Cut | None = None
        self._links: set[_Link] = set()
        self._refusing = False
        self.silent = False

    def retarget(self, url: str) -> None:
        """Forward new connections to another server."""
        target = conninfo_to_dict(url)
        self._host, self._port = str(target["host"]), int(target.get("port") or 5432)

    def cut_all(self, *, refuse: bool = False) -> None:
        """End all connections; with `refuse` new ones end at once too, until `mend`."""
        self._refusing = refuse
        with self._lock:
            links = list(self._links)
        for link in links:
            link.end()

    def silence(self) -> None:
        """Swallow whatever is said in either direction, as a network does whose other end vanished, until `mend`."""
        self.silent = True

    def mend(self) -> None:
        """Let new connections through. Those that were silent end: what they lost is lost."""
        was_silent, self.silent = self.silent, False
        self._refusing = False
        if was_silent:
            self.cut_all()

    def add(self, link: _Link) -> None:
        """A connection is there."""
        with self._lock:
            self._links.add(link)

    def remove(self, link: _Link) -> None:
        """A connection has ended."""
        with self._lock:
            self._links.discard(link)

    def cut(self, function: str, *, after: bool, rows: bool = False) -> Cut:
        """Cut the next connection that calls this function; `done` is set when that has happened."""
        with self._lock:
            self._armed = Cut(function, after, rows)
            return self._armed

    def armed_for(self, text: str) -> Cut | None:
        """The cut that a call with this text meets."""
        with self._lock:
            armed = self._armed
            return armed if armed is not None and f".{armed.function}(" in text else None

    def fire(self, cut: Cut) -> bool:
        """Whether this connection is the one to be cut; it is so for one."""
        with self._lock:
            if self._armed is not cut:
                return False
            self._armed = None
            return True

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        hang_up(self._listener)
        self.cut_all()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = None if self._refusing else self._connect()
                if server is None:
                    hang_up(client)
                    continue
                link = _Link(self, client, server)
                self.add(link)
                threading.Thread(target=link.ask, daemon=True).start()
                threading.Thread(target=link.answer, daemon=True).start()

    def _connect(self) -> socket.socket | None:
        """A connection to the server; None when it is away."""
        try:
            if not self._host.startswith("/"):
                return socket.create_connection((self._host, self._port))
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(f"{self._host}/.s.PGSQL.{self._port}")
            except OSError:
                server.close()
                raise
        except (ConnectionError, FileNotFoundError):
            return None
        return server


class _Link:
    """One connection through the proxy; the client asks one thing at a time."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._statements: dict[bytes, str] = {}
        self._pending: Cut | None = None

    def ask(self) -> None:
        """Forward what the client says."""
        with suppress(OSError, EOFError):
            self._server.sendall(_read_startup(self._client))
            while True:
                kind, message = _read_message(self._client)
                text = self._text(kind, message)
                cut = self._proxy.armed_for(text) if text else None
                if cut is not None and not cut.after and self._proxy.fire(cut):
                    self.end(cut)
                if cut is not None and cut.after:
                    self._pending = cut
                if not self._proxy.silent:
                    self._server.sendall(message)
        self.end()

    def answer(self) -> None:
        """Forward what the server says, unless it is the reply that is to be lost."""
        reply, has_rows = bytearray(), False
        with suppress(OSError, EOFError):
            while True:
                kind, message = _read_message(self._server)
                cut = self._pending
                if cut is None:
                    if not self._proxy.silent:
                        self._client.sendall(message)
                    continue
                reply += message
                has_rows = has_rows or kind == b"D"
                if kind != b"Z":
                    continue
                self._pending = None
                if (has_rows or not cut.rows) and self._proxy.fire(cut):
                    self.end(cut)
                self._client.sendall(reply)
                reply, has_rows = bytearray(), False
        self.end()

    def _text(self, kind: bytes, message: bytes) -> str:
        """The SQL text that is about to be executed, if any."""
        body = message[5:]
        if kind == b"P":
            name, query = body.split(b"\0")[:2]
            self._statements[name] = query.decode()
        elif kind == b"B":
            return self._statements.get(body.split(b"\0")[1], "")
        return ""

    def end(self, cut: Cut | None = None) -> None:
        """End both sides."""
        self._proxy.remove(self)
        hang_up(self._client)
        hang_up(self._server)
        if cut is not None:
            cut.done.set()


def hang_up(connection: socket.socket) -> None:
    """End a connection in both directions; it may have ended by itself."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _read_exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def _read_startup(connection: socket.socket) -> bytes:
    head = _read_exactly(connection, 4)
    return head + _read_exactly(connection, struct.unpack("!I", head)[0] - 4)


def _read_message(connection: socket.socket) -> tuple[bytes, bytes]:
    head = _read_exactly(connection, 5)
    return head[:1], head + _read_exactly(connection, struct.unpack("!I", head[1:])[0] - 4)
