"""What every measured program has in common: `python SUBJECT.py WORKLOAD URL [OPTIONS]`, one line of JSON out.

Only the standard library is imported here: each program runs in the environment of the library that it measures.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Options = Mapping[str, Any]
Workload = Callable[[str, Options], Any]


class ThreadWatch(threading.Thread):
    """Notes the greatest number of threads of this process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0

    def run(self) -> None:
        """Look every 10 ms, as the kernel sees it."""
        while True:
            self.most = max(self.most, threads_now())
            time.sleep(0.01)


def threads_now() -> int:
    """The threads of this process as the kernel sees them, without the one that watches."""
    return len(list(Path("/proc/self/task").iterdir())) - 1


def rate(count: int, began: float) -> dict[str, Any]:
    """So many since then, as operations in a second."""
    taken = time.perf_counter() - began
    return {"value": count / taken, "count": count, "seconds": taken}


def latencies(values: list[float]) -> dict[str, Any]:
    """Milliseconds: the median and the 99th percentile of seconds."""
    ordered = sorted(values)
    return {
        "value": ordered[len(ordered) // 2] * 1000,
        "p99": ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)] * 1000,
        "count": len(ordered),
    }


def say(**values: Any) -> None:
    """Tell the one who measures something."""
    print(json.dumps(values), flush=True)


def hear() -> str:
    """Wait for a line of the one who measures."""
    return sys.stdin.readline().strip()


def memory_mb() -> float:
    """What this process takes now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(workloads: Mapping[str, Workload]) -> None:
    """Run one workload; its result goes out with what the process cost."""
    name, url = sys.argv[1:3]
    options = json.loads(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] else {}
    watch = ThreadWatch()
    watch.start()
    result = workloads[name](url, options)
    used = resource.getrusage(resource.RUSAGE_SELF)
    if result is not None:
        say(
            **result,
            threads=watch.most,
            memory_mb=memory_mb(),
            cpu_seconds=used.ru_utime + used.ru_stime,
        )
    sys.stdout.flush()
    # What a library leaves running must not keep the next round waiting.
    os._exit(0)
