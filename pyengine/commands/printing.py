"""What commands print: tables and details for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar
from uuid import UUID

import click

F = TypeVar("F", bound=Callable[..., object])

_GAP = "  "
_NARROWEST = 8
_FEWEST = 4
_COLOURS = {
    "SUCCESS": "green",
    "PENDING": "cyan",
    "ENQUEUED": "yellow",
    "DELAYED": "yellow",
    "ERROR": "red",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "red",
    "CANCELLED": "magenta",
    "ok": "green",
    "advice": "yellow",
    "problem": "red",
}


def json_option(function: F) -> F:
    """Give a command the option --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(
        function
    )


def print_json(value: Any) -> None:
    """Print a value as one JSON document: times in ISO 8601 with their zone, durations in seconds."""
    click.echo(json.dumps(value, indent=2, default=_plain, ensure_ascii=False))


def print_table(
    columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]], *, empty: str
) -> None:
    """Print rows below their titles, no wider than the terminal; what is not a terminal gets it all.

    Args:
        columns: the keys of the rows that are shown, and their titles; what does not fit is left out from the end.
        rows: what is shown.
        empty: what is said on standard error when there are no rows.
    """
    if not rows:
        click.echo(empty, err=True)
        return
    titles = list(columns.values())
    cells = [[text(row[key]) for key in columns] for row in rows]
    is_number = [_are_numbers([row[key] for row in rows]) for key in columns]
    widths = _fit([max(map(columns_of, column)) for column in zip(titles, *cells, strict=True)])
    titles = titles[: len(widths)]
    click.secho(_line(titles, widths, is_number), bold=True)
    for line in cells:
        click.echo(_line(line, widths, is_number))


def print_details(rows: Mapping[str, Any]) -> None:
    """Print names and values, one a line; absent values are left out."""
    shown = {name: text(value) for name, value in rows.items() if value is not None}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        click.echo(f"{click.style(name.ljust(width), bold=True)}{_GAP}{_coloured(value)}")


def text(value: Any) -> str:
    """A value for people. Control characters are escaped, so that no stored text can steer a terminal."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, timedelta):
        return duration(value.total_seconds())
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(text, value)) or "-"
    if isinstance(value, (dict,)):
        return escaped(json.dumps(value, ensure_ascii=False))
    return escaped(str(value))


def counted(number: int, noun: str) -> str:
    """A number of things: `1 workflow`, `2 workflows`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def terminal_width() -> int:
    """How many columns a line may have: those of the terminal, or 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns


def wrapped(
    sentence: str, *, indent: str, first: str | None = None, width: int | None = None
) -> str:
    """A sentence in lines that fit the terminal, escaped; ids are not broken.

    Args:
        sentence: what is to be wrapped.
        indent: what each line begins with.
        first: what the first line begins with instead.
        width: how many columns there are; by default those of the terminal.
    """
    return textwrap.fill(
        escaped(sentence),
        width=width or terminal_width(),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def columns_of(value: str) -> int:
    """How many columns of a terminal a text takes."""
    if value.isascii():
        return len(value)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in value
    )


def shortened(value: str, width: int, *, cut: str = "…") -> str:
    """A text of so many columns at most. The middle is cut out: both ends of an id tell it apart from others."""
    if columns_of(value) <= width:
        return value
    tail = (width - 1) // 3
    head, end = value, value[len(value) - tail :] if tail else ""
    while columns_of(head) + columns_of(end) + 1 > width:
        head = head[:-1]
    return f"{head}{cut}{end}"


def escaped(value: str) -> str:
    """A text whose control and direction characters are shown as escapes."""
    if value.isascii() and value.isprintable():
        return value
    return "".join(
        each if unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else _escape(each)
        for each in value
    )


def duration(seconds: float) -> str:
    """Seconds for people: 3.2ms, 250ms, 2.5s, 12s, 3m 20s, 5h 2m, 3d 4h."""
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if 0 < seconds < 0.9995:
        return (
            f"{sign}{seconds * 1000:.2g}ms" if seconds < 0.0995 else f"{sign}{seconds * 1000:.0f}ms"
        )
    if seconds < 10:
        return f"{sign}{seconds:.2g}s"
    whole = round(seconds)
    if whole < 60:
        return f"{sign}{whole}s"
    if whole < 3600:
        return f"{sign}{whole // 60}m {whole % 60}s"
    if whole < 86400:
        return f"{sign}{whole // 3600}h {whole % 3600 // 60}m"
    return f"{sign}{whole // 86400}d {whole % 86400 // 3600}h"


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _are_numbers(values: Sequence[object]) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in present
    )


def _fit(widths: list[int]) -> list[int]:
    """Leave columns out at the end until the line fits the terminal, then take from the widest."""
    if not sys.stdout.isatty():
        return widths
    terminal = shutil.get_terminal_size().columns
    while len(widths) > _FEWEST and sum(widths) + len(_GAP) * (len(widths) - 1) > terminal:
        widths = widths[:-1]
    room = terminal - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room:
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    return widths


def _line(cells: Sequence[str], widths: Sequence[int], is_number: Sequence[bool]) -> str:
    padded = []
    for cell, width, right in zip(cells, widths, is_number, strict=False):
        short = shortened(cell, width)
        space = " " * (width - columns_of(short))
        padded.append(space + _coloured(short) if right else _coloured(short) + space)
    return _GAP.join(padded).rstrip()


def _coloured(value: str) -> str:
    colour = _COLOURS.get(value)
    return value if colour is None else click.style(value, fg=colour)
