"""Workers to be killed, stopped and continued, each with a pipe; and what the tests know of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import wait
from typing import Any

from tests.chaos import worker as program
from tests.chaos.ledger import Ledger
from tests.chaos.worker import Options

Message = tuple[Any, ...]
PATIENCE_SECONDS = 30.0

# Workers are forked from a process that has imported the engine: a start takes milliseconds.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.chaos.worker"])


class WorkerDiedError(AssertionError):
    """A worker ended while it was waited for."""


class Worker:
    """One process that runs the program."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._connection, theirs = processes.Pipe()
        self._process = processes.Process(target=program.main, args=(options, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._unread: deque[Message] = deque()

    def send(self, *command: object) -> None:
        """Give a command."""
        with suppress(BrokenPipeError):  # it is dead: whoever waits for the answer is told
            self._connection.send(command)

    def expect(self, *beginning: object, timeout: float = PATIENCE_SECONDS) -> Message:
        """Wait for a message that begins so; other messages stay for later calls."""
        for message in self._unread:
            if message[: len(beginning)] == beginning:
                self._unread.remove(message)
                return message
        deadline = time.monotonic() + timeout
        while True:
            message = self._receive(deadline, beginning)
            if message[: len(beginning)] == beginning:
                return message
            self._unread.append(message)

    def results(self, ids: Sequence[str], timeout: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait for the results of these; an error counts as one."""
        deadline = time.monotonic() + timeout
        found: dict[str, Any] = {}
        kept: deque[Message] = deque()
        while not found.keys() >= set(ids):
            message = self._unread.popleft() if self._unread else self._receive(deadline, ids)
            if message[0] in ("result", "error") and message[1] in ids:
                found[message[1]] = message[2]
            else:
                kept.append(message)
        self._unread.extendleft(reversed(kept))
        return found

    def received(self, kind: str) -> list[Message]:
        """Messages of a kind that have come so far and were not asked for."""
        with suppress(EOFError):
            while self._connection.poll():
                self._unread.append(self._connection.recv())
        return [message for message in self._unread if message[0] == kind]

    def kill(self) -> None:
        """Kill -9."""
        self._signal(signal.SIGKILL)
        self._process.join(10)

    def stop(self) -> None:
        """Freeze it: its connections stay open."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue it after `stop`."""
        self._signal(signal.SIGCONT)

    def exit_code(self, timeout: float = PATIENCE_SECONDS) -> int | None:
        """Wait for its end."""
        self._process.join(timeout)
        return self._process.exitcode

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive()

    def close(self) -> None:
        """Make sure that it is gone."""
        self.kill()
        self._connection.close()
        self._process.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.pid is not None:
            with suppress(ProcessLookupError):  # it ended by itself
                os.kill(self._process.pid, number)

    def _receive(self, deadline: float, wanted: object) -> Message:
        left = deadline - time.monotonic()
        if not wait([self._connection], max(left, 0.0)):
            raise TimeoutError(f"{wanted} did not come; unread: {list(self._unread)[-10:]}")
        try:
            message: Message = self._connection.recv()
        except (EOFError, ConnectionResetError) as end:
            raise WorkerDiedError(f"the worker ended while waiting for {wanted}") from end
        return message


class Rig:
    """The workers of one test, over one database and one ledger."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._workers: list[Worker] = []
        self.ledger = Ledger(options.ledger)

    def worker(self, executor: str = "worker", *, ready: bool = True, **changes: Any) -> Worker:
        """Launch a worker; `config` in the changes is its configuration."""
        worker = Worker(replace(self._options, executor=executor, **changes))
        self._workers.append(worker)
        if ready:
            worker.expect("ready")
        return worker

    def close(self) -> None:
        """Kill all workers."""
        for worker in self._workers:
            worker.close()
