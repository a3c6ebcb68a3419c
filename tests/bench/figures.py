"""What a workload is given and what it yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg


@dataclass(frozen=True)
class Bench:
    """An empty engine; `rows` bounds the size of what a workload generates."""

    url: str
    session: psycopg.Connection[Any]
    rows: int


@dataclass(frozen=True)
class Figure:
    """One measured value."""

    case: str
    value: float
    unit: str


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of the values lies."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
