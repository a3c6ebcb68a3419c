"""What each error code of PostgreSQL becomes; a real server raises the errors of the engine."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors as driver
from psycopg import sql

from pyengine import errors


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    ("sqlstate", "policy", "cap"),
    [
        (None, "outage", 5),
        ("08006", "outage", 5),
        ("08P01", "outage", 5),
        ("57P01", "outage", 5),
        ("57P02", "outage", 5),
        ("57P03", "outage", 5),
        ("57P04", "outage", 5),
        ("57P05", "outage", 5),
        ("25006", "outage", 5),
        ("40003", "outage", 5),
        ("53100", "outage", 30),
        ("53300", "outage", 30),
        ("53400", "outage", 30),
        ("40001", "conflict", 5),
        ("40P01", "conflict", 5),
        ("55P03", "busy", 5),
        ("57014", "busy", 5),
        ("22P02", "fatal", 0),
        ("23505", "fatal", 0),
        ("25001", "fatal", 0),
        ("42501", "fatal", 0),
        ("54000", "fatal", 0),
        ("XX000", "fatal", 0),
        ("PE001", "fatal", 0),
        ("", "fatal", 0),
    ],
)
def test_each_code_has_one_policy(sqlstate: str | None, policy: str, cap: float) -> None:
    assert errors.retry_policy(sqlstate) == policy
    assert errors.retry_cap(sqlstate) == cap


@pytest.mark.parametrize("sqlstate", ["42501", "42P01", "3F000", "42883"])
def test_missing_grants_and_schemas_ask_for_an_operator(sqlstate: str) -> None:
    assert errors.is_schema_mismatch(sqlstate)
    assert not errors.is_schema_mismatch("40001")
    assert not errors.is_schema_mismatch(None)


@pytest.mark.parametrize(
    ("error", "policy"),
    [
        (psycopg.OperationalError("connection is closed"), "outage"),
        (psycopg.InterfaceError("connection is closed"), "outage"),
        (psycopg.ProgrammingError("wrong number of parameters"), "fatal"),
        (driver.SerializationFailure("x"), "conflict"),
        (driver.QueryCanceled("x"), "busy"),
        (driver.DiskFull("x"), "outage"),
    ],
)
def test_a_driver_error_without_a_code_is_an_outage_only_if_it_is_about_the_connection(
    error: psycopg.Error, policy: str
) -> None:
    assert errors.retry_policy_of(error) == policy


def raised(connection: psycopg.Connection, sqlstate: str, detail: str) -> BaseException:
    """Let the server raise an error as the engine's functions do, and translate it."""
    block = sql.SQL("do $$ begin raise 'said' using errcode = {}, detail = {}; end $$")
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(block.format(sqlstate, detail))
    return errors.translate(caught.value)


@pytest.mark.parametrize(
    ("sqlstate", "detail", "expected"),
    [
        ("PE001", '{"workflow_id": "w"}', errors.DBOSWorkflowConflictIDError("w")),
        (
            "PE002",
            '{"workflow_id": "w"}',
            errors.DBOSWorkflowCancelledError("Workflow w is cancelled. Aborting function."),
        ),
        ("PE002", "", errors.DBOSWorkflowCancelledError("said")),
        ("PE400", '{"queue": "q"}', errors.DBOSInvalidArgumentError("said", {"queue": "q"})),
        ("PE404", '{"workflow_id": "w"}', errors.DBOSNonExistentWorkflowError("target", "w")),
        (
            "PE404",
            '{"workflow_id": "w", "destination": "`send` destination"}',
            errors.DBOSNonExistentWorkflowError("`send` destination", "w"),
        ),
        ("PE404", '{"queue": "q"}', errors.DBOSException("said", 5)),
        ("PE409", "not json", errors.DBOSConflictError("said", {})),
        ("PE413", "[1]", errors.DBOSPayloadTooLargeError("said", {})),
        ("PE429", "{}", errors.DBOSBackpressureError("said", {})),
    ],
)
def test_an_error_of_the_engine_becomes_its_class_with_its_ids(
    connection: psycopg.Connection, sqlstate: str, detail: str, expected: BaseException
) -> None:
    error = raised(connection, sqlstate, detail)

    assert type(error) is type(expected)
    assert str(error) == str(expected)
    assert getattr(error, "ids", None) == getattr(expected, "ids", None)


@pytest.mark.parametrize("sqlstate", ["22012", "PE999"])
def test_any_other_error_stays_the_drivers(connection: psycopg.Connection, sqlstate: str) -> None:
    error = raised(connection, sqlstate, "")

    assert isinstance(error, psycopg.Error)
    assert error.diag.sqlstate == sqlstate


def test_an_error_without_a_code_stays_the_drivers() -> None:
    error = psycopg.OperationalError("connection is closed")

    assert errors.translate(error) is error
