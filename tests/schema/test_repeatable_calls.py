"""Whoever adds a function that writes says how it is called a second time, when its reply was lost."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.races.scenarios import SCENARIOS

WRITERS = """
    select p.proname from pg_proc p
    where p.pronamespace = 'pyengine'::regnamespace and p.provolatile = 'v' and not starts_with(p.proname, '_')
        and obj_description(p.oid, 'pg_proc') ~ 'Role: (client|worker|admin)\\.$'
"""


def test_every_function_that_writes_is_called_twice(sql: psycopg.Connection[Any]) -> None:
    writers = {name for (name,) in sql.execute(WRITERS.encode())}

    assert writers - SCENARIOS.keys() == set(), (
        "say in SCENARIOS of tests/races/test_repeated_calls.py how it is called a second time"
    )
    assert SCENARIOS.keys() - writers == set()
