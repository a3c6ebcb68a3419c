"""`pyengine version`: what is installed."""

import argparse

from pyengine._version import __version__
from pyengine.schema import load

NAME = "version"
HELP = "Show the version of the library and of the schema it ships."


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options: there are none."""


def run(_: argparse.Namespace) -> int:
    """Print both versions."""
    print(f"pyengine {__version__} (schema version {load().latest_version})")
    return 0
