"""The ledger of effects: one line for each time that a step's body did something, which no crash can take back."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

Effect = tuple[str, str]


class Ledger:
    """A file that several processes append to; a line is on disk before `note` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, workflow_id: str, step: str) -> None:
        """Note an effect."""
        line = f"{workflow_id}\t{step}\n".encode()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def effects(self) -> Counter[Effect]:
        """How often each step of each workflow had its effect."""
        text = self.path.read_text() if self.path.exists() else ""
        return Counter((line.split("\t")[0], line.split("\t")[1]) for line in text.splitlines())

    def effects_of(self, workflow_id: str) -> dict[str, int]:
        """How often each step of one workflow had its effect."""
        return {step: n for (owner, step), n in self.effects().items() if owner == workflow_id}
