"""Curves: throughput and latency against concurrency, and the cost of a claim against backlog and history."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.pictures import draw_curves
from tests.bench.report import Row
from tests.bench.subjects import SUBJECTS

_CLAIM = re.compile(r"history ([\d,]+), backlog ([\d,]+), batch (\d+)")
_MINUTE = re.compile(r"(before|minute (\d+)), (claim.*: p\d+)")
STEPS_OF_A_WORKFLOW = 5


def draw_concurrency(rows: Sequence[Row], folder: Path) -> None:
    """From the rows that differ only in their number of workflows."""
    throughput: dict[str, list[tuple[float, float]]] = {}
    latency: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        workflows = row.comparison.options["workflows"]
        kind = "async" if row.comparison.workload.endswith("async") else "sync"
        for subject in SUBJECTS:
            rate = row.median(subject.name)
            if rate:
                label = f"{subject.title}, {kind}"
                throughput.setdefault(label, []).append((workflows, rate))
                taken = workflows * STEPS_OF_A_WORKFLOW / rate * 1000
                latency.setdefault(label, []).append((workflows, taken))
    if throughput:
        x_label = "workflows at once"
        draw_curves("concurrency", "Throughput", x_label, "steps/s", throughput, folder)
        draw_curves("latency", "A workflow of five steps", x_label, "ms", latency, folder)


def draw_claims(figures: Mapping[str, Sequence[Figure]], folder: Path) -> None:
    """The cost of a claim as the backlog grows, without and with a history."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for figure in figures.get("claim", ()):
        found = _CLAIM.fullmatch(figure.case)
        if found is not None:
            history, backlog, batch = (int(text.replace(",", "")) for text in found.groups())
            label = f"batch of {batch}, {history:,} finished"
            lines.setdefault(label, []).append((backlog, figure.value))
    if lines:
        draw_curves("backlog", "A claim", "workflows that wait", "ms", lines, folder)


def draw_horizon(figures: Mapping[str, Sequence[Figure]], folder: Path) -> None:
    """The cost of a claim for each minute that another transaction is open; at 0 before it."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for figure in figures.get("horizon", ()):
        found = _MINUTE.fullmatch(figure.case)
        if found is not None:
            lines.setdefault(found[3], []).append((float(found[2] or 0), figure.value))
    if lines:
        title, x_label = "A claim beside a transaction that stays open", "minutes"
        draw_curves("horizon", title, x_label, "ms", lines, folder, is_logarithmic=False)
