"""Deadlocks, out of the servers' logs: what the counters of a server say is gone when it is killed.

The engine locks rows in one order (sql/README.md), so its functions never wait for each other in a circle. A stranger
who locks rows of the engine in an order of his own can make such a circle: then the engine is its victim. So the
strangers of a campaign say who they are in their statements, and a deadlock that one of them took part in is counted
apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

STRANGER = "/* a stranger */"
CHECK = "G-19 the engine's functions never wait for each other in a circle"
# A message and its detail are written at once. The detail has a line for each wait and each statement, whose own lines
# are indented as well.
_ENTRY = re.compile(r"ERROR:  deadlock detected\n(?:.*DETAIL:  )?(?P<detail>.*(?:\n\t.*)*)")


@dataclass
class Deadlocks:
    """What each of them was: who waited for whom, with which statements."""

    own: list[str] = field(default_factory=list)
    with_strangers: list[str] = field(default_factory=list)

    def read(self, logs: Iterable[Path]) -> None:
        """Take over those that these logs tell of; each log is read once."""
        for log in logs:
            for entry in _ENTRY.finditer(log.read_text(encoding="utf-8", errors="replace")):
                detail = entry["detail"]
                (self.with_strangers if STRANGER in detail else self.own).append(detail)
