"""Every exception that pyengine raises, and what each PostgreSQL error code means to it.

    BaseException
    ├── DBOSBaseException                    control flow: passes through `except Exception`
    │   ├── DBOSWorkflowConflictIDError       1  PE001  this run no longer owns its workflow
    │   └── DBOSWorkflowCancelledError       10  PE002  the workflow was cancelled
    └── Exception
        ├── PortableWorkflowError                       an error whose own class is not known here
        └── DBOSException
            ├── DBOSRecoveryError             2
            ├── DBOSInitializationError       3
            ├── DBOSWorkflowFunctionNotFoundError                4
            ├── DBOSNonExistentWorkflowError  5  PE404
            ├── MaxRecoveryAttemptsExceededError                 6
            ├── DBOSMaxStepRetriesExceeded    7
            ├── DBOSNotAuthorizedError        8  PE403
            ├── DBOSConflictingWorkflowError  9
            ├── DBOSUnexpectedStepError      11
            ├── DBOSQueueDeduplicatedError   12
            ├── DBOSAwaitedWorkflowCancelledError               13
            ├── DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded  14
            ├── DBOSPatchNondeterminismError 15
            ├── DBOSStreamTimeoutError       16
            ├── DBOSStreamNondeterminismError                   17
            ├── DBOSStepTimeoutError         18
            ├── DBOSConflictingRegistrationError                25
            ├── DBOSQueryTimeoutError        26
            ├── DBOSWorkflowIDInUseError     27
            ├── DBOSStepNondeterminismError  28
            ├── DBOSInvalidArgumentError    400  PE400  also a ValueError
            ├── DBOSNotEndedError           408  PE408
            ├── DBOSConflictError           409  PE409
            ├── DBOSPayloadTooLargeError    413  PE413
            ├── DBOSSerializationError      422         also a TypeError
            ├── DBOSNoResultError           424  PE424
            └── DBOSBackpressureError       429  PE429

A class that answers to an error code of the database names it as `sqlstate=` beside its bases.
`translate` turns the driver's error into that class; `retry_policy` says what any other code asks.
Each exception pickles, copies and is checkpointed by the arguments it was constructed with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pyengine._errorbase import BY_SQLSTATE, CodedError, DBOSErrorCode, Rebuildable, Report
from pyengine.sqlstates import (
    RetryPolicy,
    is_schema_mismatch,
    retry_cap,
    retry_policy,
    retry_policy_of,
)

if TYPE_CHECKING:
    import psycopg


__all__ = [
    "DBOSAwaitedWorkflowCancelledError",
    "DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded",
    "DBOSBackpressureError",
    "DBOSBaseException",
    "DBOSConflictError",
    "DBOSConflictingRegistrationError",
    "DBOSConflictingWorkflowError",
    "DBOSErrorCode",
    "DBOSException",
    "DBOSExecutorGoneError",
    "DBOSInitializationError",
    "DBOSInvalidArgumentError",
    "DBOSMaxStepRetriesExceeded",
    "DBOSNoResultError",
    "DBOSNonExistentWorkflowError",
    "DBOSNotAuthorizedError",
    "DBOSNotEndedError",
    "DBOSPatchNondeterminismError",
    "DBOSPayloadTooLargeError",
    "DBOSQueryTimeoutError",
    "DBOSQueueDeduplicatedError",
    "DBOSRecoveryError",
    "DBOSSerializationError",
    "DBOSStepNondeterminismError",
    "DBOSStepTimeoutError",
    "DBOSStreamNondeterminismError",
    "DBOSStreamTimeoutError",
    "DBOSUnexpectedStepError",
    "DBOSWorkflowCancelledError",
    "DBOSWorkflowConflictIDError",
    "DBOSWorkflowFunctionNotFoundError",
    "DBOSWorkflowIDInUseError",
    "MaxRecoveryAttemptsExceededError",
    "PortableWorkflowError",
    "RetryPolicy",
    "is_schema_mismatch",
    "is_workflow_id_in_use_error",
    "retry_cap",
    "retry_policy",
    "retry_policy_of",
    "translate",
]


class DBOSException(CodedError, Exception):  # noqa: N818 - the name is part of the API
    """The base of every error that `except Exception` catches.

    Args:
        message: What went wrong and what to do about it.
        dbos_error_code: A number for programs; None if the error has none.
    """


class DBOSBaseException(CodedError):  # noqa: N818 - the name is part of the API
    """The base of the two errors that end a run and must pass through `except Exception`."""


class DBOSWorkflowConflictIDError(DBOSBaseException, sqlstate="PE001"):
    """This run was taken over: another execution owns the workflow and this one ends quietly."""

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        super().__init__(
            f"Workflow {workflow_id} is no longer owned by this execution",
            DBOSErrorCode.ConflictingIDError,
        )

    @classmethod
    def from_database(cls, report: Report) -> BaseException:
        """Make it from the ids that the database named."""
        return cls(str(report.ids.get("workflow_id", "")))


class DBOSWorkflowCancelledError(DBOSBaseException, sqlstate="PE002"):
    """The workflow was cancelled; its next operation raises this inside it."""

    def __init__(self, msg: str) -> None:
        super().__init__(msg, DBOSErrorCode.WorkflowCancelled)

    @classmethod
    def from_database(cls, report: Report) -> BaseException:
        """Make it from the ids that the database named."""
        workflow_id = report.ids.get("workflow_id")
        if workflow_id is None:
            return cls(report.message)
        return cls(f"Workflow {workflow_id} is cancelled. Aborting function.")


class DBOSRecoveryError(DBOSException):
    """A workflow that should be run again has no usable row."""

    def __init__(self, workflow_id: str, message: str) -> None:
        self.workflow_id = workflow_id
        self.detail = message
        super().__init__(
            f"Recovery error for workflow ID {workflow_id}: {message}", DBOSErrorCode.RecoveryError
        )


class DBOSInitializationError(DBOSException):
    """The configuration or the database does not allow pyengine to start."""

    def __init__(self, message: str) -> None:
        self.detail = message
        super().__init__(
            f"Error initializing DBOS Transact: {message}", DBOSErrorCode.InitializationError
        )


class DBOSWorkflowFunctionNotFoundError(DBOSException):
    """No function, class or instance is registered under the name in the workflow's row."""

    def __init__(self, workflow_id: str, message: str) -> None:
        self.workflow_id = workflow_id
        self.detail = message
        super().__init__(
            f"Could not execute workflow {workflow_id}: {message}",
            DBOSErrorCode.WorkflowFunctionNotFound,
        )


