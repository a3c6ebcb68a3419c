"""Everything that this process waits for, and the thread that looks again.

A wait ends when its key is notified, by this process or through the listener. Correctness never depends on that:
each wait is looked at again at growing intervals, all that are due in one statement.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections.abc import Iterable, Sequence

from pyengine.database import calls
from pyengine.runtime.gateway import Gateway

_logger = logging.getLogger("pyengine")

FIRST_LOOK_SECONDS = 0.005
LAST_LOOK_SECONDS = 1.0


def wait_key(kind: str, identifier: str) -> int:
    """The same key as `pyengine.wait_key` in SQL."""
    digest = hashlib.sha256(f"{kind}:{identifier}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


class Ticket:
    """One wait, of a thread or of a task, for the first of some keys."""

    def __init__(self, waits: Waits, keys: Sequence[tuple[str, str]]) -> None:
        self._waits = waits
        self.keys = {wait_key(*key): key for key in keys}
        self.interval = FIRST_LOOK_SECONDS
        self.look_at = time.monotonic() + self.interval
        self._event = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._future: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """End the current wait; safe from any thread."""
        self._event.set()
        loop, future = self._loop, self._future
        if loop is not None and future is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, future)

    def wait(self, timeout: float | None) -> None:
        """Block until woken, at most `timeout` seconds."""
        self._event.wait(timeout)
        self._event.clear()

    async def wait_async(self, timeout: float | None) -> None:
        """As `wait`, for a task."""
        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()
        if not self._event.is_set():
            await asyncio.wait((self._future,), timeout=timeout)
        self._event.clear()

    def close(self) -> None:
        """The wait is over."""
        self._waits.close_ticket(self)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Waits:
    """The open tickets by key; `channel` is where this process is notified."""

    def __init__(self, gateway: Gateway, channel: str) -> None:
        self.channel = channel
        self._gateway = gateway
        self._changed = threading.Condition()
        self._tickets: dict[int, set[Ticket]] = {}
        self._forgotten: set[int] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._look_again, name="pyengine-waits", daemon=True)

    def start(self) -> None:
        """Start the thread that looks again."""
        self._thread.start()

    def stop(self) -> None:
        """Wake everybody and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self.wake_all()
        self._thread.join(10)

    def open(self, keys: Sequence[tuple[str, str]]) -> Ticket:
        """Begin to wait for the first of these keys."""
        ticket = Ticket(self, keys)
        with self._changed:
            for key in ticket.keys:
                self._tickets.setdefault(key, set()).add(ticket)
                self._forgotten.discard(key)
            self._changed.notify()
        return ticket

    def close_ticket(self, ticket: Ticket) -> None:
        """Stop waiting; the database forgets keys that nobody here waits for any more."""
        with self._changed:
            for key in ticket.keys:
                waiting = self._tickets.get(key, set())
                waiting.discard(ticket)
                if not waiting:
                    self._tickets.pop(key, None)
                    self._forgotten.add(key)

    def wake(self, key: int) -> bool:
        """Something happened that may have made this key come true: whether anybody here waited for it."""
        with self._changed:
            woken = tuple(self._tickets.get(key, ()))
        for ticket in woken:
            ticket.wake()
        return bool(woken)

    def wake_all(self) -> None:
        """Notifications may have been lost: everybody looks again."""
        with self._changed:
            woken = {ticket for tickets in self._tickets.values() for ticket in tickets}
        for ticket in woken:
            ticket.wake()

    def _due(self) -> tuple[list[Ticket], list[int]] | None:
        """Wait for the next tickets to be due; None when closed."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                tickets = {ticket for group in self._tickets.values() for ticket in group}
                due = [ticket for ticket in tickets if ticket.look_at <= now]
                if due:
                    for ticket in due:
                        ticket.interval = min(ticket.interval * 2, LAST_LOOK_SECONDS)
                        ticket.look_at = now + ticket.interval
                    forgotten, self._forgotten = list(self._forgotten), set()
                    return due, forgotten
                pause = min((t.look_at for t in tickets), default=now + 60.0) - now
                self._changed.wait(pause)
            return None

    def _look_again(self) -> None:
        while (work := self._due()) is not None:
            due, forgotten = work
            try:
                self._look(due, forgotten)
            except Exception:
                if not self._closed:
                    _logger.exception("looking again at what is waited for failed; it is repeated")

    def _look(self, due: Iterable[Ticket], forgotten: Sequence[int]) -> None:
        if forgotten:
            self._gateway.run_own(calls.forget_waits(wait_keys=forgotten, channel=self.channel))
        results = {i for ticket in due for kind, i in ticket.keys.values() if kind == "result"}
        if not results:
            return
        call = calls.await_workflows(workflow_ids=sorted(results), channel=self.channel)
        for outcome in self._gateway.run_own(call):
            self.wake(wait_key("result", outcome.workflow_id))
