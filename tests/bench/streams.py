"""Streams: how fast one async workflow writes values that another process reads at the same time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

from tests.bench.figures import Bench, Figure

# Values under way at once, and how many are written.
_WINDOWS = {1: 3_000, 10: 20_000, 100: 50_000, 500: 50_000}


def measure_stream(bench: Bench) -> Iterator[Figure]:
    """A writer and a live reader that checks order and density."""
    for window, count in _WINDOWS.items():
        ends = [_end(bench.url, role, count, window) for role in ("read", "write")]
        for end in ends:
            assert end.stdout is not None
            assert end.stdout.readline() == "ready\n"
        outputs = [end.communicate()[0] for end in _begun(ends)]
        assert all(end.returncode == 0 for end in ends), outputs
        read, written = (count / float(output) for output in outputs)
        yield Figure(f"{window} at once: written", written, "1/s")
        yield Figure(f"{window} at once: read meanwhile", read, "1/s")


def _end(url: str, role: str, count: int, window: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.streamer", url, role, str(count), str(window)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _begun(ends: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    """Let all go on at once, before any is waited for."""
    for end in ends:
        assert end.stdin is not None
        end.stdin.write("go\n")
        end.stdin.flush()
    return ends


WORKLOADS: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {"stream": measure_stream}
