"""What a campaign came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.chaos.campaign import deadlocks
from tests.chaos.campaign.deadlocks import Deadlocks


@dataclass
class Report:
    """What a campaign came to. It has passed when nothing is violated or missed."""

    campaign: str
    fault: str
    seed: int
    ops: int = 0
    faults: int = 0
    kills: int = 0
    deaths: int = 0
    claims: int = 0
    workflows: int = 0
    transfers: int = 0
    settled: float = 0.0
    worst: float = 0.0
    stuck: int = 0
    deadlocks: int = 0
    with_strangers: int = 0
    sometimes: dict[str, int] = field(default_factory=dict)
    violations: dict[str, list[Any]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    files: str | None = None

    @property
    def passed(self) -> bool:
        return not self.violations and not self.missed and not self.files

    def count_deadlocks(self, found: Deadlocks) -> None:
        """Take over what the servers' logs tell; one of the engine's own functions alone is a violation."""
        self.deadlocks = len(found.own)
        self.with_strangers = len(found.with_strangers)
        if found.own:
            self.violations[deadlocks.CHECK] = list(found.own)

    def line(self) -> str:
        """Everything on one line."""
        sometimes = " ".join(f"{name}={count}" for name, count in self.sometimes.items() if count)
        return (
            f"{self.fault} {self.campaign} seed={self.seed} ops={self.ops} faults={self.faults} "
            f"violations={sum(map(len, self.violations.values()))} worst-latency={self.worst:.1f}s "
            f"kills={self.kills} deaths={self.deaths} workflows={self.workflows} limited-claims={self.claims} "
            f"transactions={self.transfers} stuck={self.stuck} settled={self.settled:.1f}s "
            f"deadlocks={self.deadlocks} "
            f"files={'not checked' if self.files is None else self.files or 'sound'} [{sometimes}]"
        )
