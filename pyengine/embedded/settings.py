"""The settings that pyengine gives its server, in a file that postgresql.conf includes.

The file is written anew at each start, so it follows the directory when that is moved. What a user
sets with ALTER SYSTEM wins over it.
"""

import re
import socket
from collections.abc import Mapping
from pathlib import Path

from pyengine.embedded.layout import Layout, write_file
from pyengine.errors import DBOSInitializationError

INCLUDE = "include '../server.conf'"
_UNIX_PORT = 5432
_DEFAULTS = {
    "max_connections": "200",
    "track_functions": "pl",
    # One file a weekday, overwritten a week later: the log cannot fill the disk.
    "logging_collector": "on",
    "log_directory": "../log",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
}
_OURS = frozenset(
    (
        "port",
        "listen_addresses",
        "unix_socket_directories",
        "unix_socket_permissions",
        "data_directory",
        "config_file",
        "hba_file",
        "ident_file",
    )
)
_LINE = re.compile(r"^(\S+) = '((?:[^']|'')*)'$", re.MULTILINE)

Value = str | int | float | bool


def resolve(
    layout: Layout, wanted: Mapping[str, str], before: Mapping[str, str], *, tcp: bool
) -> dict[str, str]:
    """Return every setting of a server to be started.

    Args:
        layout: the paths of the server.
        wanted: what the caller asked for (see `requested`); it wins over the defaults.
        before: the settings of the last start, whose TCP port is kept if it is free.
        tcp: listen on 127.0.0.1 too.

    Raises:
        DBOSInitializationError: no TCP port is free.
    """
    port = _free_port(before) if tcp else _UNIX_PORT
    return {
        **_DEFAULTS,
        **wanted,
        "port": str(port),
        "listen_addresses": "127.0.0.1" if tcp else "",
        "unix_socket_directories": '"{}"'.format(str(layout.sockets).replace('"', '""')),
        "unix_socket_permissions": "0700",
    }


def requested(user: Mapping[str, Value] | None) -> dict[str, str]:
    """Return the caller's settings as PostgreSQL writes them.

    Raises:
        DBOSInitializationError: a setting is not the caller's to choose.
    """
    wanted: dict[str, str] = {}
    for name, value in (user or {}).items():
        text = ("on" if value else "off") if isinstance(value, bool) else str(value)
        if name in _OURS or not re.fullmatch(r"[a-z_][a-z0-9_.]*", name) or not text.isprintable():
            raise DBOSInitializationError(
                f"The setting {name!r} in `settings` of the embedded server is not valid: it must "
                "be a PostgreSQL setting on one line, and not one of those that pyengine decides "
                f"itself ({', '.join(sorted(_OURS))})."
            )
        wanted[name] = text
    return wanted


def read(path: Path) -> dict[str, str]:
    """Return the settings of the last start, empty if there was none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return {name: _unquoted(value) for name, value in _LINE.findall(text)}


def write(path: Path, settings: Mapping[str, str]) -> None:
    """Write the file that the server includes, whole or not at all."""
    lines = ["# Written by pyengine at each start. Use ALTER SYSTEM for settings of your own."]
    lines += [f"{name} = '{_quoted(value)}'" for name, value in settings.items()]
    write_file(path, "\n".join(lines) + "\n", mode=0o644)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _unquoted(value: str) -> str:
    return value.replace("''", "'").replace("\\\\", "\\")


def _free_port(before: Mapping[str, str]) -> int:
    """Return the port of the last start, which other programs may remember, or a free one."""
    last = int(before["port"]) if before.get("listen_addresses") else 0
    for port in (last, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DBOSInitializationError("No TCP port of 127.0.0.1 is free for the embedded server.")