class DBOSNonExistentWorkflowError(DBOSException, sqlstate="PE404"):
    """The workflow that an operation names does not exist.

    Args:
        destination: The part it plays: "target", or "`send` destination".
        destination_id: The id that was asked for.
    """

    def __init__(self, destination: str, destination_id: str) -> None:
        self.destination = destination
        self.destination_id = destination_id
        super().__init__(
            f"Non-existent {destination} workflow ID: {destination_id}",
            DBOSErrorCode.NonExistentWorkflowError,
        )

    @classmethod
    def from_database(cls, report: Report) -> BaseException:
        """Make it from the ids that the database named."""
        if "workflow_id" not in report.ids:
            return DBOSException(report.message, DBOSErrorCode.NonExistentWorkflowError)
        return cls(str(report.ids.get("destination", "target")), str(report.ids["workflow_id"]))


class MaxRecoveryAttemptsExceededError(DBOSException):
    """The workflow was started too often without an outcome and is now a dead letter."""

    def __init__(self, wf_id: str, max_retries: int | None = None) -> None:
        self.workflow_id = wf_id
        self.max_retries = max_retries
        limit = "its maximum" if max_retries is None else f"its maximum of {max_retries}"
        super().__init__(
            f"Workflow {wf_id} has exceeded {limit} execution or recovery attempts",
            DBOSErrorCode.MaxRecoveryAttemptsExceeded,
        )


class DBOSMaxStepRetriesExceeded(DBOSException):
    """Every attempt of a step failed; `errors` holds what each one raised, oldest first."""

    def __init__(self, step_name: str, max_retries: int, errors: Sequence[Exception]) -> None:
        self.step_name = step_name
        self.max_retries = max_retries
        self.errors = errors if isinstance(errors, list) else list(errors)
        super().__init__(
            f"Step {step_name} has exceeded its maximum of {max_retries} retries",
            DBOSErrorCode.MaxStepRetriesExceeded,
        )


class DBOSNotAuthorizedError(DBOSException, sqlstate="PE403"):
    """The caller has none of the required roles, or its login may not say on whose behalf it calls."""

    status_code = 403

    def __init__(self, msg: str) -> None:
        super().__init__(msg, DBOSErrorCode.NotAuthorized)


class DBOSConflictingWorkflowError(DBOSException):
    """The workflow id already belongs to another function, class or instance."""

    def __init__(self, workflow_id: str, message: str | None = None) -> None:
        self.workflow_id = workflow_id
        super().__init__(
            f"Conflicting workflow invocation with the same ID ({workflow_id}): {message or ''}",
            DBOSErrorCode.ConflictingWorkflowError,
        )


