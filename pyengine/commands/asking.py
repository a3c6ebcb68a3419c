"""Asking before something is done that can't be undone."""

from collections.abc import Callable
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])


def asks_first(function: F) -> F:
    """Give a command the option --yes."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(function)


def confirm(what: str, *, yes: bool, otherwise: str) -> None:
    """Say what will happen and ask, unless `yes`.

    Args:
        what: a sentence that says what will happen, to what, and where.
        yes: do not ask.
        otherwise: what is told when the answer is not yes.

    Raises:
        click.ClickException: the answer was not yes, or there was nobody to ask.
    """
    if yes:
        return
    click.echo(what, err=True)
    try:
        agreed = click.confirm("Continue?", err=True)
    except click.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise click.ClickException(f"{otherwise} (--yes does it without asking)")
