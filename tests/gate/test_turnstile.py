"""The gate stands before every statement that reads or writes, and a session waits there until it is let through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.gate.schedules import Turn
from tests.gate.turnstile import Turnstile, load

pytestmark = pytest.mark.race

Session = psycopg.Connection[Any]

FUNCTIONS = """
    drop schema if exists toy cascade;
    create schema toy;
    create table toy.counters (name text primary key, value int);
    create function toy.tick() returns int language plpgsql as
        'begin update toy.counters set value = value + 1; return 1; end';
    create function toy.look() returns int language plpgsql as
        'declare v_sum int := (select sum(value) from toy.counters); begin return v_sum; end';
    create function toy.assigned() returns int language plpgsql as
        'declare v_i int; begin v_i := toy.tick(); v_i := v_i + 1; return v_i; end';
    create function toy.chosen() returns int language plpgsql as
        'begin if exists (select from toy.counters) then return 1; end if; if 1 = 2 then return 3; end if; end';
    create function toy.looped() returns int language plpgsql as
        'begin for v_i in 1 .. 3 loop perform toy.tick(); end loop; return 0; end';
    create function toy.lost_update(name text) returns int language plpgsql as
        'declare v_value int; begin
            select c.value into v_value from toy.counters c where c.name = lost_update.name;
            update toy.counters c set value = v_value + 1 where c.name = lost_update.name;
            return v_value;
        end';
    create function toy.both(a text, b text) returns int language plpgsql as
        'begin
            update toy.counters c set value = 0 where c.name = a;
            update toy.counters c set value = 0 where c.name = b;
            return 0;
        end';
    create function public.tick() returns int language plpgsql as
        'begin update toy.counters set value = value + 1; return toy.tick(); end';
"""


@pytest.fixture(scope="module")
def turnstile(engine_url: str, library: Path) -> Iterator[Turnstile]:
    """Two sessions with gates in the functions of a schema `toy`."""
    made = Turnstile(engine_url, library)
    made.keeper.execute("drop function if exists public.tick; " + FUNCTIONS)
    for session in made.sessions:
        session.execute("set plgate.schema = 'toy'")
    yield made
    made.keeper.execute("drop schema toy cascade; drop function public.tick")
    made.close()


@pytest.fixture(autouse=True)
def _counters(turnstile: Turnstile) -> None:
    turnstile.keeper.execute(
        "truncate toy.counters; insert into toy.counters values ('a', 0), ('b', 0)"
    )


def call(text: str) -> Any:
    """Work that calls a function and returns its result."""
    return lambda session: session.execute(f"select {text}").fetchall()[0][0]


def counters(turnstile: Turnstile) -> list[Any]:
    return turnstile.keeper.execute("select value from toy.counters order by name").fetchall()


@pytest.mark.parametrize(
    ("function", "steps"),
    [
        pytest.param("toy.tick()", 1, id="a statement"),
        pytest.param("toy.look()", 1, id="a declaration that reads"),
        pytest.param("toy.assigned()", 2, id="an assignment from a volatile function, and what that does"),
        pytest.param("toy.chosen()", 1, id="a condition that reads"),
        pytest.param("toy.looped()", 6, id="each turn of a loop"),
        pytest.param("public.tick()", 1, id="no statement of another schema"),
    ],
)  # fmt: skip
def test_every_statement_that_reads_or_writes_is_a_step(
    turnstile: Turnstile, function: str, steps: int
) -> None:
    assert turnstile.steps(call(function)) == steps
    assert turnstile.steps(call(function)) == steps


def test_a_call_stands_still_while_the_other_runs(turnstile: Turnstile) -> None:
    works = [call("toy.lost_update('a')"), call("toy.lost_update('a')")]

    played = turnstile.play(works, (Turn(0, 2), Turn(1), Turn(0)))

    assert played.answers == [0, 0]
    assert not played.blocked
    assert counters(turnstile) == [(1,), (0,)]


def test_calls_that_are_not_interrupted_lose_nothing(turnstile: Turnstile) -> None:
    works = [call("toy.lost_update('a')"), call("toy.lost_update('a')")]

    played = turnstile.play(works, (Turn(1), Turn(0)))

    assert played.answers == [1, 0]
    assert counters(turnstile) == [(2,), (0,)]


def test_a_call_that_another_blocks_goes_on_when_that_ends(turnstile: Turnstile) -> None:
    works = [call("toy.both('a', 'b')"), call("toy.lost_update('a')")]

    played = turnstile.play(works, (Turn(0, 2), Turn(1), Turn(0)))

    assert played.answers == [0, 0]
    assert played.blocked


def test_a_deadlock_is_the_answer_of_one_of_them(turnstile: Turnstile) -> None:
    works = [call("toy.both('a', 'b')"), call("toy.both('b', 'a')")]

    played = turnstile.play(works, (Turn(0, 2), Turn(1, 2), Turn(0), Turn(1)))

    assert sorted(type(answer).__name__ for answer in played.answers) == ["DeadlockDetected", "int"]


def test_a_step_fails_with_the_code_that_is_asked_for(
    turnstile: Turnstile, engine_url: str, library: Path
) -> None:
    with psycopg.connect(engine_url, autocommit=True) as session:
        load(session, library)
        session.execute(
            "set plgate.schema = 'toy'; set plgate.fail_at = 5; set plgate.fail_state = '53100'"
        )

        with pytest.raises(psycopg.errors.DiskFull, match="step 5"):
            session.execute("select toy.looped()")

    assert counters(turnstile) == [(0,), (0,)]