class DBOSUnexpectedStepError(DBOSException):
    """A replay reached another operation than the one that was checkpointed there."""

    def __init__(
        self, workflow_id: str, step_id: int, expected_name: str, recorded_name: str
    ) -> None:
        super().__init__(
            f"During execution of workflow {workflow_id} step {step_id}, function {recorded_name} "
            f"was recorded when {expected_name} was expected. "
            "Check that your workflow is deterministic.",
            DBOSErrorCode.UnexpectedStep,
        )

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The constructor's arguments: workflow id, step id, expected name, recorded name."""
        args, kwargs = self._arguments
        return (*args, *kwargs.values())


class DBOSQueueDeduplicatedError(DBOSException):
    """The queue already holds a workflow with this deduplication id."""

    def __init__(self, workflow_id: str, queue_name: str, deduplication_id: str) -> None:
        self.workflow_id = workflow_id
        self.queue_name = queue_name
        self.deduplication_id = deduplication_id
        super().__init__(
            f"Workflow {workflow_id} was deduplicated due to an existing workflow in queue "
            f"{queue_name} with deduplication ID {deduplication_id}.",
            DBOSErrorCode.QueueDeduplicated,
        )


class DBOSAwaitedWorkflowCancelledError(DBOSException):
    """The workflow whose result was awaited was cancelled."""

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        super().__init__(
            f"Awaited workflow {workflow_id} was cancelled", DBOSErrorCode.AwaitedWorkflowCancelled
        )


class DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded(DBOSException):
    """The workflow whose result was awaited became a dead letter."""

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        super().__init__(
            f"Awaited workflow {workflow_id} exceeded its maximum recovery attempts",
            DBOSErrorCode.AwaitedWorkflowMaxRecoveryAttemptsExceeded,
        )


class DBOSPatchNondeterminismError(DBOSException):
    """Sibling tasks took operation numbers while a patch was being applied."""

    def __init__(self, workflow_id: str, patch_name: str, details: str) -> None:
        self.workflow_id = workflow_id
        self.patch_name = patch_name
        super().__init__(
            f"Patch {patch_name} cannot be applied deterministically "
            f"in workflow {workflow_id}: {details}",
            DBOSErrorCode.PatchNondeterminism,
        )


class DBOSStreamTimeoutError(DBOSException):
    """No value arrived on a stream in time, or the offset asked for will never be reached."""

    def __init__(self, workflow_id: str, key: str, timeout_seconds: float | None = None) -> None:
        self.workflow_id = workflow_id
        self.key = key
        self.timeout_seconds = timeout_seconds
        within = "" if timeout_seconds is None else f" within {timeout_seconds} seconds"
        super().__init__(
            f"No value arrived on stream {key} of workflow {workflow_id}{within}",
            DBOSErrorCode.StreamTimeout,
        )


class DBOSStreamNondeterminismError(DBOSException):
    """Two checkpointed reads of streams overlap, so a replay could not tell them apart."""

    def __init__(self, workflow_id: str, key: str) -> None:
        self.workflow_id = workflow_id
        self.key = key
        super().__init__(
            f"Workflow {workflow_id} reads stream {key} while another stream read is running. "
            "Finish one read before starting the next.",
            DBOSErrorCode.StreamNondeterminism,
        )


class DBOSStepTimeoutError(DBOSException):
    """A step ran longer than its timeout and was cancelled."""

    def __init__(self, step_name: str, timeout_seconds: float) -> None:
        self.step_name = step_name
        self.timeout_seconds = timeout_seconds
        super().__init__(
            f"Step {step_name} was cancelled after exceeding its timeout "
            f"of {timeout_seconds} seconds",
            DBOSErrorCode.StepTimeout,
        )


class DBOSConflictingRegistrationError(DBOSException):
    """One name was decorated as two different kinds of operation."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Operation {name} is already registered as another kind of function. "
            "Give one of the two another name.",
            DBOSErrorCode.ConflictingRegistrationError,
        )


class DBOSQueryTimeoutError(DBOSException):
    """A query for workflows ran longer than `observability_query_timeout_sec`."""

    def __init__(self, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        super().__init__(
            f"Query was cancelled after its statement timeout of {timeout_seconds} seconds. "
            "Narrow its filters or raise observability_query_timeout_sec.",
            DBOSErrorCode.QueryTimeout,
        )


class DBOSWorkflowIDInUseError(DBOSException):
    """The workflow id exists and the reuse policy is "reject"."""

    def __init__(self, workflow_id: str, workflow_status: str, workflow_name: str) -> None:
        self.workflow_id = workflow_id
        self.workflow_status = workflow_status
        self.workflow_name = workflow_name
        super().__init__(
            f"Workflow ID {workflow_id} is already in use by workflow {workflow_name} "
            f"with status {workflow_status}.",
            DBOSErrorCode.WorkflowIDInUse,
        )


class DBOSStepNondeterminismError(DBOSException):
    """One execution recorded two outcomes under the same step id."""

    def __init__(self, workflow_id: str, step_id: int) -> None:
        super().__init__(
            f"Step {step_id} of workflow {workflow_id} was recorded twice by the same execution. "
            "Check that your workflow is deterministic.",
            DBOSErrorCode.StepNondeterminism,
        )

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The constructor's arguments: workflow id, step id."""
        args, kwargs = self._arguments
        return (*args, *kwargs.values())


