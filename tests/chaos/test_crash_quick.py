"""A process that is killed, and the one that carries on."""

from __future__ import annotations

import pytest

from tests.chaos.rig import Rig


@pytest.mark.parametrize("workflow", ["gated_step", "gated_step_async"])
def test_a_killed_process_is_carried_on_by_its_restart(rig: Rig, workflow: str) -> None:
    first = rig.worker()
    first.send("start", "w", workflow, 5)
    first.expect("reached", "w", "in step")
    first.kill()

    second = rig.worker()
    second.send("open", "in step")
    second.send("result", "w")

    assert second.expect("result", "w") == ("result", "w", (5 * 3 + 1) * 3 + 3)
    assert rig.ledger.effects_of("w") == {"plain 1": 1, "in step": 2, "plain 3": 1}
