"""What every exception of pyengine is made of: its number, its SQLSTATE and how it is rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import Self


class DBOSErrorCode(Enum):
    """The number that each exception carries as `dbos_error_code`."""

    ConflictingIDError = 1
    RecoveryError = 2
    InitializationError = 3
    WorkflowFunctionNotFound = 4
    NonExistentWorkflowError = 5
    MaxRecoveryAttemptsExceeded = 6
    MaxStepRetriesExceeded = 7
    NotAuthorized = 8
    ConflictingWorkflowError = 9
    WorkflowCancelled = 10
    UnexpectedStep = 11
    QueueDeduplicated = 12
    AwaitedWorkflowCancelled = 13
    AwaitedWorkflowMaxRecoveryAttemptsExceeded = 14
    PatchNondeterminism = 15
    StreamTimeout = 16
    StreamNondeterminism = 17
    StepTimeout = 18
    ConflictingRegistrationError = 25
    QueryTimeout = 26
    WorkflowIDInUse = 27
    StepNondeterminism = 28
    InvalidArgument = 400
    NotEnded = 408
    Conflict = 409
    PayloadTooLarge = 413
    Serialization = 422
    NoResult = 424
    Backpressure = 429


class Rebuildable(BaseException):
    """Remembers its constructor arguments; pickle and checkpoints call the constructor again."""

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _derived: ClassVar[frozenset[str]] = frozenset({"_arguments"})

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        error = super().__new__(cls, *args)
        error._arguments = (args, kwargs)
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        args, kwargs = self._arguments
        given = {id(argument) for argument in (*args, *kwargs.values())}
        added = {
            name: value
            for name, value in vars(self).items()
            if name not in self._derived and id(value) not in given
        }
        return (partial(type(self), **kwargs) if kwargs else type(self), args, added or None)


class Report(NamedTuple):
    """An error of a database function: the text for people and the ids that it is about."""

    message: str
    ids: Mapping[str, Any]


BY_SQLSTATE: dict[str, type[CodedError]] = {}


class CodedError(Rebuildable):
    """What DBOSException and DBOSBaseException share: a message, a number, perhaps an SQLSTATE."""

    _derived = frozenset({"_arguments", "message", "dbos_error_code"})
    status_code: ClassVar[int | None] = None
    message: str
    dbos_error_code: int | None

    def __init_subclass__(cls, *, sqlstate: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if sqlstate is not None:
            BY_SQLSTATE[sqlstate] = cls

    def __init__(self, message: str, dbos_error_code: int | DBOSErrorCode | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.dbos_error_code = (
            dbos_error_code.value if isinstance(dbos_error_code, DBOSErrorCode) else dbos_error_code
        )

    def __str__(self) -> str:
        if self.dbos_error_code is None:
            return f"DBOS Error: {self.message}"
        return f"DBOS Error {self.dbos_error_code}: {self.message}"

    @classmethod
    def from_database(cls, report: Report) -> BaseException:
        """Make the exception for an error that a function of the database raised.

        Args:
            report: What the database said.

        Returns:
            The exception to raise in its place.
        """
        return cls(report.message)
