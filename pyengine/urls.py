"""Database URLs: read by our own parser, so that a malformed one is never printed by the driver.

libpq quotes the whole text, password included, when it cannot read it. Here a URL is taken apart
first, and it is passed on only as the text made of its parts, which libpq can always read. No
message of this module contains anything that came out of a URL.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from urllib.parse import quote, unquote_to_bytes

from psycopg import pq

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9.+-]*)://")
_POSTGRESQL = re.compile(r"postgres(ql)?(\+[a-z0-9_]+)?", re.IGNORECASE)
_PAIR = re.compile(r"\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'(?=\s|$)|((?!')(?:[^\s\\]|\\.)*))")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_HOST = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([^:]*))?")
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_OTHER_DATABASES = ("mysql", "mariadb", "mssql", "oracle", "cockroachdb", "http", "https", "redis")
_SECRET_PARAMETERS = frozenset(
    {"password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"}
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ENCODE = "percent-encode special characters of the user name and password (@ as %40, / as %2F)"


class MalformedUrlError(ValueError):
    """A database URL cannot be used; the text says why and holds nothing of the URL."""


@dataclass(frozen=True, slots=True, repr=False)
class DatabaseUrl:
    """The parts of a database URL, decoded.

    Args:
        user: The role to connect as; None leaves it to libpq.
        password: Its password; None leaves it to libpq.
        hosts: Pairs of host and port, in the order to try; "" leaves one to libpq.
        database: The database's name; None leaves it to libpq.
        parameters: The other connection parameters of libpq, by keyword.
    """

    user: str | None
    password: str | None
    hosts: tuple[tuple[str, str], ...]
    database: str | None
    parameters: Mapping[str, str]

    def __str__(self) -> str:
        """Return the URL with its password, in the form libpq reads."""
        login = "" if self.user is None else quote(self.user, safe="")
        if self.password is not None:
            login += ":" + quote(self.password, safe="")
        if self.user is not None or self.password is not None:
            login += "@"
        hosts = ",".join(_host_text(host, port) for host, port in self.hosts)
        database = "" if self.database is None else "/" + quote(self.database, safe="")
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in self.parameters.items())
        return f"postgresql://{login}{hosts}{database}{'?' if query else ''}{query}"

    def __repr__(self) -> str:
        return f"DatabaseUrl({self.redacted()!r})"

    def redacted(self) -> str:
        """Return the URL with every secret replaced by `***`."""
        parameters = {
            key: "***" if key in _SECRET_PARAMETERS else value
            for key, value in self.parameters.items()
        }
        password = None if self.password is None else "***"
        return str(replace(self, password=password, parameters=parameters)).replace("%2A", "*")

    def identity(self, environ: Mapping[str, str]) -> tuple[object, ...]:
        """Return what names the database, for comparison with another URL's.

        Args:
            environ: The environment, which gives libpq the parts that a URL leaves out.

        Returns:
            The service, the servers and the database's name, each with its default filled in.
        """
        hosts = [host for host, _ in self.hosts if host]
        ports = [port for _, port in self.hosts if port]
        host = self._first("hostaddr", "host") or ",".join(hosts) or _from(environ, "PGHOST")
        port = self._first("port") or ",".join(ports) or _from(environ, "PGPORT") or "5432"
        user = self.user or _from(environ, "PGUSER")
        database = self.database or _from(environ, "PGDATABASE") or user or _login_name()
        servers = host.lower().split(",")
        return (
            self._first("service") or _from(environ, "PGSERVICE"),
            tuple("localhost" if name in _LOOPBACK else name.rstrip("/.") for name in servers),
            tuple(dict.fromkeys(port.split(","))),
            database,
        )

    def _first(self, *keywords: str) -> str:
        return next((self.parameters[key] for key in keywords if key in self.parameters), "")


def parse(text: str) -> DatabaseUrl:
    """Take a database URL apart.

    Args:
        text: `postgresql://…`, also `postgres://…` or with a driver's name as SQLAlchemy has it
            (`postgresql+psycopg://…`), or libpq's `key=value …` form.

    Returns:
        Its parts.

    Raises:
        MalformedUrlError: It cannot be used. The text is safe to show.
    """
    text = text.strip()
    if not text:
        raise MalformedUrlError("it is empty; leave it out or give a postgresql:// URL")
    if text.lower().startswith("sqlite"):
        raise MalformedUrlError(
            "it is a SQLite URL, and pyengine keeps its state in PostgreSQL; give a postgresql:// "
            "URL, or no URL at all to have a private PostgreSQL server started for you"
        )
    if _UNREADABLE.search(text):
        raise MalformedUrlError(
            "it contains a line break, another control character or bytes not UTF-8"
        )
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _parse_pairs(text)
    if not _POSTGRESQL.fullmatch(scheme[1]):
        name = scheme[1].lower().partition("+")[0]
        kind = f"a {name}:// URL" if name in _OTHER_DATABASES else "not a PostgreSQL URL"
        raise MalformedUrlError(f"it is {kind}; it should start with postgresql://")
    return _parse_url(text[scheme.end() :])


def redact(url: str) -> str:
    """Return a database URL that is safe to show.

    Args:
        url: Any text that was given as a database URL.

    Returns:
        The URL with `***` in place of each secret, or a fixed text if it cannot be read.
    """
    try:
        return parse(url).redacted()
    except MalformedUrlError:
        return "<unreadable database URL>"


def same_database(first: str, second: str, environ: Mapping[str, str]) -> bool:
    """Tell whether two URLs lead to the same database.

    Args:
        first: A readable database URL.
        second: Another.
        environ: The environment that libpq will see.

    Returns:
        True if server, port and database name agree once defaults are filled in. Two spellings that
        only the network could tell to be the same (an alias, a socket) count as different.
    """
    return parse(first).identity(environ) == parse(second).identity(environ)


def _parse_url(rest: str) -> DatabaseUrl:
    login, at, address = rest.partition("@")
    if not at or "/" in login:
        login, at, address = "", "", rest
    user, colon, password = login.partition(":")
    address, _, query = address.partition("?")
    servers, slash, database = address.partition("/")
    if "?" in user or "@" in address or "@" in query.partition("=")[0] or "/" in database:
        raise MalformedUrlError(f"its parts cannot be told apart; {_ENCODE}")
    parsed = DatabaseUrl(
        user=_decode(user) if at and user else None,
        password=_decode(password) if colon else None,
        hosts=tuple(_parse_host(server) for server in servers.split(",")) if servers else (),
        database=_decode(database) if slash and database else None,
        parameters={},
    )
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    if not all(separator for _, separator, _ in pairs):
        raise MalformedUrlError("a parameter after the '?' has no value; write name=value")
    return _with_parameters(parsed, {_decode(key): _decode(value) for key, _, value in pairs})


def _parse_pairs(text: str) -> DatabaseUrl:
    pairs: dict[str, str] = {}
    position = 0
    while position < len(text):
        pair = _PAIR.match(text, position)
        if pair is None:
            raise MalformedUrlError("it should start with postgresql://")
        value = pair[2] if pair[2] is not None else pair[3]
        pairs[pair[1]] = re.sub(r"\\(.)", r"\1", value)
        position = pair.end()
    return _with_parameters(DatabaseUrl(None, None, (), None, {}), pairs)


def _with_parameters(url: DatabaseUrl, given: Mapping[str, str]) -> DatabaseUrl:
    parameters = dict(given)
    if "ssl" in parameters:  # as other drivers spell it
        value = parameters.pop("ssl")
        parameters.setdefault("sslmode", "require" if value.lower() == "true" else value)
    for key in parameters:
        if key not in keywords():
            near = get_close_matches(key, keywords(), 1, 0.8)
            hint = f"did you mean {near[0]}?" if near else "if it is part of a password, " + _ENCODE
            raise MalformedUrlError(f"it has a parameter that PostgreSQL does not know; {hint}")
    for port in parameters.get("port", "").split(","):
        _check_port(port)
    return replace(
        url,
        user=parameters.pop("user", url.user),
        password=parameters.pop("password", url.password),
        database=parameters.pop("dbname", url.database),
        parameters=parameters,
    )


@cache
def keywords() -> frozenset[str]:
    """Return the connection parameters that the installed libpq knows."""
    return frozenset(option.keyword.decode() for option in pq.Conninfo.parse(b""))


def _parse_host(text: str) -> tuple[str, str]:
    match = _HOST.fullmatch(text)
    if match is None:
        raise MalformedUrlError(
            "its host and port cannot be told apart; write an IPv6 address in [brackets] and "
            + _ENCODE
        )
    host = _decode(match[1] if match[1] is not None else match[2])
    if re.search(r"\s|@", host):
        raise MalformedUrlError(f"its host is not a name or an address; {_ENCODE}")
    _check_port(match[3] or "")
    return host, match[3] or ""


def _check_port(port: str) -> None:
    if port and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise MalformedUrlError(f"its port is not a number from 1 to 65535; {_ENCODE}")


def _decode(text: str) -> str:
    if _BAD_PERCENT.search(text):
        raise MalformedUrlError(
            "a '%' in it is not followed by two hexadecimal digits; write a literal % as %25"
        )
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        pass  # its text would quote what could not be read, so it must not become a context
    raise MalformedUrlError("its percent-encoded characters are not UTF-8")


def _host_text(host: str, port: str) -> str:
    name = f"[{quote(host, safe=':')}]" if ":" in host else quote(host, safe="")
    return f"{name}:{port}" if port else name


def _from(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "")


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""  # a process without an account; libpq has no default then either
