"""The campaigns count deadlocks: out of the log, so that none is forgotten when the server is killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import psycopg
import pytest

from tests.chaos.campaign.deadlocks import CHECK, STRANGER, Deadlocks
from tests.chaos.campaign.node import Node
from tests.chaos.campaign.report import Report
from tests.chaos.campaign.stage import admin
from tests.fix_server import server_directory

pytestmark = [pytest.mark.campaign, pytest.mark.chaos]

# Of several lines, as the engine's statements are.
LOCK = """select public.hold(
    number => %s)"""


@pytest.fixture
def node() -> Iterator[Node]:
    """A server with two rows, and a function that locks one of them."""
    directory = server_directory()
    made = Node(directory / "one", {"deadlock_timeout": "20ms"}).create()
    with admin(made) as session:
        session.execute("create table public.rows as select n from generate_series(1, 2) n")
        session.execute(
            "create function public.hold(number int) returns void language plpgsql as "
            "$$ begin perform 1 from public.rows r where r.n = number for update; end $$"
        )
    yield made
    made.kill()
    shutil.rmtree(directory)


def lock_in_a_circle(node: Node, *statements: str) -> None:
    """Two transactions that lock the two rows in different orders, each with its statement."""
    barrier = Barrier(2)

    def lock(statement: str, order: tuple[int, int]) -> None:
        gives_way = suppress(psycopg.errors.DeadlockDetected)
        with gives_way, admin(node) as session, session.transaction():
            session.execute(statement.encode(), [order[0]])
            barrier.wait(10)
            session.execute(statement.encode(), [order[1]])

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lock, statements, [(1, 2), (2, 1)]))


def found(node: Node) -> Report:
    """The report of a campaign on this server."""
    deadlocks = Deadlocks()
    deadlocks.read([node.log])
    report = Report("planted", "F-0", 1)
    report.count_deadlocks(deadlocks)
    return report


def test_a_campaign_without_deadlocks_says_so_and_passes(node: Node) -> None:
    report = found(node)

    assert report.passed
    assert " deadlocks=0 " in report.line()


def test_a_campaign_in_which_functions_met_in_a_circle_has_failed(node: Node) -> None:
    lock_in_a_circle(node, LOCK, LOCK)

    report = found(node)

    assert not report.passed
    assert " deadlocks=1 " in report.line()
    ((detail,),) = report.violations.values()
    assert list(report.violations) == [CHECK]
    assert detail.count("select public.hold(") == 2


def test_a_deadlock_that_a_stranger_took_part_in_is_counted_apart(node: Node) -> None:
    lock_in_a_circle(node, LOCK, f"{STRANGER} {LOCK}")

    report = found(node)

    assert report.passed
    assert (report.deadlocks, report.with_strangers) == (0, 1)


def test_the_death_of_a_server_makes_no_deadlock_forgotten(node: Node) -> None:
    lock_in_a_circle(node, LOCK, LOCK)
    node.kill()
    node.start()
    lock_in_a_circle(node, LOCK, LOCK)

    assert found(node).deadlocks == 2
