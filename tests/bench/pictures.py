"""The results as pictures: one of each row's rates against the peers, and curves where a workload yields them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.report import Row, number
from tests.bench.subjects import SUBJECTS

COLOURS = (
    "#1b6ca8", "#9aa5b1", "#c2a878", "#8fb39b", "#b58db6", "#d98880", "#5d6d7e", "#76a5af",
)  # fmt: skip


def draw_rows(rows: Sequence[Row], folder: Path) -> list[Path]:
    """A bar for each subject, on a logarithmic scale, a picture for each comparison."""
    from matplotlib.figure import Figure

    drawn = []
    for row in rows:
        found = [(subject, row.median(subject.name)) for subject in SUBJECTS]
        bars = [(subject.title, value) for subject, value in found if value]
        if len(bars) < 2:
            continue
        figure = Figure(figsize=(7, 0.5 + 0.45 * len(bars)), layout="constrained")
        axes = figure.subplots()
        titles = [title for title, _ in bars][::-1]
        values = [value for _, value in bars][::-1]
        drawn_bars = axes.barh(
            titles, values, color=[COLOURS[0] if t == "pyengine" else COLOURS[1] for t in titles]
        )
        axes.bar_label(drawn_bars, labels=[number(value) for value in values], padding=3)
        axes.set_xscale("log")
        axes.set_xlim(right=max(values) * 3)
        better = "shorter is better" if row.comparison.lower_is_better else "longer is better"
        axes.set_title(
            f"{row.comparison.title} ({row.comparison.unit}, {better})", loc="left", fontsize=10
        )
        axes.spines[["top", "right"]].set_visible(False)
        drawn += _save(figure, folder / row.comparison.key)
    return drawn


def draw_curves(
    name: str,
    title: str,
    x_label: str,
    y_label: str,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    folder: Path,
    *,
    is_logarithmic: bool = True,
) -> list[Path]:
    """Lines, such as throughput against concurrency."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for colour, (label, points) in zip(COLOURS, curves.items(), strict=False):
        axes.plot(
            [x for x, _ in points], [y for _, y in points], marker="o", label=label, color=colour
        )
    axes.set_xscale("log" if is_logarithmic else "linear")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return _save(figure, folder / name)


def _save(figure: Any, path: Path) -> list[Path]:
    paths = [path.with_suffix(".svg"), path.with_suffix(".png")]
    for each in paths:
        figure.savefig(each, dpi=120)
    return paths
