"""Everything that this process waits for, and the thread that looks again.

A wait ends when its key is notified, by this process or through the listener. Correctness never depends on that:
each wait is looked at again at growing intervals, all that are due in one statement.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from pyengine.database import calls
from pyengine.effects import WaitFor, wait_key
from pyengine.runtime.gateway import Gateway

_logger = logging.getLogger("pyengine")

FIRST_LOOK_SECONDS = 0.005
LAST_LOOK_SECONDS = 1.0


class Ticket:
    """One wait, of a thread or of a task, for the first of several things."""

    def __init__(self, waits: Waits, wanted: Sequence[WaitFor]) -> None:
        self._waits = waits
        self.wanted = {wait_key(each): each for each in wanted}
        self.interval = FIRST_LOOK_SECONDS
        self.is_closed = False
        self._event = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._future: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """End the current wait; safe from any thread."""
        self._event.set()
        loop, future = self._loop, self._future
        if loop is not None and future is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, future)

    def wait(self, timeout: float) -> None:
        """Block until woken, at most `timeout` seconds."""
        self._event.wait(min(timeout, threading.TIMEOUT_MAX))
        self._event.clear()

    async def wait_async(self, timeout: float) -> None:
        """As `wait`, for a task."""
        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()
        if not self._event.is_set():
            bound = None if timeout == math.inf else timeout
            await asyncio.wait((self._future,), timeout=bound)
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
        self._looks: list[tuple[float, int, Ticket]] = []
        self._count = itertools.count()
        self._forgotten: set[int] = set()
        self._forget_at = math.inf
        self._closed = False
        self._begin: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._look_again, name="pyengine-waits", daemon=True)

    def start(self) -> None:
        """Start the thread that looks again."""
        self._thread.start()

    def start_when_needed(self, begin: Callable[[], None]) -> None:
        """Start the thread at the first wait, and call `begin` then."""
        self._begin = begin

    def stop(self) -> None:
        """Wake everybody and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self.wake_all()
        if self._thread.ident is not None:
            self._thread.join(10)

    def open(self, wanted: Sequence[WaitFor]) -> Ticket:
        """Begin to wait for the first of these."""
        ticket = Ticket(self, wanted)
        with self._changed:
            for key in ticket.wanted:
                self._tickets.setdefault(key, set()).add(ticket)
                self._forgotten.discard(key)
            begin, self._begin = self._begin, None
            self._plan(ticket, time.monotonic() + ticket.interval)
        if begin is not None:
            self.start()
            begin()
        return ticket

    def close_ticket(self, ticket: Ticket) -> None:
        """Stop waiting; the database soon forgets keys that nobody here waits for any more."""
        with self._changed:
            ticket.is_closed = True
            for key in ticket.wanted:
                waiting = self._tickets.get(key, set())
                waiting.discard(ticket)
                if not waiting:
                    self._tickets.pop(key, None)
                    self._forgotten.add(key)
            if self._forgotten and self._forget_at == math.inf:
                self._forget_at = time.monotonic() + LAST_LOOK_SECONDS
                if not self._looks or self._forget_at < self._looks[0][0]:
                    self._changed.notify()

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

    def _plan(self, ticket: Ticket, look_at: float) -> None:
        """Look at a ticket then; the thread is woken only if that is sooner than what it waits for."""
        is_first = not self._looks or look_at < self._looks[0][0]
        heapq.heappush(self._looks, (look_at, next(self._count), ticket))
        if is_first:
            self._changed.notify()

    def _due(self) -> list[Ticket] | None:
        """Wait until tickets are due, or keys are to be forgotten, and return the tickets; None when closed.

        Tickets that have waited for long are due together, so that they share one statement.
        """
        due: list[Ticket] = []
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                while self._looks and self._looks[0][0] <= now:
                    ticket = heapq.heappop(self._looks)[2]
                    if not ticket.is_closed:
                        due.append(ticket)
                for ticket in due:
                    ticket.interval = min(ticket.interval * 2, LAST_LOOK_SECONDS)
                    look_at = now + ticket.interval
                    if ticket.interval == LAST_LOOK_SECONDS:
                        look_at = math.ceil(now / LAST_LOOK_SECONDS) * LAST_LOOK_SECONDS
                    self._plan(ticket, look_at)
                if due or self._forget_at <= now:
                    return due
                next_at = min(self._looks[0][0] if self._looks else math.inf, self._forget_at)
                self._changed.wait(None if next_at == math.inf else next_at - now)
            return None

    def _look_again(self) -> None:
        while (due := self._due()) is not None:
            try:
                self._look(due)
            except Exception:
                if not self._gateway.sessions.closed.is_set():
                    _logger.exception("looking again at what is waited for failed; it is repeated")

    def _look(self, due: Sequence[Ticket]) -> None:
        with self._changed:
            forgotten, self._forgotten = list(self._forgotten), set()
            self._forget_at = math.inf
        if forgotten:
            self._gateway.run_own(calls.forget_waits(wait_keys=forgotten, channel=self.channel))
        if not due:
            return
        wanted = {key: each for ticket in due for key, each in ticket.wanted.items()}
        keys = list(wanted)
        call = calls.look_again(waits=documents(wanted.values()), channel=self.channel)
        for item in self._gateway.run_own(call):
            self.wake(keys[item - 1])


def documents(waits: Iterable[WaitFor]) -> str:
    """Waits as the SQL functions take them: a json array."""
    return json.dumps(
        [
            {"kind": each.kind, "id": each.id, "name": each.name, "position": each.position}
            for each in waits
        ]
    )
