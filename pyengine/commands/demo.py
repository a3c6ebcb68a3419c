"""`pyengine demo`: the example program."""

import subprocess
import sys

import click


@click.command("demo")
def command() -> int:
    """Run the example: 300 orders, a worker killed in the middle, nothing lost or done twice."""
    return subprocess.run(
        [sys.executable, "-m", "pyengine.examples.orders"], check=False
    ).returncode
