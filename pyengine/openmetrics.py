"""Writing measurements as OpenMetrics text, which Prometheus and others read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Labels = Mapping[str, str | None]


@dataclass(slots=True)
class Family:
    """Measurements of one kind.

    Attributes:
        name: without the unit's name being left out: `wait_seconds` has the unit seconds.
        help: what is measured, in a sentence.
        unit: the unit, with which the name then ends.
        kind: gauge or info.
        samples: labels and values; a label that is None is left out.
    """

    name: str
    help: str
    unit: str = ""
    kind: str = "gauge"
    samples: list[tuple[Labels, float]] = field(default_factory=list)

    def add(self, value: float | None, labels: Labels | None = None) -> None:
        """Add a measurement; one that is None is none."""
        if value is not None:
            self.samples.append((labels or {}, value))

    def add_quantiles(self, values: Sequence[float | None] | None, labels: Labels) -> None:
        """Add the 50th, 95th and 99th percentile, each with a label `quantile`."""
        for quantile, value in zip(("0.5", "0.95", "0.99"), values or (), strict=False):
            self.add(value, {**labels, "quantile": quantile})


def render(families: Iterable[Family]) -> str:
    """The text of some measurements."""
    lines: list[str] = []
    for family in families:
        name = f"pyengine_{family.name}"
        lines.append(f"# TYPE {name} {family.kind}")
        if family.unit:
            lines.append(f"# UNIT {name} {family.unit}")
        lines.append(f"# HELP {name} {_escaped(family.help)}")
        suffix = "_info" if family.kind == "info" else ""
        lines.extend(
            f"{name}{suffix}{_labels(labels)} {_number(value)}" for labels, value in family.samples
        )
    return "\n".join([*lines, "# EOF\n"])


def _labels(labels: Labels) -> str:
    given = [f'{name}="{_escaped(value)}"' for name, value in labels.items() if value is not None]
    return f"{{{','.join(given)}}}" if given else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    return str(int(value)) if float(value).is_integer() else repr(float(value))
