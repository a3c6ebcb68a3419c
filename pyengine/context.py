"""Where the running code is: in which workflow run, in which step, under which options."""

from __future__ import annotations

import json
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, Protocol

from pyengine.arguments import check_text, is_between
from pyengine.errors import DBOSException
from pyengine.flows.steps import StepStatus
from pyengine.runs import Identity, WorkflowRun

_logger = logging.getLogger("pyengine")

WorkflowIDReusePolicy = Literal["return-existing", "reject"]
DuplicationPolicy = Literal["reject", "return-existing"]

MAX_PRIORITY = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Scope:
    """A workflow run, and the step that runs inside it, if any."""

    run: WorkflowRun
    step: StepStatus | None = None


@dataclass(slots=True)
class ChosenID:
    """A workflow id that the first start in its block takes."""

    workflow_id: str
    reuse_policy: WorkflowIDReusePolicy | None
    is_taken: bool = False


@dataclass(frozen=True, slots=True)
class EnqueueChoice:
    """How workflows are enqueued in a block."""

    deduplication_id: str | None = None
    priority: int | None = None
    app_version: str | None = None
    queue_partition_key: str | None = None
    delay_seconds: float | None = None
    duplication_policy: DuplicationPolicy | None = None
    throttle_key: str | None = None
    throttle_seconds: float | None = None


class Propagation(Protocol):
    """A trace that workflows which are started take along."""

    def carrier(self) -> Mapping[str, str] | None:
        """How it is stored; None when there is no trace."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """What the surrounding blocks say about workflows that are started in them."""

    chosen_id: ChosenID | None = None
    identity: Identity | None = None
    enqueue: EnqueueChoice | None = None
    timeout_ms: float | None = None  # 0 is none, and not the parent's deadline either
    attributes: str | None = None
    has_context: bool = False
    shard_key: str | None = None
    propagated: Propagation | None = None


_NO_OPTIONS = Options()
_scope: ContextVar[Scope | None] = ContextVar("pyengine_scope", default=None)
_options: ContextVar[Options] = ContextVar("pyengine_options", default=_NO_OPTIONS)


def current_scope() -> Scope | None:
    """The run and step that the calling code belongs to."""
    return _scope.get()


def current_run() -> WorkflowRun | None:
    """The run whose body the calling code is; None outside workflows and inside steps."""
    scope = _scope.get()
    return None if scope is None or scope.step is not None else scope.run


def current_options() -> Options:
    """The options of the surrounding blocks."""
    return _options.get()


def set_identity(identity: Identity) -> Callable[[], None]:
    """Change on whose behalf the code runs, until the surrounding block ends or the result is called."""
    token = _options.set(replace(_options.get(), identity=identity))
    return lambda: _options.reset(token)


class _Entered:
    """A class, because a generator's block costs a microsecond more, at each step."""

    __slots__ = ("_options_token", "_scope", "_scope_token")

    def __init__(self, scope: Scope | None) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        is_step = self._scope is not None and self._scope.step is not None
        identity = _options.get().identity if is_step else None
        self._scope_token = _scope.set(self._scope)
        self._options_token = _options.set(
            _NO_OPTIONS if identity is None else Options(identity=identity)
        )

    def __exit__(self, *_: object) -> None:
        _options.reset(self._options_token)
        _scope.reset(self._scope_token)


def entered(scope: Scope | None) -> _Entered:
    """Run the block as the body of a workflow or step: options of the surrounding blocks do not reach in.

    Only the identity reaches into a step; a workflow has its own. With None the block runs as if no workflow were
    around it.
    """
    return _Entered(scope)


def take_chosen_id() -> ChosenID | None:
    """The id that the surrounding block chose, once; later starts get generated ids."""
    chosen = _options.get().chosen_id
    if chosen is None:
        return None
    if chosen.is_taken:
        if _scope.get() is None:
            _logger.warning(
                "the workflow id %r was used by an earlier start in this SetWorkflowID block; "
                "this start gets a generated id",
                chosen.workflow_id,
            )
        return None
    chosen.is_taken = True
    return chosen


