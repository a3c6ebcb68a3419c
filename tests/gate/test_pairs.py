"""Calls that meet, statement by statement, come to what some order of the calls comes to.

Here those that matter most meet in a few schedules of a fixed seed; `make gate` goes on with all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gate.conftest import Explore
from tests.gate.explorer import Explorer, name_of
from tests.gate.families import FAMILIES
from tests.gate.meetings import Place, named, pairs, place_of, places
from tests.gate.schedules import ONE_IN
from tests.races.actions import CORE, Action

pytestmark = pytest.mark.race

SCHEDULES = 4

# What schedules have found: these meet in every schedule with one preemption.
FOUND = [
    # A start found its id, or its deduplication id, taken by a workflow that was deleted before it could say by which.
    ("workflows", "start again", "delete"),
    # A claim held what was resumed, or a bookmark, and waited for a queue; a fenced run held that and waited for it.
    ("workflows", "claim", "resume", "apply a batch"),
    ("queues", "enqueue_workflow: held", "delete_workflows"),
    ("queues", "enqueue_workflow: held", "cancel_workflow"),
    # A queue was deleted between the look whether it is there and its change: nothing was registered.
    ("queues", "register_queue: q", "delete_queue: q"),
    # Two applications got a version of the same name.
    ("applications", "register_application_version", "register_application_version: of another"),
    # A policy that was changed while its application got another name was lost.
    ("applications", "set_retention", "rename_application: again"),
    # A process that registered beside a change of the workflows in SQL kept what it had read before.
    ("workflows in SQL", "drop_sql_workflow", "register_executor"),
    # It was not told that the workflow is unknown.
    ("workflows in SQL", "cancel_workflow", "delete_workflows"),
    ("workflows in SQL", "resume_workflow", "delete_workflows"),
]  # fmt: skip


def assert_sound(explorer: Explorer, actions: list[Action], schedules: int) -> None:
    tally = explorer.explore(explorer.meeting(actions), schedules)

    assert tally.violations == [], "\n".join(map(str, tally.violations))


@pytest.mark.parametrize("actions", pairs(lambda each: each.name in CORE), ids=name_of)
def test_two_calls_come_to_what_they_come_to_in_some_order(
    explore: Explore, actions: list[Action]
) -> None:
    assert_sound(explore(next(places())), actions, SCHEDULES)


def found() -> Iterator[object]:
    for place, *names in FOUND:
        if place == "workflows":
            yield pytest.param(next(places()), named(*names), id="-".join(names))
        else:
            family = {each.name: each for each in FAMILIES[place].actions()}
            yield pytest.param(
                place_of(place), [family[name] for name in names], id="-".join(names)
            )


@pytest.mark.parametrize(("place", "actions"), list(found()))
def test_what_was_found_once_is_found_no_more(
    explore: Explore, place: Place, actions: list[Action]
) -> None:
    explorer = explore(place)

    with_one_preemption = sum(map(explorer.steps, actions))
    assert_sound(explorer, actions, with_one_preemption * ONE_IN // (ONE_IN - 1) + 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "actions"),
    [
        pytest.param(place, actions, id=f"{place.name}-{name_of(actions)}")
        for place in places()
        for actions in place.meetings
    ],
)
def test_any_two_calls_and_some_three_do(
    explore: Explore, place: Place, actions: list[Action]
) -> None:
    assert_sound(explore(place), actions, SCHEDULES)
