"""Run campaigns: `python -m tests.chaos [CAMPAIGN ...] --seed N --minutes M`; without a name all of them."""

from __future__ import annotations

import argparse
import random
import sys

from tests.chaos.campaign.faults import CAMPAIGNS
from tests.chaos.campaign.runner import run


def main() -> None:
    """Print a line for each, and what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("campaigns", nargs="*", choices=[[], *CAMPAIGNS], metavar="CAMPAIGN")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=1.0, help="of faults, for each")
    given = parser.parse_args()
    failed = []
    for name in given.campaigns or CAMPAIGNS:
        report = run(name, given.seed, given.minutes * 60)
        print(report.line(), flush=True)
        for check, rows in report.violations.items():
            print(f"  VIOLATED {check}: {rows[:3]}", flush=True)
        if report.missed:
            print(f"  never happened: {', '.join(report.missed)}", flush=True)
        if not report.passed:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
