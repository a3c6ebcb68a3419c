"""Which calls meet, and in which worlds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.gate.families import FAMILIES, FamilyWorld
from tests.races.actions import ACTIONS, Action
from tests.races.world import World

Session = psycopg.Connection[Any]

# What befalls a workflow in all of its lives; three of them meet, too.
HOT = (
    "claim", "record", "finish", "cancel", "resume", "delete", "hibernate", "apply a batch",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A world, and the calls that meet there.

    Attributes:
        name: what it is about.
        make: makes the world in an engine.
        meetings: the calls that meet.
    """

    name: str
    make: Callable[[str, Session], World]
    meetings: list[list[Action]]


def places() -> Iterator[Place]:
    """The world of running workflows, and those of the families."""
    yield Place("workflows", World, [*pairs(), *triples()])
    for name in FAMILIES:
        yield place_of(name)


def place_of(family: str) -> Place:
    """The world of a family, in which every two of its calls meet."""
    chosen = FAMILIES[family]
    every_two = itertools.combinations_with_replacement(chosen.actions(), 2)
    return Place(
        family,
        lambda url, look: FamilyWorld(url, look, chosen.before),
        [list(pair) for pair in every_two],
    )


def pairs(of: Callable[[Action], bool] = lambda _: True) -> list[list[Action]]:
    """Every two of the actions, and every one twice, that touch something in common."""
    chosen = [each for each in ACTIONS.values() if of(each)]
    return [
        [a, b] for a, b in itertools.combinations_with_replacement(chosen, 2) if a.rows & b.rows
    ]


def triples() -> list[list[Action]]:
    """Every three of the actions that a workflow sees most."""
    return [list(three) for three in itertools.combinations([ACTIONS[name] for name in HOT], 3)]


def named(*names: str) -> list[Action]:
    """Actions by name."""
    return [ACTIONS[name] for name in names]
