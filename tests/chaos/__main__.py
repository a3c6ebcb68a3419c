"""Run campaigns: `python -m tests.chaos [CAMPAIGN ...] --seed N --minutes M`; without a name all of them."""

from __future__ import annotations

import argparse
import random
import sys

from tests.chaos.campaign import claims, cron, piles
from tests.chaos.campaign.faults import CAMPAIGNS
from tests.chaos.campaign.report import Report
from tests.chaos.campaign.runner import run

_OTHERS = (claims.NAME, piles.NAME, cron.NAME)


def main() -> None:
    """Print a line for each, and what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "campaigns", nargs="*", choices=[[], *CAMPAIGNS, *_OTHERS], metavar="CAMPAIGN"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=1.0, help="of faults, for each")
    parser.add_argument("--years", type=int, default=10, help="of virtual time, of cron")
    parser.add_argument("--pace", type=float, default=1.0, help="faults so many times as often")
    parser.add_argument("--workers", type=int, default=None, help="worker processes")
    given = parser.parse_args()
    failed = []
    for name in given.campaigns or [*CAMPAIGNS, *_OTHERS]:
        report = _run(name, given)
        print(report.line(), flush=True)
        for check, rows in report.violations.items():
            print(f"  VIOLATED {check}: {rows[:3]}", flush=True)
        if report.missed:
            print(f"  never happened: {', '.join(report.missed)}", flush=True)
        if not report.passed:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _run(name: str, given: argparse.Namespace) -> Report:
    seconds = given.minutes * 60
    if name == claims.NAME:
        return claims.run(given.seed, seconds)
    if name == piles.NAME:
        return piles.run(given.seed, seconds)
    if name == cron.NAME:
        return cron.run(given.seed, given.years)
    return run(name, given.seed, seconds, pace=given.pace, workers=given.workers)


if __name__ == "__main__":
    main()
