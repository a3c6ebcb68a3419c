"""The workers of a campaign, to be killed, stopped and replaced."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Any

from tests.chaos.campaign import worker
from tests.chaos.campaign.journal import Journal
from tests.chaos.campaign.worker import Launch
from tests.chaos.rig import processes


class Fleet:
    """So many places, each with a worker; a dead one is replaced."""

    def __init__(
        self, launch: Callable[[str, int], Launch], size: int, journal: Journal, rng: random.Random
    ) -> None:
        self._launch = launch
        self._rng = rng
        self._journal = journal
        self._names = itertools.count()
        self._workers: dict[int, BaseProcess] = {}
        self._executors = {place: f"worker-{place}" for place in range(size)}
        self._stopped: set[int] = set()
        self.kills = 0
        self.deaths = 0
        for place in range(size):
            self._start(place)

    def replace_dead(self) -> None:
        """Start a worker wherever one is dead: as the same executor, or as a new one."""
        for place, process in list(self._workers.items()):
            if not process.is_alive():
                self.deaths += 1
                process.close()
                if self._rng.random() < 0.3:
                    self._executors[place] = f"worker-{place}-{next(self._names)}"
                self._stopped.discard(place)
                self._start(place)

    def kill(self) -> None:
        """Kill -9 one of them."""
        place = self._rng.choice(list(self._workers))
        self._signal(place, signal.SIGKILL)
        self._workers[place].join(10)
        self.kills += 1

    def stop(self) -> int:
        """Freeze one that runs; which one."""
        running = [place for place in self._workers if place not in self._stopped]
        place = self._rng.choice(running)
        self._journal.note("fault", fault=f"stop {self._workers[place].pid}")
        self._signal(place, signal.SIGSTOP)
        self._stopped.add(place)
        return place

    def go_on(self, place: int | None = None) -> None:
        """Continue one, or all that are frozen."""
        for each in list(self._stopped) if place is None else [place]:
            self._signal(each, signal.SIGCONT)
            self._stopped.discard(each)

    def show(self) -> None:
        """Let all write on the standard error what each of their threads is doing."""
        for place in self._workers:
            self._signal(place, signal.SIGUSR1)

    def close(self) -> None:
        """Kill all."""
        for place, process in self._workers.items():
            self._signal(place, signal.SIGKILL)
            process.join(10)

    def _start(self, place: int) -> None:
        launch = self._launch(self._executors[place], place)
        process: Any = processes.Process(target=worker.main, args=(launch,), daemon=True)
        process.start()
        self._workers[place] = process

    def _signal(self, place: int, number: signal.Signals) -> None:
        pid = self._workers[place].pid
        if pid is not None:
            with suppress(ProcessLookupError):  # it ended by itself
                os.kill(pid, number)
