"""What is done to a library: processes that ask for work at the same time, and one that is frozen and taken over."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.chaos.campaign.node import Node

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30.0
DEQUEUERS = 3
OWNED = 5


@dataclass(frozen=True)
class Library:
    """A library, and the interpreter of its environment."""

    name: str
    python: Path

    def begin(self, role: str, url: str, **options: Any) -> Process:
        """Start a process of the program."""
        return Process(self, role, url, options)

    def install(self, url: str) -> None:
        """Make its tables."""
        with self.begin("install", url) as process:
            process.finish()


class Process:
    """A process of the program; as a block, gone afterwards."""

    def __init__(self, library: Library, role: str, url: str, options: dict[str, Any]) -> None:
        program = Path(__file__).with_name("program.py")
        environment = {**os.environ, "CONTROL_LIBRARY": library.name}
        if library.name == "pyengine":
            environment["PYTHONPATH"] = str(ROOT)
        self._process = subprocess.Popen(
            [str(library.python), str(program), role, url, json.dumps(options)],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def hear(self, event: str) -> dict[str, Any]:
        """Wait until it says so."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                said: dict[str, Any] = json.loads(line)
                if said["event"] == event:
                    return said
        raise RuntimeError(f"the process ended before it was {event}")

    def finish(self) -> None:
        """Wait for its end, which is a good one."""
        code = self._process.wait(120)
        if code:
            raise RuntimeError(f"the process ended with {code}")

    def freeze(self) -> None:
        """Stop it where it is."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue it."""
        self._process.send_signal(signal.SIGCONT)


def leak(library: Library, node: Node, directory: Path, seconds: float = 12.0) -> None:
    """Several processes ask for the work of a queue that may run one, while more urgent work arrives."""
    with ExitStack() as end:
        for number in range(DEQUEUERS):
            process = library.begin("dequeue", node.url(), executor=f"dequeuer-{number}")
            end.enter_context(process).hear("ready")
        client = end.enter_context(library.begin("enqueue", node.url(), seconds=seconds))
        client.hear("enqueued")


def outlive(library: Library, node: Node, directory: Path) -> None:
    """A process is frozen in its steps, its workflows are given to another, and then it goes on."""
    gates = {name: str(directory / f"gate of {name}") for name in ("owner", "heir")}
    port = _free_port()
    config = {"run_admin_server": True, "admin_port": port} if library.name == "dbos" else {}
    with ExitStack() as end:
        owner = end.enter_context(
            library.begin("owner", node.url(), count=OWNED, gate=gates["owner"])
        )
        for _ in range(OWNED):
            owner.hear("reached")
        owner.freeze()
        heir = end.enter_context(
            library.begin("heir", node.url(), gate=gates["heir"], config=config)
        )
        heir.hear("ready")
        if library.name == "dbos":
            _recover(port, ["owner"])
        for _ in range(OWNED):
            heir.hear("reached")
        before = _steps(node, library)
        Path(gates["owner"]).touch()
        owner.go_on()
        _wait_for_steps(node, library, before, OWNED, seconds=3.0)
        Path(gates["heir"]).touch()
        _wait_for_steps(node, library, before, OWNED, seconds=PATIENCE_SECONDS)


def _recover(port: int, executors: list[str]) -> None:
    """What DBOS's documentation has an operator do about a dead process."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/dbos-workflow-recovery",
        data=json.dumps(executors).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


def _steps(node: Node, library: Library) -> int:
    table = "dbos.operation_outputs" if library.name == "dbos" else "pyengine.steps"
    with psycopg.connect(node.url()) as session:
        row = session.execute(f"select count(*) from {table}".encode()).fetchall()
    return int(row[0][0])


def _wait_for_steps(
    node: Node, library: Library, before: int, count: int, *, seconds: float
) -> None:
    """Wait until so many steps are stored, for so long at most."""
    deadline = time.monotonic() + seconds
    while _steps(node, library) < before + count and time.monotonic() < deadline:
        time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
