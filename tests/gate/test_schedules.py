"""Schedules: the same from the same seed, each once, the simplest first."""

from __future__ import annotations

import itertools

from tests.gate.schedules import Schedule, Turn, generate


def first(count: int, *steps: int, seed: str = "seed") -> list[Schedule]:
    return list(itertools.islice(generate(steps, seed), count))


def preemptions(schedule: Schedule) -> int:
    return sum(turn.until is not None for turn in schedule)


def test_the_same_seed_gives_the_same_schedules() -> None:
    assert first(500, 9, 12) == first(500, 9, 12)
    assert first(100, 9, 12) != first(100, 9, 12, seed="another")


def test_no_schedule_comes_twice() -> None:
    schedules = first(500, 9, 12)

    assert len(set(schedules)) == 500


def test_every_preemption_comes_among_the_first() -> None:
    simple = {schedule for schedule in first(28, 9, 12) if preemptions(schedule) == 1}

    assert simple == {(Turn(0, n), Turn(1), Turn(0)) for n in range(1, 10)} | {
        (Turn(1, n), Turn(0), Turn(1)) for n in range(1, 13)
    }


def test_some_have_more_preemptions() -> None:
    assert {preemptions(schedule) for schedule in first(200, 20, 20)} >= {1, 2, 3, 4}


def test_calls_of_few_steps_have_few_schedules() -> None:
    assert 2 < len(first(10_000, 1, 1)) < 10
    assert first(10, 0, 0) == []


def test_every_call_comes_to_its_end_in_turns_that_go_forward() -> None:
    for schedule in first(300, 5, 7, 9):
        for who in range(3):
            stops = [turn.until for turn in schedule if turn.who == who]
            assert stops[-1] is None
            assert stops[:-1] == sorted(stop for stop in stops if stop is not None)
