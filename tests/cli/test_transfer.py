"""pyengine verify, and workflows as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Process, Run, Session


def test_a_healthy_engine_is_verified(run: Run, sql: Session, enqueue: Callable[..., None]) -> None:
    enqueue("w")

    assert run("verify") == (0, "", "all invariants hold\n")
    assert run("verify", "--deep", "--json").json == []


def test_a_broken_invariant_is_exit_status_4(
    run: Run, sql: Session, process: Process, enqueue: Callable[..., None]
) -> None:
    enqueue("w")
    process.claim()
    sql.execute("delete from pyengine.executors")

    done = run("verify")

    assert done.status == 4
    assert done.out.splitlines()[0].split() == ["INVARIANT", "WORKFLOW_ID", "DETAIL"]
    assert run("verify", "--json").json[0]["workflow_id"] == "w"


def test_a_workflow_is_exported_deleted_and_imported(
    run: Run, sql: Session, process: Process, enqueue: Callable[..., None], tmp_path: Path
) -> None:
    enqueue("w")
    token = process.claim()
    process.record("w", token, 1, output={"n": 1})
    process.finish("w", token, output=2)
    file = tmp_path / "w.json"

    assert run("workflow", "export", "w", "-o", str(file)) == (0, "", "")
    assert run("workflow", "export", "w").json["workflows"]
    run("workflow", "delete", "w", "-y")
    assert run("workflow", "import", str(file)).out == "w\n"

    assert run("workflow", "get", "w", "--json", "--payloads").json["output"] == 2
    assert len(run("workflow", "steps", "w", "--json").json) == 1
    assert run("workflow", "import", str(file)).out == "w\n", "the same file again changes nothing"
    assert run("workflow", "import", "--active", str(file)).status == 1
    assert run("workflow", "export", "nobody").status == 3


def test_what_is_no_export_is_refused(run: Run, sql: Session, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("not json")
    assert run("workflow", "import", str(file)).status == 2
    file.write_text('{"something": "else"}')
    assert run("workflow", "import", str(file)).status == 1
    assert run("workflow", "import", str(tmp_path / "absent")).status == 2
