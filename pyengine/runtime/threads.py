"""Threads and an event loop for background workflows. All are daemons: a waiting workflow must not keep the process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable

_logger = logging.getLogger("pyengine")


class ThreadPool:
    """Runs jobs in threads that are reused; without a limit it never makes a job wait."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._jobs: deque[Callable[[], None]] = deque()
        self._idle = 0
        self._threads = 0
        self._closed = False

    def submit(self, job: Callable[[], None]) -> None:
        """Run a job soon; it must not raise."""
        with self._changed:
            self._jobs.append(job)
            if len(self._jobs) <= self._idle:
                self._changed.notify()
            elif self._limit is None or self._threads < self._limit:
                self._start_thread()

    def _start_thread(self) -> None:
        """Start one more thread. If the system has none left, the job waits for one that is there."""
        try:
            threading.Thread(target=self._work, name="pyengine-workflow", daemon=True).start()
        except RuntimeError:
            if not self._threads:
                self._jobs.pop()
                raise
            _logger.warning("no further thread can be started; %d jobs wait", len(self._jobs))
        else:
            self._threads += 1

    def close(self) -> None:
        """Let idle threads end and forget jobs that have not begun."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify_all()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._idle += 1
            while not self._jobs and not self._closed:
                self._changed.wait()
            self._idle -= 1
            if self._closed:
                self._threads -= 1
                return None
            return self._jobs.popleft()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            job()
            del job


class BackgroundLoop:
    """An event loop for coroutine workflows that no caller's loop runs: the launching one, or one in a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        try:
            self._adopted: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._adopted = None

    def get(self) -> asyncio.AbstractEventLoop:
        """The loop, started if necessary."""
        adopted = self._adopted
        if adopted is not None and adopted.is_running():
            return adopted
        with self._lock:
            if self._own is None:
                self._own = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._own.run_forever, name="pyengine-loop", daemon=True
                )
                self._thread.start()
            return self._own

    def stop(self) -> None:
        """Cancel the tasks of the own loop and end its thread; an adopted loop is left alone."""
        loop, thread = self._own, self._thread
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_tasks(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _cancel_tasks() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
