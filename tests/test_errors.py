"""The exceptions: their texts, how they survive pickling, and what each error code becomes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from pyengine import errors

# One call for each exception: the arguments, and what `str` of it says.
CALLS: list[tuple[type[BaseException], tuple[Any, ...], str]] = [
    (errors.DBOSException, ("bad",), "DBOS Error: bad"),
    (errors.DBOSException, ("bad", 99), "DBOS Error 99: bad"),
    (errors.DBOSBaseException, ("bad",), "DBOS Error: bad"),
    (
        errors.DBOSWorkflowConflictIDError,
        ("w",),
        "DBOS Error 1: Workflow w is no longer owned by this execution",
    ),
    (errors.DBOSRecoveryError, ("w", "why"), "DBOS Error 2: Recovery error for workflow ID w: why"),
    (
        errors.DBOSInitializationError,
        ("why",),
        "DBOS Error 3: Error initializing DBOS Transact: why",
    ),
    (
        errors.DBOSWorkflowFunctionNotFoundError,
        ("w", "why"),
        "DBOS Error 4: Could not execute workflow w: why",
    ),
    (
        errors.DBOSNonExistentWorkflowError,
        ("target", "w"),
        "DBOS Error 5: Non-existent target workflow ID: w",
    ),
    (
        errors.MaxRecoveryAttemptsExceededError,
        ("w", 3),
        "DBOS Error 6: Workflow w has exceeded its maximum of 3 execution or recovery attempts",
    ),
    (
        errors.MaxRecoveryAttemptsExceededError,
        ("w",),
        "DBOS Error 6: Workflow w has exceeded its maximum execution or recovery attempts",
    ),
    (
        errors.DBOSMaxStepRetriesExceeded,
        ("s", 2, [ValueError("a")]),
        "DBOS Error 7: Step s has exceeded its maximum of 2 retries",
    ),
    (errors.DBOSNotAuthorizedError, ("no role",), "DBOS Error 8: no role"),
    (
        errors.DBOSConflictingWorkflowError,
        ("w", "another function"),
        "DBOS Error 9: Conflicting workflow invocation with the same ID (w): another function",
    ),
    (errors.DBOSWorkflowCancelledError, ("gone",), "DBOS Error 10: gone"),
    (
        errors.DBOSUnexpectedStepError,
        ("w", 4, "wanted", "found"),
        (
            "DBOS Error 11: During execution of workflow w step 4, function found was recorded "
            "when wanted was expected. Check that your workflow is deterministic."
        ),
    ),
    (
        errors.DBOSQueueDeduplicatedError,
        ("w", "q", "d"),
        (
            "DBOS Error 12: Workflow w was deduplicated due to an existing workflow in queue q "
            "with deduplication ID d."
        ),
    ),
    (
        errors.DBOSAwaitedWorkflowCancelledError,
        ("w",),
        "DBOS Error 13: Awaited workflow w was cancelled",
    ),
    (
        errors.DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded,
        ("w",),
        "DBOS Error 14: Awaited workflow w exceeded its maximum recovery attempts",
    ),
    (
        errors.DBOSPatchNondeterminismError,
        ("w", "p", "why"),
        "DBOS Error 15: Patch p cannot be applied deterministically in workflow w: why",
    ),
    (
        errors.DBOSStreamTimeoutError,
        ("w", "k", 2.5),
        "DBOS Error 16: No value arrived on stream k of workflow w within 2.5 seconds",
    ),
    (
        errors.DBOSStreamTimeoutError,
        ("w", "k"),
        "DBOS Error 16: No value arrived on stream k of workflow w",
    ),
    (
        errors.DBOSStreamNondeterminismError,
        ("w", "k"),
        (
            "DBOS Error 17: Workflow w reads stream k while another stream read is running. "
            "Finish one read before starting the next."
        ),
    ),
    (
        errors.DBOSStepTimeoutError,
        ("s", 1.5),
        "DBOS Error 18: Step s was cancelled after exceeding its timeout of 1.5 seconds",
    ),
    (
        errors.DBOSConflictingRegistrationError,
        ("f",),
        (
            "DBOS Error 25: Operation f is already registered as another kind of function. "
            "Give one of the two another name."
        ),
    ),
    (
        errors.DBOSQueryTimeoutError,
        (30,),
        (
            "DBOS Error 26: Query was cancelled after its statement timeout of 30 seconds. "
            "Narrow its filters or raise observability_query_timeout_sec."
        ),
    ),
    (
        errors.DBOSWorkflowIDInUseError,
        ("w", "PENDING", "f"),
        "DBOS Error 27: Workflow ID w is already in use by workflow f with status PENDING.",
    ),
    (
        errors.DBOSStepNondeterminismError,
        ("w", 3),
        (
            "DBOS Error 28: Step 3 of workflow w was recorded twice by the same execution. "
            "Check that your workflow is deterministic."
        ),
    ),
    (errors.DBOSInvalidArgumentError, ("bad", {"queue": "q"}), "DBOS Error 400: bad"),
    (errors.DBOSConflictError, ("taken",), "DBOS Error 409: taken"),
    (errors.DBOSPayloadTooLargeError, ("big",), "DBOS Error 413: big"),
    (errors.DBOSSerializationError, ("odd",), "DBOS Error 422: odd"),
    (errors.DBOSNotEndedError, ("slow",), "DBOS Error 408: slow"),
    (errors.DBOSNoResultError, ("failed",), "DBOS Error 424: failed"),
    (errors.DBOSExecutorGoneError, ("silent",), "DBOS Error 409: silent"),
    (errors.DBOSBackpressureError, ("full",), "DBOS Error 429: full"),
    (errors.PortableWorkflowError, ("msg", "TypeError", 7, {"a": 1}), "msg"),
]
IDS = [f"{error_class.__name__}-{len(args)}" for error_class, args, _ in CALLS]


def attributes_of(error: BaseException) -> dict[str, Any]:
    return {name: repr(value) for name, value in vars(error).items()}


def test_every_exported_exception_is_called_in_this_file() -> None:
    exported = {
        value
        for name in errors.__all__
        if isinstance(value := getattr(errors, name), type) and issubclass(value, BaseException)
    }

    assert {error_class for error_class, _, _ in CALLS} == exported


@pytest.mark.parametrize(("error_class", "args", "text"), CALLS, ids=IDS)
def test_an_exception_says_its_number_and_what_went_wrong(
    error_class: type[BaseException], args: tuple[Any, ...], text: str
) -> None:
    assert str(error_class(*args)) == text


@pytest.mark.parametrize(("error_class", "args", "text"), CALLS, ids=IDS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_exception_survives_pickling(
    error_class: type[BaseException], args: tuple[Any, ...], text: str, protocol: int
) -> None:
    error = error_class(*args)

    restored = pickle.loads(pickle.dumps(error, protocol))

    assert type(restored) is error_class
    assert str(restored) == text
    assert attributes_of(restored) == attributes_of(error)


def test_keyword_arguments_and_later_attributes_survive_pickling_and_copying() -> None:
    error = errors.DBOSStepTimeoutError(step_name="s", timeout_seconds=2.0)
    vars(error)["hint"] = "look"

    copies: list[Any] = [
        pickle.loads(pickle.dumps(error)),
        copy.copy(error),
        copy.deepcopy(error),
    ]
    for restored in copies:
        assert (restored.step_name, restored.timeout_seconds) == ("s", 2.0)
        assert restored.hint == "look"


class ShopError(errors.DBOSException):
    def __init__(self, *, order: int) -> None:
        self.order = order
        super().__init__(f"order {order} failed")


def test_a_subclass_with_a_required_keyword_survives_pickling() -> None:
    restored = pickle.loads(pickle.dumps(ShopError(order=3)))

    assert (type(restored), restored.order, restored.message) == (ShopError, 3, "order 3 failed")


def test_only_the_control_flow_errors_pass_through_except_exception() -> None:
    outside = {cls for cls, _, _ in CALLS if not issubclass(cls, Exception)}

    assert outside == {
        errors.DBOSBaseException,
        errors.DBOSWorkflowConflictIDError,
        errors.DBOSWorkflowCancelledError,
    }


def test_builtin_bases_let_ordinary_handlers_catch_argument_and_type_errors() -> None:
    assert issubclass(errors.DBOSInvalidArgumentError, ValueError)
    assert issubclass(errors.DBOSSerializationError, TypeError)


def test_only_a_missing_role_has_an_http_status() -> None:
    assert errors.DBOSNotAuthorizedError("no").status_code == 403
    assert errors.DBOSException("no").status_code is None


def test_nondeterminism_errors_give_their_inputs() -> None:
    assert errors.DBOSStepNondeterminismError("w", 2).inputs == ("w", 2)
    assert errors.DBOSUnexpectedStepError("w", 2, "a", "b").inputs == ("w", 2, "a", "b")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.DBOSWorkflowIDInUseError("w", "PENDING", "f"), True),
        (errors.PortableWorkflowError("m", "DBOSWorkflowIDInUseError"), True),
        (errors.PortableWorkflowError("m", "TypeError"), False),
        (ValueError("DBOSWorkflowIDInUseError"), False),
    ],
)
def test_an_id_in_use_is_recognized_also_in_its_portable_form(
    error: BaseException, expected: bool
) -> None:
    assert errors.is_workflow_id_in_use_error(error) is expected


def test_no_two_exceptions_share_a_number() -> None:
    numbers = [code.value for code in errors.DBOSErrorCode]
    used = {
        error.dbos_error_code
        for cls, args, _ in CALLS
        if isinstance(error := cls(*args), (errors.DBOSException, errors.DBOSBaseException))
    }

    assert len(numbers) == len(set(numbers))
    assert used - {None, 99} == set(numbers)
