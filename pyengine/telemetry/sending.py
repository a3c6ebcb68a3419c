"""The ends of the pipes: each sends in batches, on a thread of its own, to one endpoint."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

# How long destroy waits for endpoints that don't answer.
STOP_SECONDS = 3.0


class Stoppable(Protocol):
    """What can be shut down."""

    def shutdown(self) -> object:
        """End it."""
        ...


@dataclass(frozen=True, slots=True)
class Pipe:
    """A processor, which collects batches, and the exporter that sends them."""

    processor: Stoppable
    exporter: Stoppable


def close(pipes: Sequence[Pipe]) -> None:
    """Send what is left, all at once; what can't be sent in time is lost, as the exporter logs."""
    deadline = time.monotonic() + STOP_SECONDS
    threads = [
        threading.Thread(target=pipe.processor.shutdown, name="pyengine-telemetry", daemon=True)
        for pipe in pipes
    ]
    for thread in threads:
        thread.start()
    for thread, pipe in zip(threads, pipes, strict=True):
        thread.join(max(deadline - time.monotonic(), 0.0))
        if thread.is_alive():
            pipe.exporter.shutdown()  # its pauses between attempts end
    for thread in threads:
        thread.join(1.0)
