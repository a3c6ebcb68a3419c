"""Threads and an event loop for background workflows. All are daemons: a waiting workflow must not keep the process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

_logger = logging.getLogger("pyengine")


# Threads that are started without hesitation, and for how long a job may wait before more are considered.
_READY_THREADS = 8
_PATIENCE_SECONDS = 0.005

# How many threads stay when there is nothing to do, and for how long the others do.
_KEPT_THREADS = 4
_IDLE_SECONDS = 5.0

# How long the end of the background loop is waited for.
_STOP_SECONDS = 10.0


class ThreadPool:
    """Runs jobs in threads that are reused; without a limit it never makes a job wait for a blocked one.

    Short jobs share a few threads: a job that found none of them free is looked at again after some milliseconds,
    and gets a new thread if the others are busy with long ones, that is when not each has taken a job meanwhile.
    All but a few end when they have had nothing to do for some seconds.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        self._crowded = threading.Condition(lock)
        self._jobs: deque[tuple[float, Callable[[], None]]] = deque()
        self._idle = 0
        self._threads = 0
        self._taken = 0
        self._watcher: threading.Thread | None = None
        self._is_watching = False
        self._closed = False

    def submit(self, *jobs: Callable[[], None]) -> None:
        """Run jobs soon; they must not raise.

        Raises:
            RuntimeError: Not even one thread can be started; none of the jobs is run.
        """
        now = time.monotonic()
        with self._changed:
            self._jobs.extend((now, job) for job in jobs)
            try:
                self._find_threads(len(jobs))
            except RuntimeError:
                self._jobs.clear()
                raise

    def run_soon(self, job: Callable[[], None]) -> None:
        """Run a short job before all that wait, and whatever the limit: by an idle thread, or by one of its own.

        Such jobs store the outcomes of workflows: they must not wait for a thread that a workflow keeps for hours.
        """
        with self._changed:
            if len(self._jobs) >= self._idle:
                try:
                    threading.Thread(target=job, name="pyengine-outcomes", daemon=True).start()
                except RuntimeError:
                    self._warn()
                else:
                    return
            self._jobs.appendleft((time.monotonic(), job))
            self._changed.notify()

    def _find_threads(self, wanted: int) -> None:
        woken = min(wanted, self._idle)
        if woken:
            self._changed.notify(woken)
        for _ in range(min(len(self._jobs) - self._idle, self._room(), wanted)):
            if self._threads >= _READY_THREADS:
                self._watch()
                break
            if not self._start_thread():
                break

    def close(self) -> None:
        """Let idle threads end and forget jobs that have not begun."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify_all()
            self._crowded.notify_all()

    def _room(self) -> int:
        return sys.maxsize if self._limit is None else self._limit - self._threads

    def _start_thread(self) -> bool:
        """Start one more thread. If the system has none left, the jobs wait for one that is there."""
        try:
            threading.Thread(target=self._work, name="pyengine-workflow", daemon=True).start()
        except RuntimeError:
            if not self._threads:
                raise
            self._warn()
            return False
        self._threads += 1
        return True

    def _watch(self) -> None:
        if self._watcher is not None:
            if not self._is_watching:
                self._crowded.notify()
            return
        watcher = threading.Thread(target=self._add_threads, name="pyengine-threads", daemon=True)
        try:
            watcher.start()
        except RuntimeError:
            self._warn()
        else:
            self._watcher = watcher

    def _warn(self) -> None:
        _logger.warning("no further thread can be started; %d jobs wait", len(self._jobs))

    def _add_threads(self) -> None:
        """Look at the jobs that wait, while there are any and threads may be added."""
        while self._is_crowded():
            time.sleep(_PATIENCE_SECONDS)
            with self._crowded:
                patient = time.monotonic() - _PATIENCE_SECONDS
                if self._jobs and self._jobs[0][0] <= patient and self._taken < self._threads:
                    for _ in range(min(len(self._jobs) - self._idle, self._room())):
                        if not self._start_thread():
                            break

    def _is_crowded(self) -> bool:
        """Wait until jobs wait; False when closed."""
        with self._crowded:
            while not self._closed and (not self._jobs or self._room() <= 0):
                self._is_watching = False
                self._crowded.wait()
            self._is_watching = True
            self._taken = 0
            return not self._closed

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._idle += 1
            is_spare = False
            while not self._jobs and not self._closed and not is_spare:
                is_woken = self._changed.wait(_IDLE_SECONDS)
                is_spare = not is_woken and not self._jobs and self._threads > _KEPT_THREADS
            self._idle -= 1
            if self._closed or is_spare:
                self._threads -= 1
                return None
            self._taken += 1
            return self._jobs.popleft()[1]

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
        cancelled = asyncio.run_coroutine_threadsafe(_cancel_tasks(), loop)
        try:
            cancelled.result(_STOP_SECONDS)
        except concurrent.futures.TimeoutError:
            _logger.warning("a coroutine blocks the background event loop; it is left behind")
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_STOP_SECONDS)
        loop.close()


async def _cancel_tasks() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
