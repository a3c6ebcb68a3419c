"""Checks of a configuration's values, and the two lines that say which of them do nothing."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from difflib import get_close_matches
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin

from pyengine.errors import DBOSInitializationError
from pyengine.log import logger

_N = TypeVar("_N", int, None)
_KINDS: dict[object, str] = {
    str: "a text",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    list: "a list of texts",
    Mapping: "a dictionary with texts as keys",
    os.PathLike: "a path",
}
_LEVELS = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
    "FATAL": logging.CRITICAL,
}
_NO_CONTROL_PLANE = "any live process recovers the work of a dead one, without a control plane"
_NO_POLLING = "what waits is woken, without polling"
_NO_LICENCE = "pyengine has no licensed parts"
_NO_ADMIN_SERVER = "its operations are SQL functions and methods of DBOS"
_WITHOUT_EFFECT = {
    "conductor_key": _NO_CONTROL_PLANE,
    "conductor_url": _NO_CONTROL_PLANE,
    "conductor_executor_metadata": _NO_CONTROL_PLANE,
    "conductor_metadata_only_mode": _NO_CONTROL_PLANE,
    "transact_enterprise_key": _NO_LICENCE,
    "auto_upgrade": _NO_LICENCE,
    "auto_upgrade_interval_sec": _NO_LICENCE,
    "auto_upgrade_grace_sec": _NO_LICENCE,
    "sharding": _NO_LICENCE,
    "sys_db_polling_concurrency": _NO_POLLING,
    "notification_coalesce_sec": _NO_POLLING,
    "kafka_queue_polling_interval_sec": _NO_POLLING,
    "notification_listener_polling_interval_sec": _NO_POLLING,
    "scheduler_polling_interval_sec": _NO_POLLING,
    "observability_query_timeout_sec": "the login's statement_timeout limits a listing",
    "admin_port": _NO_ADMIN_SERVER,
    "run_admin_server": _NO_ADMIN_SERVER,
    "system_database_engine": "only its URL is used",
}
_POOL_KEYS_WITH_EFFECT = frozenset({"pool_size", "max_overflow", "pool_timeout", "connect_args"})


class Checked:
    """A configuration whose values have the types that their keys ask for.

    Args:
        config: What the user gave.
        hints: The type of each known key.
        within: What to put before a key's name in messages.

    Raises:
        DBOSInitializationError: It is not a dictionary, or a value is of another type.
    """

    def __init__(
        self, config: Mapping[str, Any], hints: Mapping[str, Any], *, within: str = ""
    ) -> None:
        if not isinstance(config, Mapping):
            raise DBOSInitializationError(
                f"the configuration must be a dictionary, not {type(config).__name__}"
            )
        self.config = config
        self._within = within
        for key, hint in hints.items():
            value = config.get(key)
            kinds = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
            if get_origin(hint) in (list, Mapping):
                kinds = [hint]
            if value is not None and not any(_fits(value, kind) for kind in kinds):
                expected = " or ".join(_KINDS[get_origin(kind) or kind] for kind in kinds)
                raise self._refused(key, f"must be {expected}, not {type(value).__name__}")

    def value(self, key: str) -> Any:
        """Return the value of a key; None if it was not given."""
        return self.config.get(key)

    def text(self, key: str) -> str | None:
        """Return a text; None if it was not given."""
        value: str | None = self.config.get(key)
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return True or False."""
        value = self.config.get(key)
        return default if value is None else bool(value)

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Return a dictionary; an empty one if it was not given."""
        return self.config.get(key) or {}

    def count(
        self, key: str, default: _N, *, at_least: int, at_most: int | None = None
    ) -> int | _N:
        """Return a whole number, which must not be below `at_least` or above `at_most`."""
        value: int | None = self.config.get(key)
        if value is None:
            return default
        if value < at_least:
            raise self._refused(key, f"is {value}: use at least {at_least}")
        if at_most is not None and value > at_most:
            raise self._refused(key, f"is {value}: use at most {at_most}")
        return value

    def number(self, key: str, default: float) -> float:
        """Return a finite number."""
        value = float(default if self.config.get(key) is None else self.config[key])
        if not math.isfinite(value):
            raise self._refused(key, f"is {value}: use a finite number")
        return value

    def seconds(self, key: str, default: float, *, at_least: float = 0.0) -> float:
        """Return a finite number of seconds, which must not be below `at_least`."""
        value = self.number(key, default)
        if value < at_least:
            raise self._refused(key, f"is {value:g}: use at least {at_least:g} seconds")
        return value

    def level(self, key: str, default: int) -> int:
        """Return a level of `logging`, given by its name or number."""
        value = self.config.get(key)
        if value is None:
            return default
        level = _LEVELS.get(value.upper()) if isinstance(value, str) else value
        if level is None or level < 0:
            raise self._refused(key, "must be one of " + ", ".join(_LEVELS))
        return int(level)

    def _refused(self, key: str, problem: str) -> DBOSInitializationError:
        return DBOSInitializationError(f"configuration key '{self._within}{key}' {problem}")


def _fits(value: object, kind: Any) -> bool:
    if kind is Any:
        return True
    if kind is float:
        kind = (int, float)
    if isinstance(value, bool):
        return kind is bool
    if not isinstance(value, get_origin(kind) or kind):
        return False
    # A list's elements, or a dictionary's keys, are texts.
    return not isinstance(value, (list, Mapping)) or all(isinstance(part, str) for part in value)


def warn_of_unknown(config: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Log one warning that names every key that means nothing, and the key that may be meant.

    Args:
        config: What the user gave.
        known: The known keys.
    """
    unknown = []
    for key in sorted(str(key) for key in config if key not in known):
        near = get_close_matches(key, known, 1)
        unknown.append(f"{key!r} (did you mean {near[0]!r}?)" if near else repr(key))
    if unknown:
        logger.warning("Ignored unknown configuration keys: %s", ", ".join(unknown))


def explain_without_effect(config: Mapping[str, Any]) -> None:
    """Log one line about the keys that are known, were given, and change nothing in pyengine.

    Args:
        config: What the user gave.
    """
    reasons: dict[str, list[str]] = {}
    for key, reason in _WITHOUT_EFFECT.items():
        value = config.get(key)
        if value is not None and value is not False:
            reasons.setdefault(reason, []).append(key)
    pool = sorted(set(config.get("db_engine_kwargs") or {}) - _POOL_KEYS_WITH_EFFECT)
    if pool:
        reasons["pyengine has a pool of its own"] = [f"db_engine_kwargs.{key}" for key in pool]
    if reasons:
        explained = "; ".join(f"{', '.join(keys)} ({why})" for why, keys in reasons.items())
        logger.info("Configuration keys without effect here: %s", explained)