class OptionsBlock(ABC):
    """A block that changes the options for the code inside it; one instance can't be entered twice at once."""

    def __init__(self) -> None:
        self._token: Token[Options] | None = None

    @abstractmethod
    def _change(self, options: Options) -> Options:
        """The options inside the block."""

    def __enter__(self) -> Any:
        if self._token is not None:
            raise DBOSException(
                f"this {type(self).__name__} block is entered already: make a new one for each with statement"
            )
        self._token = _options.set(self._change(_options.get()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        token, self._token = self._token, None
        if token is not None:
            _options.reset(token)
        return False


class SetWorkflowID(OptionsBlock):
    """Give the first workflow that is started in the block this id.

    Args:
        wfid: The id, of 1 to 512 bytes and not blank.
        workflow_id_reuse_policy: "return-existing" (the default) attaches to a workflow that has the id,
            "reject" raises DBOSWorkflowIDInUseError.

    Raises:
        DBOSException: The id is blank, too long, or contains a NUL character.
    """

    def __init__(
        self, wfid: str, *, workflow_id_reuse_policy: WorkflowIDReusePolicy | None = None
    ) -> None:
        super().__init__()
        check_workflow_id(wfid)
        if workflow_id_reuse_policy not in (None, "return-existing", "reject"):
            raise DBOSException(
                f"workflow_id_reuse_policy is {workflow_id_reuse_policy!r}: use 'return-existing' or 'reject'"
            )
        self._wfid = wfid
        self._policy: WorkflowIDReusePolicy | None = workflow_id_reuse_policy

    def _change(self, options: Options) -> Options:
        return replace(options, chosen_id=ChosenID(self._wfid, self._policy))


class SetEnqueueOptions(OptionsBlock):
    """Say how workflows are enqueued in the block; all options are set together.

    Args:
        deduplication_id: At most one active workflow of a queue has this id.
        priority: 1 to 2147483647, smaller first; unset is before all.
        app_version: Only processes of this application version run it.
        queue_partition_key: The key of a partitioned queue.
        delay_seconds: Not before this time has passed.
        duplication_policy: When the deduplication id is held, or the throttle key allows no start: "reject" (the
            default) raises DBOSQueueDeduplicatedError, "return-existing" gives the other workflow's handle.
        throttle_key: At most one workflow of a queue is enqueued with this key in `throttle_seconds`.
        throttle_seconds: The period of the throttle key, in seconds.

    Raises:
        DBOSException: An option is out of range, or two don't go together.
    """

    def __init__(
        self,
        *,
        deduplication_id: str | None = None,
        priority: int | None = None,
        app_version: str | None = None,
        queue_partition_key: str | None = None,
        delay_seconds: float | None = None,
        duplication_policy: DuplicationPolicy | None = None,
        throttle_key: str | None = None,
        throttle_seconds: float | None = None,
    ) -> None:
        super().__init__()
        self._choice = EnqueueChoice(
            deduplication_id,
            priority,
            app_version,
            queue_partition_key,
            delay_seconds,
            duplication_policy,
            throttle_key,
            throttle_seconds,
        )
        check_enqueue_choice(self._choice)

    def _change(self, options: Options) -> Options:
        return replace(options, enqueue=self._choice)


class SetWorkflowTimeout(OptionsBlock):
    """Cancel workflows that are started in the block when they have run for so long. Time in a queue does not count.

    A workflow that is started by another one, outside such a block, has that one's deadline.

    Args:
        seconds: The time, in seconds; None or 0 is no timeout, and not the deadline of the starting workflow either.

    Raises:
        DBOSException: It is negative or not finite.
    """

    def __init__(self, seconds: float | None) -> None:
        super().__init__()
        self._timeout_ms = timeout_in_ms("seconds", seconds or 0)

    def _change(self, options: Options) -> Options:
        return replace(options, timeout_ms=self._timeout_ms)


class SetWorkflowAttributes(OptionsBlock):
    """Attach attributes to workflows that are started in the block, to search for. Their children don't have them.

    Args:
        attributes: What `json` can write; None attaches none.

    Raises:
        DBOSException: It is not a dictionary, or can't be written as JSON.
    """

    def __init__(self, attributes: Mapping[str, Any] | None) -> None:
        super().__init__()
        self._attributes = encode_attributes(attributes)

    def _change(self, options: Options) -> Options:
        return replace(options, attributes=self._attributes)


class SetShardKey(OptionsBlock):
    """Name the shard of workflows that are started in the block. There is one shard: the key goes to their handles.

    Args:
        shard_key: The key, not blank.

    Raises:
        DBOSException: It is not text, or blank.
    """

    def __init__(self, shard_key: str) -> None:
        super().__init__()
        given: object = shard_key
        if not isinstance(given, str) or not given.strip():
            raise DBOSException(f"shard_key is {given!r}: it must be a text that is not blank")
        self._shard_key = shard_key

    def _change(self, options: Options) -> Options:
        return replace(options, shard_key=self._shard_key)


def timeout_in_ms(name: str, seconds: float) -> float:
    """A timeout in milliseconds.

    Raises:
        DBOSException: It is negative or not finite; names the argument.
    """
    if not is_between(0, seconds, math.inf):
        raise DBOSException(
            f"{name} is {seconds!r}: a timeout must be a number of seconds, finite and not negative"
        )
    return seconds * 1000.0


def encode_attributes(attributes: Mapping[str, Any] | None) -> str | None:
    """Attributes as they are stored.

    Raises:
        DBOSException: They are not a dictionary, or can't be stored.
    """
    if attributes is None:
        return None
    if not isinstance(attributes, Mapping):
        raise DBOSException(f"attributes must be a dict, not {type(attributes).__name__}")
    try:
        text = json.dumps(dict(attributes), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DBOSException(f"attributes can't be written as JSON: {error}") from None
    if "\\u0000" in text:
        raise DBOSException(
            "attributes must not contain the NUL character: PostgreSQL can't search it"
        )
    return text


_TEXTS = ("deduplication_id", "app_version", "queue_partition_key", "throttle_key")


def check_enqueue_choice(choice: EnqueueChoice) -> None:
    """Refuse options that can't be used for an enqueue.

    Raises:
        DBOSException: Names the option, what is wrong with it, and what to do.
    """
    for name in _TEXTS:
        value = getattr(choice, name)
        if value is not None:
            check_text(name, value)
    if choice.priority is not None and not is_between(1, choice.priority, MAX_PRIORITY, whole=True):
        raise DBOSException(
            f"priority is {choice.priority!r}: it must be a whole number between 1 and {MAX_PRIORITY}, smaller is first"
        )
    if choice.delay_seconds is not None and not is_between(0, choice.delay_seconds, math.inf):
        raise DBOSException(
            f"delay_seconds is {choice.delay_seconds!r}: it must be a number, finite and not negative"
        )
    if choice.deduplication_id is not None and choice.queue_partition_key is not None:
        raise DBOSException(
            "deduplication_id and queue_partition_key can't be used together: choose one"
        )
    if choice.duplication_policy not in (None, "reject", "return-existing"):
        raise DBOSException(
            f"duplication_policy is {choice.duplication_policy!r}: use 'reject' or 'return-existing'"
        )
    if (
        choice.duplication_policy == "return-existing"
        and choice.deduplication_id is None
        and choice.throttle_key is None
    ):
        raise DBOSException(
            "duplication_policy 'return-existing' needs a deduplication_id or a throttle_key"
        )
    _check_throttle(choice)


def _check_throttle(choice: EnqueueChoice) -> None:
    key, seconds = choice.throttle_key, choice.throttle_seconds
    if (key is None) != (seconds is None):
        raise DBOSException("throttle_key and throttle_seconds belong together: give both or none")
    if seconds is not None and not (is_between(0, seconds, math.inf) and seconds > 0):
        raise DBOSException(
            f"throttle_seconds is {seconds!r}: it must be a number, finite and more than 0"
        )


def check_workflow_id(workflow_id: str) -> None:
    """Refuse what can't be a workflow's id.

    Raises:
        DBOSException: The id is not text, blank, longer than 512 bytes, or contains a NUL character.
    """
    check_text("a workflow id", workflow_id)
    if not workflow_id.strip():
        raise DBOSException("a workflow id must not be blank: pass a non-empty text")
    if "\x00" in workflow_id:
        raise DBOSException("a workflow id must not contain the NUL character")
    try:
        size = len(workflow_id.encode())
    except UnicodeEncodeError:
        raise DBOSException("a workflow id must be valid Unicode (no lone surrogates)") from None
    if size > 512:
        raise DBOSException(f"a workflow id must have at most 512 bytes, this one has {size}")
