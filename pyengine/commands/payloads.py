"""Payloads are what users put in: inputs, outputs, errors. They are printed only when asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from pyengine.database.rows import WorkflowRow

F = TypeVar("F", bound=Callable[..., object])

OF_WORKFLOW = ("inputs", "output", "error")


def option(function: F) -> F:
    """Give a command the option --payloads."""
    return click.option(
        "--payloads",
        "with_payloads",
        is_flag=True,
        help="Also print inputs, outputs and errors, which may be confidential.",
    )(function)


def of_workflow(row: WorkflowRow) -> dict[str, Any]:
    """The payloads of a workflow, as they are stored."""
    return {key: value(getattr(row, key)) for key in OF_WORKFLOW}


def value(text: str | None) -> Any:
    """A payload as it is stored; nothing is made of it that a program registered."""
    return None if text is None else json.loads(text)
