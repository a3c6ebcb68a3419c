"""Runs a campaign from its seed and says what came of it."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from tests.chaos.campaign.checks import CHECKS, CLAIMS, SOMETIMES
from tests.chaos.campaign.faults import CAMPAIGNS, Campaign
from tests.chaos.campaign.report import Report
from tests.chaos.campaign.stage import Stage

PATIENCE_SECONDS = 45.0


def run(
    name: str, seed: int, seconds: float, *, pace: float = 1.0, workers: int | None = None
) -> Report:
    """Run a campaign for so long, and check everything.

    The pauses between faults are `pace` times shorter. `workers` is how many processes there are, by default as many as
    the campaign has.
    """
    campaign = CAMPAIGNS[name]()
    campaign.workers = workers or campaign.workers
    campaign.pause = (campaign.pause[0] / pace, campaign.pause[1] / pace)
    directory = Path(tempfile.mkdtemp(prefix="pyengine-chaos-"))
    try:
        with Stage(campaign, seed, directory) as stage:
            return _play(campaign, stage, Report(name, campaign.fault, seed), seconds)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _play(campaign: Campaign, stage: Stage, report: Report, seconds: float) -> Report:
    stage.begin()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(stage.rng.uniform(*campaign.pause))
        campaign.disturb(stage)
        stage.fleet.replace_dead()
        report.faults += 1
    campaign.calm(stage)
    stage.clients.stop()
    report.settled = stage.settle(PATIENCE_SECONDS)
    report.kills, report.deaths = stage.fleet.kills, stage.fleet.deaths
    report.files = stage.node.check_files()
    _judge(campaign, stage, report)
    return report


def _judge(campaign: Campaign, stage: Stage, report: Report) -> None:
    verified = stage.gather()
    archive = stage.archive
    report.violations = archive.violations(CHECKS)
    if verified:
        report.violations["verify"] = verified
    report.count_deadlocks(stage.deadlocks)
    report.ops = archive.count("select count(*) from led.op")
    report.claims = archive.count(CLAIMS)
    report.workflows = archive.count("select count(*) from pyengine.workflows")
    report.transfers = archive.count("select count(*) from public.business")
    report.stuck = archive.count(
        "select count(*) from pyengine.workflows where finished_at is null"
    )
    report.worst = float(
        archive.session.execute(
            "select coalesce(max(extract(epoch from finished_at - created_at)), 0) from pyengine.workflows"
        ).fetchall()[0][0]
    )
    report.sometimes = {name: archive.count(query) for name, query in SOMETIMES.items()}
    report.sometimes.update(campaign.figures)
    report.sometimes["deadlock with a stranger"] = report.with_strangers
    report.missed = [name for name in campaign.sometimes if not report.sometimes[name]]
