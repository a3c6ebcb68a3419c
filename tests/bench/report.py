"""The results as a table for people."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.comparisons import Comparison
from tests.bench.subjects import SUBJECTS


@dataclass
class Row:
    """The rounds of one comparison: by subject, and the limits of the same rounds."""

    comparison: Comparison
    rounds: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    limits: list[dict[str, float]] = field(default_factory=list)

    def median(self, subject: str, key: str = "value") -> float | None:
        """The median over the rounds; None if it has none."""
        values = [float(each[key]) for each in self.rounds.get(subject, []) if key in each]
        return statistics.median(values) if values else None

    def ratio(self, peer: str) -> float | None:
        """How many times better pyengine is: medians of the ratios within each round."""
        pairs = zip(self.rounds.get("pyengine", []), self.rounds.get(peer, []), strict=False)
        ratios: list[float] = [
            own["value"] / other["value"] for own, other in pairs if own["value"] and other["value"]
        ]
        if not ratios:
            return None
        ratio = statistics.median(ratios)
        return 1 / ratio if self.comparison.lower_is_better else ratio

    def share_of_limit(self) -> float | None:
        """The median share of what pgbench reached in the same round."""
        name = self.comparison.limit
        pairs = zip(self.rounds.get("pyengine", []), self.limits, strict=False)
        shares = [own["value"] / limit[name] for own, limit in pairs] if name else []
        return statistics.median(shares) if shares else None

    def as_json(self) -> dict[str, Any]:
        """For machines: everything."""
        return {
            "key": self.comparison.key,
            "title": self.comparison.title,
            "unit": self.comparison.unit,
            "rounds": self.rounds,
            "limits": self.limits,
            "medians": {name: self.median(name) for name in self.rounds},
            "ratios": {name: self.ratio(name) for name in self.rounds if name != "pyengine"},
            "share_of_limit": self.share_of_limit(),
        }


HEADINGS = ("", "workload", "unit", *(subject.title for subject in SUBJECTS), "of limit")
WIDTHS = (4, 36, 12, *(max(len(subject.title), 16) for subject in SUBJECTS), 8)


def heading() -> str:
    """The first line of the table."""
    return _line(HEADINGS)


def line(row: Row) -> str:
    """A row: each subject's median, and in brackets how many times better pyengine is."""
    cells = [row.comparison.key, row.comparison.title, row.comparison.unit]
    for subject in SUBJECTS:
        value, ratio = row.median(subject.name), row.ratio(subject.name)
        text = "-" if value is None else number(value)
        cells.append(
            text if subject.name == "pyengine" or ratio is None else f"{text} ({number(ratio)}x)"
        )
    share = row.share_of_limit()
    cells.append("" if share is None else f"{share:.2f}")
    return _line(cells)


def cost_lines(row: Row) -> list[str]:
    """What one operation costs each subject."""
    if row.comparison.costs_of is None:
        return []
    lines = []
    for subject in SUBJECTS:
        rounds = [each for each in row.rounds.get(subject.name, []) if "costs" in each]
        if rounds:
            costs = _median_costs(rounds)
            words = ", ".join(f"{name} {number(value)}" for name, value in costs.items())
            lines.append(f"     {subject.title}, one {row.comparison.costs_of}: {words}")
    return lines


def markdown(rows: Sequence[Row]) -> str:
    """The table as it stands in the README."""
    titles = [subject.title for subject in SUBJECTS]
    lines = [
        f"| Workload | {' | '.join(titles)} | of the limit |",
        "|---|" + "---:|" * (len(titles) + 1),
    ]
    for row in rows:
        cells = [f"{row.comparison.title}, {row.comparison.unit}"]
        for subject in SUBJECTS:
            value, ratio = row.median(subject.name), row.ratio(subject.name)
            text = "–" if value is None else number(value)
            cells.append(
                text
                if subject.name == "pyengine" or ratio is None
                else f"{text} ({number(ratio)}×)"
            )
        share = row.share_of_limit()
        cells.append("" if share is None else f"{share:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Three significant digits, with thousands set apart."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _median_costs(rounds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    costs = {
        name: statistics.median(each["costs"][name] for each in rounds)
        for name in rounds[0]["costs"]
    }
    costs["client_cpu_us"] = statistics.median(
        each["cpu_seconds"] / each["count"] * 1e6 for each in rounds
    )
    costs["threads"] = statistics.median(each["threads"] for each in rounds)
    costs["memory_mb"] = statistics.median(each["memory_mb"] for each in rounds)
    return costs


def _line(cells: Sequence[str]) -> str:
    aligned = [
        text.ljust(width) if place < 3 else text.rjust(width)
        for place, (text, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ]
    return "  ".join(aligned).rstrip()
