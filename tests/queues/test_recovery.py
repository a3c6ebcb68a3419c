"""What a dead process leaves behind: its work keeps its place, its places are free, poison costs the others little."""

from __future__ import annotations

import json

from tests.queues import arena
from tests.queues.arena import Session, claim, enqueue, finish, leave, register, request


def tick(session: Session, executor_id: int) -> None:
    arena.call(session, "select 1 from pyengine.tick_executor(executor_id => %s)", executor_id)


def test_the_work_of_a_dead_process_is_claimed_first_again(sql: Session) -> None:
    arena.queue(sql, "pair", concurrency=2)
    enqueue(sql, *(request("pair", name) for name in "abcd"))
    dead, alive = register(sql), register(sql)
    assert [i for i, _ in claim(sql, dead)] == ["a", "b"]
    assert claim(sql, alive) == []

    leave(sql, dead)

    assert [i for i, _ in claim(sql, alive)] == ["a", "b"]


def test_places_are_free_in_the_commit_that_declares_their_process_dead(sql: Session) -> None:
    arena.queue(sql, "pair", concurrency=2)
    enqueue(sql, *(request("pair", name) for name in "abcd"))
    dead, alive = register(sql), register(sql)
    claim(sql, dead)
    sql.execute(
        "update pyengine.executors set heartbeat_at = now() - interval '1 hour', "
        "lease_duration = interval '1 microsecond' where executor_id = %s",
        [dead],
    )

    tick(sql, alive)

    running = "select count(*) from pyengine.workflows where status = 'PENDING'"
    assert sql.execute(running).fetchone() == (0,)
    assert [i for i, _ in claim(sql, alive)] == ["a", "b"]


def test_a_retry_keeps_its_place_in_its_key(sql: Session) -> None:
    arena.queue(sql, "keyed", partition_concurrency=1)
    enqueue(sql, *(request("keyed", name, partition_key="k") for name in "abc"))
    dead, alive = register(sql), register(sql)
    claim(sql, dead)
    order = []

    leave(sql, dead)
    while claimed := claim(sql, alive):
        order += [workflow_id for workflow_id, _ in claimed]
        if len(order) == 1:
            arena.release(sql, *claimed)
        else:
            finish(sql, *claimed)

    assert order == ["a", "a", "b", "c"]


def test_a_claim_whose_reply_was_lost_is_repeated_without_taking_more_places(sql: Session) -> None:
    arena.queue(sql, "pair", concurrency=2)
    enqueue(sql, *(request("pair", name) for name in "abcd"))
    text = """select workflow_id from pyengine.claim_workflows(
        executor_id => %s, lease_token => '00000000-0000-0000-0000-000000000001', claim_limit => 1)"""
    executor = register(sql)

    first = sql.execute(text, [executor]).fetchall()

    assert sql.execute(text, [executor]).fetchall() == first == [("a",)]


def test_poison_lets_the_others_pass_and_is_dead_lettered(sql: Session) -> None:
    arena.queue(sql, "single", concurrency=1)
    enqueue(sql, request("single", "poison", max_attempts=4), *(request("single", n) for n in "ab"))
    hurry = "update pyengine.workflows set delayed_until = now() where status = 'DELAYED'"
    for _ in range(3):
        leave(sql, _claimed_by_one_that_dies(sql))
    alive = register(sql)

    passed = []
    for _ in range(2):
        claimed = claim(sql, alive)
        passed += [workflow_id for workflow_id, _ in claimed]
        finish(sql, *claimed)
    waiting = arena.status(sql, "poison")
    sql.execute(hurry)
    leave(sql, _claimed_by_one_that_dies(sql))
    sql.execute(hurry)

    assert (passed, waiting) == (["a", "b"], "DELAYED")
    assert claim(sql, alive) == []
    assert arena.status(sql, "poison") == "MAX_RECOVERY_ATTEMPTS_EXCEEDED"


def test_a_dead_letter_can_be_resumed_with_fresh_attempts(sql: Session) -> None:
    arena.queue(sql, "single", concurrency=1)
    enqueue(sql, request("single", "poison", max_attempts=1), request("single", "next"))
    leave(sql, _claimed_by_one_that_dies(sql))
    alive = register(sql)
    claimed = claim(sql, alive, 1) or claim(sql, alive, 1)
    assert [workflow_id for workflow_id, _ in claimed] == ["next"]
    assert arena.status(sql, "poison") == "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
    finish(sql, *claimed)

    arena.call(sql, "select pyengine.resume_workflows(array['poison'], 'single')")

    assert [workflow_id for workflow_id, _ in claim(sql, alive)] == ["poison"]


def _claimed_by_one_that_dies(session: Session) -> int:
    executor = register(session)
    assert len(claim(session, executor, 1)) == 1
    return executor


def test_a_lease_and_a_queue_exclude_each_other(sql: Session) -> None:
    arena.queue(sql, "single", concurrency=1)
    document = request("single", lease_token="00000000-0000-0000-0000-000000000001")

    text = "select refusal from pyengine.start_workflows(requests => %s, executor_id => %s)"
    assert arena.call(sql, text, json.dumps([document]), register(sql)) == [("PE400",)]
