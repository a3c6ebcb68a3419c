"""An error at any statement of a function that writes leaves everything as it was, and the next call succeeds.

PostgreSQL takes back what a failed call did, so this finds functions that swallow an error and go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.gate.turnstile import count_anew, load, steps_of
from tests.races.scenarios import SCENARIOS, Scenario, perform
from tests.races.world import World

pytestmark = pytest.mark.race

# A conflict of transactions, a cancelled statement, a full disk, a fault of the server.
STATES = ("40001", "57014", "53100", "XX000")
# Functions that go on after an error on purpose, and after which errors.
GOES_ON = {
    # An error of a step written in SQL is the step's outcome and its workflow's, unless it is one of the moment.
    "run_sql_step": ("XX000",),
    # It runs them.
    "run_sql_workflows": ("XX000",),
}


@dataclass(frozen=True)
class Victim:
    """A session whose calls fail where the test wants them to."""

    world: World
    session: psycopg.Connection[Any]

    def prepare(self, scenario: Scenario) -> None:
        """Make the world, and what the call needs."""
        self.world.restore()
        self.session.execute("update pyengine.settings set max_payload_bytes = 1048576")
        if scenario.before:
            self.session.execute(scenario.before.encode())

    def steps(self, function: str) -> int:
        """How many steps the call takes, which is taken back."""
        count_anew(self.session)
        with self.session.transaction(force_rollback=True):
            _, code = perform(self.session, function, SCENARIOS[function])
            assert code is None, code
            return steps_of(self.session)

    def fail(self, function: str, step: int, state: str) -> str | None:
        """The code that the call is refused with when this step fails."""
        count_anew(self.session)
        self.session.execute(f"set plgate.fail_at = {step}; set plgate.fail_state = '{state}'")
        _, code = perform(self.session, function, SCENARIOS[function])
        self.session.execute("set plgate.fail_at = 0")
        return code

    def stored(self) -> Any:
        """Everything that is stored, and the locks that were left behind, in one value."""
        parts = [
            sql.SQL("select {}, t::text from {} t").format(name, sql.Identifier("pyengine", name))
            for name in [*self.world.tables, "settings"]
        ]
        query = sql.SQL(
            "select md5(string_agg(r::text, '' order by r::text)), "
            "(select count(*) from pg_locks where locktype = 'advisory' and pid = {}) from ({}) r"
        ).format(self.session.info.backend_pid, sql.SQL(" union all ").join(parts))
        return self.world.look.execute(query).fetchall()


@pytest.fixture(scope="module")
def victim(engine_url: str, library: Path) -> Iterator[Victim]:
    """Such a session, in the world of the actions."""
    with (
        psycopg.connect(engine_url, autocommit=True) as look,
        psycopg.connect(engine_url, autocommit=True) as session,
    ):
        world = World(engine_url, look)
        load(session, library)
        yield Victim(world, session)
        world.close()


def states_at(step: int, every: bool) -> tuple[str, ...]:
    """The errors that a step fails with: all of them, or each step with another one."""
    return STATES if every else (STATES[step % len(STATES)],)


@pytest.mark.parametrize(
    "every",
    [
        pytest.param(False, id="another error at each"),
        pytest.param(True, id="each error at each", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("function", SCENARIOS)
def test_an_error_at_any_statement_leaves_everything_as_it_was(
    victim: Victim, function: str, every: bool
) -> None:
    scenario = SCENARIOS[function]
    victim.prepare(scenario)
    before = victim.stored()

    for step in range(1, victim.steps(function) + 1):
        for state in states_at(step, every):
            code = victim.fail(function, step, state)
            # Later, a call may find less to do: a heartbeat is due from time to time.
            is_over = code is None and steps_of(victim.session) < step
            if is_over or (code is None and state in GOES_ON.get(function, ())):
                victim.prepare(scenario)
                before = victim.stored()
            else:
                assert (code, victim.stored()) == (state, before), f"step {step} fails with {state}"

    assert perform(victim.session, function, scenario)[1] is None


@pytest.mark.parametrize("function", GOES_ON)
def test_what_goes_on_after_an_error_records_it_as_the_outcome(
    victim: Victim, function: str
) -> None:
    victim.prepare(SCENARIOS[function])
    steps = range(1, victim.steps(function) + 1)
    recorded = 0

    for step in steps:
        if victim.fail(function, step, "XX000") is None:
            found = victim.world.look.execute(
                "select status, error ->> 'code' from pyengine.workflows where workflow_id = 'sql'"
            )
            assert found.fetchall() == [("ERROR", "XX000")]
            victim.prepare(SCENARIOS[function])
            recorded += 1

    assert 0 < recorded < len(steps)
