"""A call whose reply was lost is sent again: it has one effect, and harms nothing that happened since."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.races.scenarios import SCENARIOS, perform, tables
from tests.races.world import World

pytestmark = pytest.mark.race

# Those that have nothing to write here: they look, or find everything as they would leave it.
IDLE = {
    "await_workflow", "get_event", "get_workflow_result", "generate_workflow_id", "check_lease", "next_sql_step",
}  # fmt: skip


@pytest.fixture
def client(world: World) -> Iterator[psycopg.Connection[Any]]:
    """A session in the world as it was made."""
    world.restore()
    with psycopg.connect(world.url, autocommit=True) as session:
        yield session
        session.execute("update pyengine.settings set max_payload_bytes = 1048576")


@pytest.mark.parametrize("function", SCENARIOS)
def test_the_second_of_two_calls_changes_nothing(
    world: World, client: psycopg.Connection[Any], function: str
) -> None:
    scenario = SCENARIOS[function]
    if scenario.before:
        client.execute(scenario.before.encode())
    untouched = tables(world, with_times=True)

    first, refused_first = perform(client, function, scenario)
    touched, once = tables(world, with_times=True), tables(world)
    second, refused = perform(client, function, scenario)
    twice = tables(world)

    assert twice == once, [row for row in twice if row not in once]
    assert refused == scenario.code
    if refused is None and not scenario.another:
        assert second == first
    assert refused_first is None
    assert (touched == untouched) == (function in IDLE)
