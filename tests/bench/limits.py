"""The machine's own limits: pgbench calling a bare function that inserts a row, on one and on many connections."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg

CONNECTIONS = {"one": 1, "many": 32}
SECONDS = 2

_BARE = """
create schema if not exists bare;
create table if not exists bare.steps (
    workflow_id text collate "C", step_id bigint generated always as identity, output json,
    primary key (workflow_id, step_id)
);
create or replace function bare.record_step(workflow_id text, output json) returns void language plpgsql as $$
begin
    insert into bare.steps (workflow_id, output) values (record_step.workflow_id, record_step.output);
end $$;
"""
_SCRIPT = "select bare.record_step('workflow-' || :client_id, '1');\n"
CALL = "select bare.record_step($1::text, $2::json)"


def measure(url: str, bindir: Path, directory: Path) -> dict[str, float]:
    """Calls per second with one connection and with many."""
    with psycopg.connect(url, autocommit=True) as connection:
        prepare(connection)
    script = directory / "bare.sql"
    script.write_text(_SCRIPT, encoding="ascii")
    return {name: _pgbench(url, bindir, script, count) for name, count in CONNECTIONS.items()}


def prepare(session: psycopg.Connection[Any]) -> None:
    """Make the bare function."""
    session.execute(_BARE)


def _pgbench(url: str, bindir: Path, script: Path, connections: int) -> float:
    program = shutil.which("pgbench", path=str(bindir)) or shutil.which("pgbench")
    if program is None:
        raise FileNotFoundError(f"pgbench is neither in {bindir} nor on the PATH")
    arguments = ["-n", "-M", "prepared", "-c", str(connections), "-j", "2", "-T", str(SECONDS)]
    command = [program, *arguments, "-f", str(script), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"tps = ([\d.]+) \(without", output)
    assert found is not None, output
    return float(found[1])
