"""The help of the command line, and what it says about a command that is not there."""

from __future__ import annotations

import pytest

from pyengine.commands import printing
from tests.cli.conftest import Run


def test_help_lists_commands_with_whole_sentences(run: Run) -> None:
    done = run("--help")

    commands = done.out.partition("Commands:")[2]
    assert "..." not in commands
    assert "nothing lost or done twice." in " ".join(commands.split())
    assert done.status == 0


def test_a_command_without_its_group_is_found(run: Run) -> None:
    done = run("explain", "order-7")

    assert "Did you mean `pyengine workflow explain`?" in done.err
    assert done.status == 2


def test_an_unknown_command_is_named(run: Run) -> None:
    done = run("frobnicate")

    assert "No such command 'frobnicate'" in done.err
    assert done.status == 2


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0s"),
        (0.00319, "3.2ms"),
        (0.25, "250ms"),
        (0.9996, "1s"),
        (3.35, "3.4s"),
        (-59, "-59s"),
        (200, "3m 20s"),
        (18_120, "5h 2m"),
        (273_600, "3d 4h"),
    ],
)
def test_a_duration_has_two_digits_or_two_units(seconds: float, told: str) -> None:
    assert printing.duration(seconds) == told


def test_a_database_that_is_not_there_is_named_without_its_password(run: Run) -> None:
    done = run("workflow", "list", "--database-url", "postgresql://me:hush@127.0.0.1:1/none")

    assert "can't be reached: " in done.err
    assert "refused" in done.err
    assert "--database-url" in done.err
    assert done.err.count("\n") == 1
    assert "hush" not in done.err
    assert done.status == 1
