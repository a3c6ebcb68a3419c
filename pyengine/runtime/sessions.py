"""The engine's own server sessions: a few, opened when needed, kept for the next user."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from pyengine.database.session import Session
from pyengine.errors import DBOSException


class Sessions:
    """Idle sessions to one database. The newest is used first, so that the others may be closed."""

    def __init__(self, url: str, *, application_name: str, prepare: bool, keep: int = 4) -> None:
        self._url = url
        self._application_name = application_name
        self._prepare = prepare
        self._keep = keep
        self._idle: deque[Session] = deque()
        self._lent: dict[Session, asyncio.AbstractEventLoop] = {}
        self._busy = 0
        self._lock = threading.Lock()
        self._returned = threading.Condition(self._lock)
        self.closed = threading.Event()

    def open(self) -> Session:
        """Open a new session (blocking); raises psycopg.OperationalError, or DBOSException once closed."""
        if self.closed.is_set():
            raise DBOSException(
                "pyengine is shut down (by DBOS.destroy() or DBOSClient.close()): no database call is possible any more"
            )
        return Session.connect(
            self._url, application_name=self._application_name, prepare=self._prepare
        )

    def take_idle(self) -> Session | None:
        """An idle session, or None; never blocks."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def lend(self, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        """A session is used by an event loop, which may be closed before it gives the session back."""
        self._lent[session] = loop

    def close_orphans(self) -> None:
        """Close the sessions of loops that were closed in the middle of a statement."""
        for session, loop in tuple(self._lent.items()):
            if loop.is_closed() and self._lent.pop(session, None) is not None:
                session.close()

    def give_back(self, session: Session) -> None:
        """Return a session after use; a broken or superfluous one is closed.

        What broke one has probably broken the others that were open: they go too, so that an outage costs each
        operation one repetition, not one for each of them.
        """
        self._lent.pop(session, None)
        if session.broken:
            session.close()
            self._close_idle()
        elif self.closed.is_set() or len(self._idle) >= self._keep:
            session.close()
        else:
            self._idle.append(session)

    def use(self) -> _Use:
        """A session for the length of a with block (may block to open one)."""
        return _Use(self)

    def begin_use(self) -> Session:
        """As entering `use`."""
        session = self.take_idle() or self.open()
        with self._lock:
            self._busy += 1
        return session

    def end_use(self, session: Session) -> None:
        """As leaving `use`."""
        self.give_back(session)
        with self._lock:
            self._busy -= 1
            if self._busy == 0 and self.closed.is_set():
                self._returned.notify_all()

    def drain(self, timeout: float) -> None:
        """Refuse to open sessions, and wait until the statements that are under way have ended."""
        self.closed.set()
        with self._returned:
            self._returned.wait_for(lambda: not self._busy, timeout)

    def close(self) -> None:
        """Close all idle sessions and refuse to open others."""
        self.closed.set()
        self._close_idle()
        self.close_orphans()

    def _close_idle(self) -> None:
        while (session := self.take_idle()) is not None:
            session.close()


class _Use:
    """A session in use; a class, because a generator's block costs a microsecond more, at each statement."""

    __slots__ = ("_session", "_sessions")

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def __enter__(self) -> Session:
        self._session = self._sessions.begin_use()
        return self._session

    def __exit__(self, *_: object) -> None:
        self._sessions.end_use(self._session)
