"""Runs a campaign from its seed and says what came of it."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.campaign.checks import CHECKS, CLAIMS, SOMETIMES
from tests.chaos.campaign.faults import CAMPAIGNS, Campaign
from tests.chaos.campaign.stage import Stage

PATIENCE_SECONDS = 45.0


@dataclass
class Report:
    """What a campaign came to. It has passed when nothing is violated or missed."""

    campaign: str
    fault: str
    seed: int
    ops: int = 0
    faults: int = 0
    kills: int = 0
    deaths: int = 0
    claims: int = 0
    workflows: int = 0
    transfers: int = 0
    settled: float = 0.0
    worst: float = 0.0
    stuck: int = 0
    sometimes: dict[str, int] = field(default_factory=dict)
    violations: dict[str, list[Any]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    files: str | None = None

    @property
    def passed(self) -> bool:
        return not self.violations and not self.missed and not self.files

    def line(self) -> str:
        """Everything on one line."""
        sometimes = " ".join(f"{name}={count}" for name, count in self.sometimes.items() if count)
        return (
            f"{self.fault} {self.campaign} seed={self.seed} ops={self.ops} faults={self.faults} "
            f"violations={sum(map(len, self.violations.values()))} worst-latency={self.worst:.1f}s "
            f"kills={self.kills} deaths={self.deaths} workflows={self.workflows} limited-claims={self.claims} "
            f"transactions={self.transfers} stuck={self.stuck} settled={self.settled:.1f}s "
            f"files={'not checked' if self.files is None else self.files or 'sound'} [{sometimes}]"
        )


def run(name: str, seed: int, seconds: float) -> Report:
    """Run a campaign for so long, and check everything."""
    campaign = CAMPAIGNS[name]()
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
    report.missed = [name for name in campaign.sometimes if not report.sometimes[name]]
