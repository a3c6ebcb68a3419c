"""What workers and clients did and saw, a line each in one file.

A line is in the hands of the operating system before `note` returns: no death of a process takes it back.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """A file that several processes append to; its time is the machine's, whatever the process believes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def note(self, kind: str, **facts: Any) -> None:
        """Note something, with the time and the process."""
        now = time.clock_gettime(time.CLOCK_REALTIME)
        line = json.dumps({"kind": kind, "at": now, "pid": os.getpid(), **facts})
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._descriptor = os.open(self.path, flags, 0o600)
        os.write(self._descriptor, line.encode() + b"\n")

    def read(self) -> Iterator[dict[str, Any]]:
        """Everything that was noted."""
        if self.path.exists():
            with self.path.open() as lines:
                for line in lines:
                    yield json.loads(line)
