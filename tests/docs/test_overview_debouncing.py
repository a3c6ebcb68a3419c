"""The overview's debouncing example, with only the import changed."""

from __future__ import annotations

import psycopg
import pytest

from pyengine import DBOS, Debouncer


@DBOS.workflow()
def process_user_input(user_id: str, final_input: str) -> str:
    return f"Processing: {final_input}"


debouncer = Debouncer.create(process_user_input)


def on_user_keystroke(user_id: str, current_input: str) -> None:
    # The overview leaves out the user's id, which the workflow takes too.
    debouncer.debounce(user_id, 60, current_input)  # type: ignore[call-arg]


def on_user_keystroke_with_both_arguments(user_id: str, current_input: str) -> None:
    debouncer.debounce(user_id, 60, user_id, current_input)


def the_one_workflow() -> str:
    (workflow,) = DBOS.list_workflows()
    return workflow.workflow_id


def test_keystrokes_are_one_workflow_with_the_last_input(dbos: type[DBOS]) -> None:
    for typed in ("d", "du", "durable"):
        on_user_keystroke_with_both_arguments("ada", typed)
    workflow_id = the_one_workflow()

    DBOS.set_workflow_delay(workflow_id, delay_seconds=0)

    assert DBOS.retrieve_workflow(workflow_id).get_result() == "Processing: durable"


def test_the_example_as_it_is_passes_the_workflow_one_argument(
    dbos: type[DBOS], sql: psycopg.Connection[object]
) -> None:
    on_user_keystroke("ada", "durable")
    workflow_id = the_one_workflow()
    DBOS.set_workflow_delay(workflow_id, delay_seconds=0)

    with pytest.raises(TypeError, match="final_input"):
        DBOS.retrieve_workflow(workflow_id).get_result()
