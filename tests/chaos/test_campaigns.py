"""Each campaign, for a few seconds: `make chaos` runs them as long as you like."""

from __future__ import annotations

import os

import pytest

from tests.chaos.campaign import cron, piles, workload
from tests.chaos.campaign.faults import CAMPAIGNS
from tests.chaos.campaign.runner import run

PROGRAMS = (workload,)
SECONDS = {"zombies": 9.0, "half-open": 16.0, "failovers": 8.0, "server-kills": 8.0}


@pytest.mark.campaign
@pytest.mark.chaos
@pytest.mark.parametrize("name", list(CAMPAIGNS))
def test_every_promise_holds_under(name: str) -> None:
    seed = int(os.environ.get("SEED", "1"))

    report = run(name, seed, SECONDS.get(name, 5.0))

    print(report.line())
    assert report.violations == {}
    assert report.missed == []
    assert not report.files


@pytest.mark.campaign
@pytest.mark.chaos
def test_no_functions_wait_for_each_other_in_a_circle() -> None:
    report = piles.run(int(os.environ.get("SEED", "1")), 8.0)

    print(report.line())
    assert report.violations == {}
    assert report.missed == []


@pytest.mark.slow
@pytest.mark.chaos
def test_each_tick_of_a_year_is_fired_once() -> None:
    report = cron.run(seed=int(os.environ.get("SEED", "1")), years=1)

    print(report.line())
    assert report.violations == {}
    assert report.missed == []
