"""Claims, as many as the database can do: sessions that claim in batches from queues with every kind of limit.

No process of the engine takes part. The history is written by triggers and checked after each round, so that a round
stays small however long this goes on.
"""

from __future__ import annotations

import shutil
import time
from typing import Any

import psycopg

from pyengine import schema
from tests.chaos.campaign.checks import CLAIMS
from tests.chaos.campaign.deadlocks import Deadlocks
from tests.chaos.campaign.report import Report
from tests.fix_server import PrivateServer, server_directory
from tests.queues import history
from tests.queues.arena import Arena

NAME = "claims"
CLAIMS_OF_A_ROUND = 20_000
SOMETIMES = ("rounds", "deaths", "hibernated", "refused because the queue is full")


def run(seed: int, seconds: float) -> Report:
    """Play rounds for so long, and check each."""
    directory = server_directory()
    settings = {"track_commit_timestamp": "on", "fsync": "off", "autovacuum_naptime": "5s"}
    server = PrivateServer(directory / "server", settings)
    report = Report(NAME, "I-17 I-18 I-19", seed, sometimes=dict.fromkeys(SOMETIMES, 0))
    try:
        until = time.monotonic() + seconds
        with psycopg.connect(server.url(), autocommit=True) as session:
            schema.migrate(session)
            history.install(session)
            while time.monotonic() < until and not report.violations:
                _round(server.url(), session, seed + report.sometimes["rounds"], report)
        deadlocks = Deadlocks()
        deadlocks.read((server.root / "log").glob("*.log"))
        report.count_deadlocks(deadlocks)
    finally:
        server.close()
        shutil.rmtree(directory, ignore_errors=True)
    report.missed = [name for name in SOMETIMES if not report.sometimes[name]]
    return report


def _round(url: str, session: psycopg.Connection[Any], seed: int, report: Report) -> None:
    schema.reset(session, truncate=True)
    history.forget(session)
    arena = Arena(url, seed=seed)
    arena.run(CLAIMS_OF_A_ROUND)
    report.violations = history.violations(session)
    report.claims += _count(session, CLAIMS)
    report.workflows += _count(session, "select count(*) from pyengine.workflows")
    report.deaths += arena.deaths
    report.faults += arena.deaths
    for name, count in zip(
        SOMETIMES, (1, arena.deaths, arena.hibernations, arena.refusals), strict=True
    ):
        report.sometimes[name] += count


def _count(session: psycopg.Connection[Any], query: str) -> int:
    return int(session.execute(query.encode()).fetchall()[0][0])
