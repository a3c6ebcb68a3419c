"""A timeline in the terminal."""

from __future__ import annotations

import codecs
import itertools
import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import click

from pyengine.commands import printing
from pyengine.commands.timeline import texts
from pyengine.commands.timeline.axis import Axis
from pyengine.commands.timeline.rows import Picture, Row

_NARROWEST = 40
_TICK_ROOM = 10
_GAP = " "


class _Look(NamedTuple):
    """How a kind of row is drawn: a cell of its bar, and the mark of what is shorter, also in ASCII."""

    bar: str
    mark: str
    plain_bar: str
    plain_mark: str
    colour: str
    meaning: str


_LOOKS = {
    "created": _Look("◆", "◆", "*", "*", "cyan", "created"),
    "delay": _Look("·", "·", ".", ".", "yellow", "delayed"),
    "queue": _Look("░", "░", ":", ":", "yellow", "in the queue"),
    "attempt": _Look("─", "─", "-", "-", "cyan", "run"),
    "step": _Look("█", "▌", "#", "|", "green", "step"),
    "error": _Look("▓", "✗", "x", "x", "red", "error"),
    "sleep": _Look("╌", "╌", "~", "~", "blue", "sleep"),
    "wait": _Look("┄", "▌", "_", "|", "blue", "wait"),
    "child": _Look("▒", "▌", "=", "|", "magenta", "child"),
    "deadline": _Look("!", "!", "!", "!", "red", "deadline"),
    "end": _Look("◆", "◆", "*", "*", "cyan", "end"),
}
_OBVIOUS = ("created", "deadline", "end")
_OUTCOME_COLOURS = {"ok": "green", "error": "red", "dead letter": "red", "lost": "red"}


@dataclass(frozen=True, slots=True)
class Style:
    """What the terminal can show.

    Attributes:
        width: how many columns there are.
        is_plain: whether bars are drawn with ASCII.
        is_coloured: whether there are colours.
        encoding: the one of the output.
    """

    width: int
    is_plain: bool
    is_coloured: bool
    encoding: str = "utf-8"

    @classmethod
    def of_output(cls) -> Style:
        """What standard output can show: colours and other characters than ASCII's on a terminal only."""
        is_terminal = sys.stdout.isatty()
        encoding = codecs.lookup(sys.stdout.encoding or "ascii").name
        return cls(
            width=max(printing.terminal_width(), _NARROWEST),
            is_plain=not is_terminal or encoding != "utf-8",
            is_coloured=is_terminal and not os.environ.get("NO_COLOR"),
            encoding=encoding,
        )

    def paint(self, text: str, colour: str | None) -> str:
        """A text in a colour, where there are colours."""
        return click.style(text, fg=colour) if colour and self.is_coloured else text

    def readable(self, text: str) -> str:
        """A text as far as the output can show it; what it cannot is escaped."""
        if self.is_plain:
            text = text.replace("…", "...").replace("≤", "<=")
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)


class _Columns(NamedTuple):
    label: int
    axis: int
    outcome: int
    took: int


def draw(picture: Picture, style: Style) -> Iterator[str]:
    """The lines of the picture."""
    first, second = texts.heading(picture)
    yield _shortened(first, style.width, style)
    yield style.readable(printing.wrapped(second, indent="  ", first="", width=style.width))
    columns = _columns(picture, style)
    axis = Axis(picture.begin, picture.end, columns.axis)
    yield (" " * (columns.label + len(_GAP)) + _ruler(axis)).rstrip()
    for row in picture.rows:
        yield _line(row, picture, columns, axis, style)
    yield from _legend(picture.rows, style)
    for sentence in picture.sentences:
        shown = printing.wrapped(sentence, indent="  ", first="- ", width=style.width)
        yield style.readable(shown)


def _columns(picture: Picture, style: Style) -> _Columns:
    rows = picture.rows
    labels = [printing.columns_of(style.readable(texts.label(row))) for row in rows]
    tooks = [len(style.readable(texts.took(row, picture.now))) for row in rows]
    outcome = max((len(row.outcome or "") for row in rows), default=0)
    took = max(tooks, default=0)
    label = min(max(labels, default=0), max(style.width // 3, 12))
    return _Columns(label, style.width - label - outcome - took - 3 * len(_GAP), outcome, took)


def _ruler(axis: Axis) -> str:
    line = ""
    for place, text in axis.ticks(_TICK_ROOM):
        column = int(place)
        if column >= len(line) and column + len(text) <= axis.width:
            line = line.ljust(column) + text
    return line


def _line(row: Row, picture: Picture, columns: _Columns, axis: Axis, style: Style) -> str:
    label = _shortened(texts.label(row), columns.label, style)
    took = style.readable(texts.took(row, picture.now))
    outcome = (row.outcome or "").ljust(columns.outcome)
    if row.spans:
        bar = _bar(row, axis, style)
    else:
        bar = _shortened(printing.escaped(row.note or ""), columns.axis, style)
        bar += " " * (columns.axis - printing.columns_of(bar))
    parts = (
        label + " " * (columns.label - printing.columns_of(label)),
        bar,
        style.paint(outcome, _OUTCOME_COLOURS.get(row.outcome or "")),
        took.rjust(columns.took),
    )
    return _GAP.join(parts).rstrip()


def _bar(row: Row, axis: Axis, style: Style) -> str:
    look = _look(row)
    bar, mark = (look.plain_bar, look.plain_mark) if style.is_plain else (look.bar, look.mark)
    cells = [" "] * int(axis.width)
    last = len(cells) - 1
    for span in row.spans:
        begin, end = axis.stretch(span)
        if end < 0:
            cells[0] = "<"
        elif begin > axis.width:
            cells[last] = ">"
        else:
            # A moment at the very end of the axis is drawn in its last cell.
            left, right = min(max(int(begin), 0), last), min(math.ceil(end), last + 1)
            if end - begin < 1:
                cells[left] = mark
            else:
                cells[left:right] = bar * (right - left)
            if begin < 0:
                cells[0] = "<"
            if span.end is None or end > axis.width:
                cells[last] = ">"
    runs = itertools.groupby(cells, key=lambda cell: cell != " ")
    return "".join(
        style.paint("".join(run), look.colour if is_drawn else None) for is_drawn, run in runs
    )


def _look(row: Row) -> _Look:
    return _LOOKS[kind_of(row)]


def kind_of(row: Row) -> str:
    """How a row is drawn: as its kind, or as what failed."""
    return "error" if row.outcome == "error" and row.kind in ("step", "wait") else row.kind


def _legend(rows: Sequence[Row], style: Style) -> Iterator[str]:
    present = {kind_of(row) for row in rows if row.spans}
    looks = [look for kind, look in _LOOKS.items() if kind in present - set(_OBVIOUS)]
    words = [(look.plain_bar if style.is_plain else look.bar, look) for look in looks]
    if any(row.is_open for row in rows):
        words.append((">", _Look(">", ">", ">", ">", "cyan", "goes on")))
    line, used = "", 0
    for glyph, look in words:
        word = f"{glyph} {look.meaning}"
        if used and used + 2 + len(word) > style.width:
            yield line
            line, used = "", 0
        line += ("  " if used else "") + style.paint(glyph, look.colour) + word[1:]
        used += len(word) + (2 if used else 0)
    if line:
        yield line


def _shortened(text: str, width: int, style: Style) -> str:
    return printing.shortened(style.readable(text), width, cut="~" if style.is_plain else "…")
