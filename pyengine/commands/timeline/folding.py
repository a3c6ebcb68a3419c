"""Loops: of many alike rows, or groups of rows that repeat, the first and the last stay, and one says how many more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyengine.commands.timeline.rows import Row

_LONGEST_CYCLE = 8
_FEWEST_HIDDEN = 4

_Likeness = tuple[str, str, str | None]


def folded(rows: Sequence[Row]) -> list[Row]:
    """The rows, with one in the place of those that are like others before and behind them.

    What failed, or goes on, is not like what succeeded; so it stays in sight.
    """
    keys: list[_Likeness] = [(row.kind, row.name, row.outcome) for row in rows]
    shown: list[Row] = []
    place = 0
    while place < len(rows):
        length, count = _cycle(keys, place)
        stop = place + length * count
        if length * (count - 2) < _FEWEST_HIDDEN:
            shown.append(rows[place])
            place += 1
            continue
        shown += rows[place : place + length]
        shown.append(_fold(rows[place + length : stop - length]))
        shown += rows[stop - length : stop]
        place = stop
    return shown


def _cycle(keys: Sequence[_Likeness], place: int) -> tuple[int, int]:
    """The length and the number of the repetitions that cover most from a place on; the shorter, of several."""
    best = (1, 1)
    for length in range(1, _LONGEST_CYCLE + 1):
        count = _repetitions(keys, place, length)
        if count > 1 and count * length > best[0] * best[1]:
            best = (length, count)
    return best


def _repetitions(keys: Sequence[_Likeness], place: int, length: int) -> int:
    behind = place + length
    while behind < len(keys) and keys[behind] == keys[behind - length]:
        behind += 1
    return (behind - place) // length


def _fold(rows: Sequence[Row]) -> Row:
    first = rows[0]
    names = ", ".join(dict.fromkeys(row.name for row in rows))
    kinds = {row.kind for row in rows}
    outcomes = {row.outcome for row in rows}
    return replace(
        first,
        kind=first.kind if len(kinds) == 1 else "step",
        name=names,
        spans=tuple(span for row in rows for span in row.spans),
        outcome=first.outcome if len(outcomes) == 1 else None,
        step_id=None,
        child_workflow_id=None,
        until=None,
        note=None,
        count=len(rows),
    )
