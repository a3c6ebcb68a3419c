"""What a client or worker should never send: it is refused with a code, or stored as it is, and hurts nobody else."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest

from pyengine import DBOS

Connection = psycopg.Connection[Any]


@DBOS.workflow()
def echo(value: Any) -> Any:
    return value


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


def code_of(sql: Connection, query: str, *arguments: Any) -> str | None:
    """The code of a refusal; None when there is none."""
    try:
        sql.execute(query.encode(), arguments)
    except psycopg.Error as error:
        return error.sqlstate
    return None


TEXTS = [
    "'; drop table pyengine.workflows; --",
    '"',
    "$$",
    "\\",
    "%s %I",
    "a::b",
    "../..",
    "<script>alert(1)</script>",
    "line\nbreak\ttab",
    "\x1b[31mred",
    "\u202eright to left",
    "e\u0301",
    "\u00e9",
    "\U0001f600" * 10,
    "x" * 512,
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_stored_and_compared_as_they_are(sql: Connection, text: str) -> None:
    sql.execute(
        """select pyengine.enqueue_workflow(workflow_name => %(t)s, queue_name => left(%(t)s, 60), workflow_id => %(t)s,
            class_name => %(t)s, config_name => %(t)s, app_version => %(t)s, deduplication_id => %(t)s,
            queue_partition_key => %(t)s, authenticated_user => %(t)s, application_name => %(t)s,
            authenticated_roles => json_build_array(%(t)s::text)::text,
            attributes => jsonb_build_object(%(t)s::text, 1))""",
        {"t": text},
    )
    sql.execute(
        "select pyengine.send_message(%(t)s, to_json(%(t)s::text), %(t)s, %(t)s)", {"t": text}
    )

    found = sql.execute(
        """select workflow_id, name, class_name, partition_key, authenticated_roles, attributes
        from pyengine.list_workflows(workflow_ids => array[%(t)s], names => array[%(t)s], id_prefixes => array[%(t)s],
            attributes => jsonb_build_object(%(t)s::text, 1))""",
        {"t": text},
    ).fetchall()
    assert found == [(text, text, text, text, [text], {text: 1})]
    assert sql.execute("select topic, message from pyengine.messages").fetchall() == [(text, text)]


def test_ids_that_only_look_alike_are_different(sql: Connection) -> None:
    for text in ("e\u0301", "\u00e9", "E", "e", " e", "e "):
        sql.execute("select pyengine.start_workflow('f', workflow_id => %s)", [text])

    assert sql.execute("select count(*) from pyengine.workflows").fetchone() == (6,)


@pytest.mark.parametrize(
    ("argument", "limit"),
    [
        ("workflow_id", 512),
        ("workflow_name", 512),
        ("class_name", 512),
        ("config_name", 512),
        ("queue_name", 255),
        ("deduplication_id", 512),
        ("queue_partition_key", 512),
    ],
)
def test_a_text_has_a_longest_length_in_bytes(sql: Connection, argument: str, limit: int) -> None:
    given = {"workflow_name": "f", "queue_name": "q"}

    def enqueue(value: str) -> str | None:
        arguments = {**given, argument: value}
        names = ", ".join(f"{name} => %s" for name in arguments)
        return code_of(sql, f"select pyengine.enqueue_workflow({names})", *arguments.values())

    assert enqueue("\u00e9" * (limit // 2)) is None
    assert enqueue("\u00e9" * (limit // 2 + 1)) == "PE400"
    assert sql.execute("select count(*) from pyengine.workflows").fetchone() == (1,)


PAYLOADS = {
    "enqueue_workflow": "select pyengine.enqueue_workflow('f', 'q', array[%s::json])",
    "start_workflow": "select pyengine.start_workflow('f', array[%s::json])",
    "send_message": "select pyengine.send_message('receiver', %s::json)",
}


def test_a_payload_of_exactly_the_limit_is_accepted_and_a_byte_more_is_not(sql: Connection) -> None:
    sql.execute("select pyengine.start_workflow('f', workflow_id => 'receiver')")
    longest = (1 << 20) - len('""')

    assert code_of(sql, PAYLOADS["send_message"], json.dumps("x" * longest)) is None
    assert code_of(sql, PAYLOADS["send_message"], json.dumps("x" * (longest + 1))) == "PE413"


@pytest.mark.parametrize("call", PAYLOADS.values(), ids=PAYLOADS)
def test_payloads_beyond_the_limits_are_refused(sql: Connection, call: str) -> None:
    sql.execute("select pyengine.start_workflow('f', workflow_id => 'receiver')")
    pair = '"[{", ' * 2000

    assert code_of(sql, call, json.dumps("x" * 1_000_000)) is None
    assert code_of(sql, call, json.dumps("x" * 1_050_000)) == "PE413"
    assert code_of(sql, call, deep(490)) is None
    assert code_of(sql, call, deep(510)) == "PE413"
    assert code_of(sql, call, '{"a":' * 510 + "1" + "}" * 510) == "PE413"
    assert code_of(sql, call, "[" + "[]," * 3000 + "[]]") is None
    assert code_of(sql, call, f'[{pair}"\\"[{{[{{"]') is None
    assert code_of(sql, call, deep(400_000)) in {"PE413", "54001"}
    assert sql.execute(
        "select count(*) from pyengine.workflows where length(inputs::text) > 1000100"
    ).fetchone() == (0,)


@pytest.mark.parametrize(
    "text",
    [
        "1e400",
        "-0.0",
        "1180591620717411303424",
        '{"a": 1, "a": 2}',
        '{"$type": "no.such:Class", "value": 1}',
        '{"$type": 3}',
        deep(480),
    ],
    ids=lambda text: text[:20],
)
def test_a_workflow_of_any_json_ends_and_the_next_one_runs(
    dbos: type[DBOS], sql: Connection, text: str
) -> None:
    start = "select pyengine.start_workflow('echo', array[%s::json], workflow_id => %s)"
    sql.execute(start, [text, "odd"])
    sql.execute(start, ["1", "plain"])

    query = "select status from pyengine.await_workflow(%s, 20)"
    assert sql.execute(query, ["plain"]).fetchall() == [("SUCCESS",)]
    ((status,),) = sql.execute(query, ["odd"]).fetchall()
    assert status in {"SUCCESS", "ERROR"}


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udc00\\ud800"', '{"\\u0000": 1}'])
@pytest.mark.parametrize("call", PAYLOADS.values(), ids=PAYLOADS)
def test_texts_that_postgresql_can_not_hold_are_refused_before_anything_is_stored(
    sql: Connection, call: str, text: str
) -> None:
    sql.execute("select pyengine.start_workflow('f', workflow_id => 'receiver')")

    assert code_of(sql, call, text) in {"22P02", "22P05"}
    assert sql.execute("select count(*) from pyengine.workflows").fetchone() == (1,)
    assert sql.execute("select count(*) from pyengine.messages").fetchone() == (0,)


@pytest.mark.parametrize(
    "change",
    [
        {"channel": "c" * 64},
        {"channel": ""},
        {"channel": None},
        {"name": ""},
        {"name": None},
        {"functions": None},
        {"functions": [None]},
        {"lease_seconds": 0},
        {"lease_seconds": float("nan")},
        {"lease_seconds": 1e300},
        {"application_name": " "},
        {"application_version": None},
    ],
    ids=str,
)
def test_a_registration_that_makes_no_sense_is_refused(
    sql: Connection, change: dict[str, Any]
) -> None:
    assert code_of(sql, *registration(**change)) == "PE400"
    assert sql.execute("select count(*) from pyengine.executors").fetchone() == (0,)


def registration(**change: Any) -> tuple[Any, ...]:
    arguments = {
        "name": "one",
        "application_name": "app",
        "application_version": "app-1",
        "version_is_pinned": False,
        "functions": ["f"],
        "channel": "one",
        "lease_seconds": 60,
        **change,
    }
    names = ", ".join(f"{name} => %s" for name in arguments)
    return (f"select pyengine.register_executor({names})", *arguments.values())


@pytest.mark.parametrize("channel", ["c" * 64, "\u00e9" * 32, ""])
def test_a_channel_that_notify_refuses_can_not_wait_and_break_who_would_wake_it(
    sql: Connection, channel: str
) -> None:
    sql.execute("select pyengine.start_workflow('f', workflow_id => 'w')")

    assert code_of(sql, "select pyengine.await_workflows('{w}', %s)", channel) == "PE400"
    assert code_of(sql, "select pyengine.find_event('w', 'k', %s)", channel) == "PE400"
    assert sql.execute("select pyengine.cancel_workflow('w')").fetchone() == (True,)


@pytest.mark.parametrize("milliseconds", [-1.0, -1e300, 1e300, float("inf"), float("nan")])
def test_a_wait_of_any_length_has_an_end_that_the_calendar_knows(
    sql: Connection, milliseconds: float
) -> None:
    query, *arguments = registration()
    row = sql.execute(query, arguments).fetchone()
    assert row is not None
    sql.execute("select pyengine.start_workflow('f', workflow_id => 'w')")
    token = str(uuid.uuid4())
    sql.execute("select pyengine.claim_workflows(%s, %s, 1)", [row[0], token])

    left = sql.execute(
        "select pyengine.sleep_until('w', %s, 1, %s)", [token, milliseconds]
    ).fetchone()

    assert left is not None
    assert left[0] == 0 if milliseconds < 0 else left[0] > 3e12


@pytest.mark.parametrize("claim_limit", [0, -1, None, 2_000_000_000])
def test_a_claim_has_a_limit(sql: Connection, claim_limit: int | None) -> None:
    call = "select pyengine.claim_workflows(1, gen_random_uuid(), %s)"

    assert code_of(sql, call, claim_limit) == "PE400"


def test_no_refusal_shows_a_payload(sql: Connection) -> None:
    secret = "canary-4711"
    calls = [
        "select pyengine.enqueue_workflow('f', null, array[to_json(%s::text)])",
        "select pyengine.enqueue_workflow('f', 'q', array[to_json(repeat(%s, 200000))])",
        "select pyengine.enqueue_workflow('f', 'q', named_args => to_json(%s::text))",
        "select pyengine.send_message('nobody', to_json(%s::text))",
        "select pyengine.send_message('nobody', to_json(repeat(%s, 200000)))",
    ]
    for call in calls:
        with pytest.raises(psycopg.Error) as caught:
            sql.execute(call.encode(), [secret])
        diagnostics = caught.value.diag
        shown = (diagnostics.message_primary, diagnostics.message_detail, diagnostics.message_hint)
        assert secret not in str(shown)
