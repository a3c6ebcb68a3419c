"""The command line: `pyengine COMMAND`. Each command is a module of `pyengine.commands`."""

import errno
import logging
import os
import sys
from collections.abc import Sequence

import click

from pyengine.commands import (
    completion,
    demo,
    doctor,
    executor,
    extension,
    metrics,
    migrate,
    prune,
    psql,
    queue,
    rename,
    replay,
    reset,
    retention,
    schedule,
    verify,
    version,
    workflow,
)
from pyengine.commands.failures import FAILED, INTERRUPTED, exit_status, explain
from pyengine.commands.grouping import Group
from pyengine.commands.printing import escaped

EPILOG = """\b
Exit status:
  0    done
  1    it failed, or you said no; the reason is on standard error
  2    wrong use of the command line
  3    there is no such workflow, queue, schedule or executor
  4    a check found something that is wrong (verify, doctor, replay --check)
  130  interrupted
"""


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
def pyengine() -> None:
    """Durable workflows in PostgreSQL: look after the engine, and see what its workflows do."""


COMMANDS: tuple[click.Command, ...] = (
    workflow.group,
    queue.group,
    schedule.group,
    executor.group,
    doctor.command,
    verify.command,
    metrics.command,
    prune.command,
    retention.group,
    migrate.command,
    reset.command,
    rename.command,
    extension.command,
    psql.command,
    replay.command,
    demo.command,
    completion.command,
    version.command,
)
for _command in COMMANDS:
    pyengine.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: what follows the program's name; by default the process's own.

    Returns:
        The exit status, as `pyengine --help` lists them. The reason of a failure is on standard error.
    """
    logging.getLogger("pyengine").setLevel(logging.WARNING)
    try:
        status = pyengine.main(
            arguments if arguments is None else list(arguments),
            prog_name="pyengine",
            standalone_mode=False,
        )
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except click.Abort:
        return INTERRUPTED
    except OSError as exc:
        if exc.errno != errno.EPIPE:
            raise
        # Whoever read the output has enough; Python must not complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as exc:
        reason = explain(exc)
        if reason is None:
            raise
        click.echo(f"Error: {escaped(reason)}", err=True)
        return exit_status(exc)
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
