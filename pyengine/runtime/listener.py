"""The one listening session of a process: it wakes waits, and its life tells the others that the process lives."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import psycopg
from psycopg import sql

from pyengine.runtime.retries import Retries

_REFUSED_PAUSE_SECONDS = 5.0
_PROOF_PAUSE_SECONDS = 0.05

Hearing = Literal["works", "deaf", "unreachable", "stopped"]


class Listener:
    """Listens on `channel`; calls `notified(payload)` for each notification and `connected()` after each (re)connect.

    `backend_pid` is the server process of the session while it is known to deliver notifications, else None:
    behind a pooler LISTEN is accepted and nothing ever arrives.
    """

    def __init__(
        self,
        url: str,
        channel: str,
        *,
        notified: Callable[[str], None],
        connected: Callable[[], None],
    ) -> None:
        self._url = url
        self._channel = channel
        self._notified = notified
        self._connected = connected
        self._stopping = threading.Event()
        self._proved = threading.Event()
        self._listening = threading.Event()
        self._wake_out, self._wake_in = socket.socketpair()
        self._session_pid: int | None = None
        self._session_count = 0
        self._retries = Retries()
        self._thread = threading.Thread(target=self._run, name="pyengine-listener", daemon=True)

    @property
    def backend_pid(self) -> int | None:
        """Server process of the listening session; None while there is none that delivers."""
        return self._session_pid if self._proved.is_set() else None

    def start(self, prove: Callable[[str], bool], timeout: float = 1.0) -> Hearing:
        """Begin to listen, and find out whether notifications arrive.

        Args:
            prove: Notifies the channel that it is given through another session; False when that failed.
            timeout: Seconds for a notification to arrive.

        Returns:
            `works`, or `deaf` if a session listened all the time and nothing arrived, or `unreachable` if within ten
            times the timeout there was no session that lasted so long: it may have been lost, which says nothing
            about the next one. `stopped` if it was stopped before that was known.
        """
        self._thread.start()
        deadline = time.monotonic() + 10 * timeout
        while self._listening.wait(max(deadline - time.monotonic(), 0)):
            if self._stopping.is_set():
                return "stopped"
            tried = self._session_count
            is_sent = prove(self._channel)
            if self._proved.wait(timeout if is_sent else _PROOF_PAUSE_SECONDS):
                return "works"
            if is_sent and self._listening.is_set() and self._session_count == tried:
                return "stopped" if self._stopping.is_set() else "deaf"
            if time.monotonic() > deadline:
                break
        return "stopped" if self._stopping.is_set() else "unreachable"

    def stop(self) -> None:
        """End the session and the thread; whoever waits for it to listen goes on."""
        self._stopping.set()
        self._listening.set()
        self._wake_in.send(b"x")
        if self._thread.ident is not None:
            self._thread.join(10)
        self._wake_in.close()
        self._wake_out.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with psycopg.connect(
                    self._url,
                    autocommit=True,
                    application_name="pyengine listener",
                    connect_timeout=10,
                    keepalives_idle=5,
                    keepalives_interval=2,
                    keepalives_count=2,
                    tcp_user_timeout=10_000,
                ) as connection:
                    self._listen(connection)
            except psycopg.Error as error:
                self._session_pid = None
                self._listening.clear()
                if self._stopping.is_set():
                    self._listening.set()
                pause = self._retries.pause_after(error)
                self._stopping.wait(_REFUSED_PAUSE_SECONDS if pause is None else pause)

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        # Not what the connection was told: a pooler that keeps sessions says something of its own. It is asked
        # before anything can be notified, which this would take away.
        row = connection.execute("select pg_catalog.pg_backend_pid()").fetchone()
        connection.execute(sql.SQL("listen {}").format(sql.Identifier(self._channel)))
        self._session_pid = None if row is None else int(row[0])
        self._retries = Retries()
        self._session_count += 1
        self._listening.set()
        self._connected()
        pgconn = connection.pgconn
        while not self._stopping.is_set():
            select.select([pgconn.socket, self._wake_out.fileno()], [], [], 60.0)
            pgconn.consume_input()
            while (notification := pgconn.notifies()) is not None:
                self._proved.set()
                self._notified(notification.extra.decode())