class _EngineRefusal(DBOSException):
    """An error with a message of its own and the ids that it is about."""

    _code: ClassVar[DBOSErrorCode]

    def __init__(self, message: str, ids: Mapping[str, Any] | None = None) -> None:
        self.ids: Mapping[str, Any] = {} if ids is None else ids
        super().__init__(message, self._code)

    @classmethod
    def from_database(cls, report: Report) -> BaseException:
        """Make it from the ids that the database named."""
        return cls(report.message, report.ids)


class DBOSInvalidArgumentError(_EngineRefusal, ValueError, sqlstate="PE400"):
    """An argument has a value that the call cannot accept."""

    _code = DBOSErrorCode.InvalidArgument


class DBOSConflictError(_EngineRefusal, sqlstate="PE409"):
    """The call contradicts what is already stored, or lost a race for a unique key."""

    _code = DBOSErrorCode.Conflict


class DBOSNotEndedError(_EngineRefusal, sqlstate="PE408"):
    """A workflow has not ended in the time that a caller in SQL would wait."""

    _code = DBOSErrorCode.NotEnded


class DBOSNoResultError(_EngineRefusal, sqlstate="PE424"):
    """A caller in SQL asked for the result of a workflow that ended without success."""

    _code = DBOSErrorCode.NoResult


class DBOSPayloadTooLargeError(_EngineRefusal, sqlstate="PE413"):
    """An input, output, message or event is larger or deeper than the limit."""

    _code = DBOSErrorCode.PayloadTooLarge


class DBOSExecutorGoneError(_EngineRefusal, sqlstate="PE003"):
    """This process was declared dead while it was silent; it registers anew."""

    _code = DBOSErrorCode.Conflict


class DBOSBackpressureError(_EngineRefusal, sqlstate="PE429"):
    """The queue is full; try again later."""

    _code = DBOSErrorCode.Backpressure


class DBOSSerializationError(DBOSException, TypeError):
    """A value cannot be stored, or what is stored cannot be read here."""

    def __init__(self, message: str) -> None:
        super().__init__(message, DBOSErrorCode.Serialization)


class PortableWorkflowError(Rebuildable, Exception):
    """A workflow's error in the form that every language shares.

    Args:
        message: What went wrong; also the text of the exception.
        name: The name of the error's class where it was raised.
        code: A number or text for programs, if it had one.
        data: Whatever else it carried.
    """

    _derived = frozenset({"_arguments", "message", "name", "code", "data"})

    def __init__(
        self, message: str, name: str, code: int | str | None = None, data: Any = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.name = name
        self.code = code
        self.data = data


def is_workflow_id_in_use_error(error: BaseException) -> bool:
    """Say whether `error` means that a workflow id was already taken.

    Args:
        error: Any exception, also one read back from a workflow's row.

    Returns:
        True for DBOSWorkflowIDInUseError and for its portable form.
    """
    if isinstance(error, PortableWorkflowError):
        return error.name == DBOSWorkflowIDInUseError.__name__
    return isinstance(error, DBOSWorkflowIDInUseError)


def translate(exc: psycopg.Error) -> BaseException:
    """Turn an error of the driver into the exception that its SQLSTATE stands for.

    Args:
        exc: What psycopg raised.

    Returns:
        The exception to raise instead, made from the ids in the error's detail; `exc` itself if its
        code is not one of the engine's.
    """
    error_class = BY_SQLSTATE.get(exc.diag.sqlstate or "")
    if error_class is None:
        return exc
    message = exc.diag.message_primary or ""
    return error_class.from_database(Report(message, _ids(exc.diag.message_detail)))


def _ids(detail: str | None) -> dict[str, Any]:
    """Read the JSON object of ids in an error's detail; other details name no ids."""
    try:
        ids = json.loads(detail or "{}")
    except ValueError:
        return {}
    return ids if isinstance(ids, dict) else {}
