"""Requests that nobody expects: values at the edges of JSON, odd ids and keys, work that kills or fails."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import random
import uuid
from collections.abc import Callable
from typing import Any

ZONE = dt.timezone(dt.timedelta(hours=-3, minutes=-30))
VALUES: tuple[Any, ...] = (
    None, True, 0, dt.datetime(1, 1, 1),  # noqa: DTZ001 - some have no zone
    -0.0, 2**70, -(2**63), 1e308, 5e-324, math.inf, -math.inf, "", " ", "\x7f\u2028", "é", "e\u0301",
    "\U0001f469\u200d\U0001f4bb", "\u202eabc", "a\\u0000b", "a\x00b", "\ud800", "'; drop table x; --", "%s %(a)s {}",
    [], {}, [[]],
    {"": ""}, {"a": {"b": [1, {"c": None}]}}, {"__type__": "x"}, {"$": 1}, (1, 2), {2}, frozenset("a"),
    {1: "a", (1, 2): "b"}, b"\x00\xff", decimal.Decimal("1.10"), decimal.Decimal("-0E+7"), uuid.UUID(int=7),
    dt.datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=ZONE), dt.date(9999, 12, 31),
    dt.time(1, 2, 3, 4), dt.timedelta(days=-1, microseconds=1), 1 + 2j, "x" * 200_000, list(range(5000)),
)  # fmt: skip
IDS: tuple[Callable[[str], str], ...] = (
    lambda i: i + "::" + i,
    lambda i: " " + i + " ",
    lambda i: i + "'\"\\%s",
    lambda i: i + "é",
    lambda i: i + "e\u0301",
    lambda i: i + "\u202e\U0001f469",
    lambda i: i + "\n\t",
    lambda i: i + "x" * (512 - len(i)),
    lambda i: i + ",{}()[]",
)
KEYS = ("a", "A", " a", "a ", "ä", "a::b", "\U0001f511", "x" * 200)
POISONS = ("exit", "crash")
ILLNESSES = ("object", "recursion", "memory", "error")


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def request(rng: random.Random, workflow_id: str) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """One of them."""
    odd = rng.choice(IDS)(workflow_id) if rng.random() < 0.5 else workflow_id
    kind = rng.random()
    if kind < 0.02:
        name, queue, argument = "carrier", "narrow", rng.choice(POISONS)
    elif kind < 0.2:
        name, queue, argument = "unwell", "unwell", rng.choice(ILLNESSES)
    else:
        name, queue = "echo", rng.choice(("narrow", "keyed"))
        argument = nested(rng.randint(1, 60)) if rng.random() < 0.1 else rng.choice(VALUES)
    options: dict[str, Any] = {"workflow_name": name, "queue_name": queue, "workflow_id": odd}
    if queue == "keyed":
        options["queue_partition_key"] = rng.choice(KEYS)
    return options, (odd, argument)
