"""The decorators: workflows, steps and classes, with the signatures of what they decorate."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ParamSpec, TypedDict, TypeVar, cast

from pyengine.context import Scope, current_scope, entered
from pyengine.current import get_runtime
from pyengine.errors import DBOSException, DBOSWorkflowFunctionNotFoundError
from pyengine.flows.steps import StepSpec, StepStatus, run_step
from pyengine.identity import ROLES, authorized, checked_roles
from pyengine.registry import TEMPORARY_PREFIX, MethodKind, RegisteredWorkflow, registry

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)

_WORKFLOW = "__pyengine_workflow__"


class StepOptions(TypedDict, total=False):
    """The keywords of `DBOS.step`."""

    name: str
    retries_allowed: bool
    interval_seconds: float
    max_attempts: int
    backoff_rate: float
    should_retry: Callable[[BaseException], Any] | None
    preemptible: bool
    timeout_seconds: float | None


def workflow(
    *,
    name: str | None = None,
    max_recovery_attempts: int | None = 100,
    serialization_type: Any = None,
    validate_args: Any = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """See `DBOS.workflow`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        registered = RegisteredWorkflow(
            name=name or function.__qualname__,
            function=function,
            max_recovery_attempts=max_recovery_attempts,
            serialization=_serialization(serialization_type),
            validate_args=_validator(validate_args, function),
            required_roles=getattr(function, ROLES, None),
        )
        registry.add(registered)
        wrapper = _wrap_workflow(registered, function)
        setattr(wrapper, _WORKFLOW, registered)
        return wrapper

    return decorate


def _wrap_workflow(registered: RegisteredWorkflow, function: Callable[P, R]) -> Callable[P, R]:
    if registered.is_async:

        @functools.wraps(function)
        async def call_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            runtime = get_runtime(f"workflow {registered.name}")
            prepared = runtime.prepare(registered, args, kwargs)
            return await runtime.run_async(runtime.call(prepared))

        return cast("Callable[P, R]", call_async)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        runtime = get_runtime(f"workflow {registered.name}")
        prepared = runtime.prepare(registered, args, kwargs)
        result: R = runtime.run(runtime.call(prepared))
        return result

    return call


def _serialization(given: Any) -> str | None:
    value = getattr(given, "value", given)
    if value in (None, "None"):
        return None
    tags = {"portable": "portable_json", "native": "json"}
    if value not in tags:
        raise DBOSException(
            f"serialization_type is {given!r}: use WorkflowSerializationFormat.PORTABLE, NATIVE or DEFAULT"
        )
    return tags[value]


def _validator(given: Any, function: Callable[..., Any]) -> Any:
    from pyengine.serialization import make_pydantic_args_validator, pydantic_args_validator

    return make_pydantic_args_validator(function) if given is pydantic_args_validator else given


def step(
    *,
    name: str | None = None,
    retries_allowed: bool = False,
    interval_seconds: float = 1.0,
    max_attempts: int = 3,
    backoff_rate: float = 2.0,
    should_retry: Callable[[BaseException], Any] | None = None,
    preemptible: bool = False,
    timeout_seconds: float | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """See `DBOS.step`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        spec = StepSpec(
            name=name or function.__qualname__,
            retries_allowed=retries_allowed,
            interval_seconds=interval_seconds,
            max_attempts=max_attempts,
            backoff_rate=backoff_rate,
            should_retry=should_retry,
            preemptible=preemptible,
            timeout_seconds=timeout_seconds,
        )
        check_spec(spec, is_async=inspect.iscoroutinefunction(function))
        wrapper = _wrap_step(spec, function)
        register_as_workflow(wrapper, spec.name)
        return wrapper

    return decorate


def check_spec(spec: StepSpec, *, is_async: bool) -> None:
    """Refuse options that can't work.

    Raises:
        DBOSException: Names the option, what is wrong with it, and what to do.
    """
    where = f"step {spec.name}"
    if spec.max_attempts < 1:
        raise DBOSException(f"{where}: max_attempts is {spec.max_attempts}, it must be at least 1")
    if spec.interval_seconds < 0 or spec.backoff_rate <= 0:
        raise DBOSException(
            f"{where}: interval_seconds must be at least 0 and backoff_rate more than 0"
        )
    if spec.timeout_seconds is not None and not 0 < spec.timeout_seconds < math.inf:
        raise DBOSException(
            f"{where}: timeout_seconds is {spec.timeout_seconds}, it must be finite and more than 0"
        )
    if not is_async and (spec.timeout_seconds is not None or spec.preemptible):
        raise DBOSException(
            f"{where}: timeout_seconds and preemptible need an async function: a thread can't be stopped"
        )
    if not is_async and inspect.iscoroutinefunction(spec.should_retry):
        raise DBOSException(f"{where}: an async should_retry needs an async step")


def _wrap_step(spec: StepSpec, function: Callable[P, R]) -> Callable[P, R]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            bound = functools.partial(function, *args, **kwargs)
            roles = _class_roles(call_async)
            if roles:
                with authorized(spec.name, roles):
                    return await step_async(spec, bound)
            return await step_async(spec, bound)

        return cast("Callable[P, R]", call_async)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        result: R
        bound = functools.partial(function, *args, **kwargs)
        roles = _class_roles(call)
        if roles:
            with authorized(spec.name, roles):
                result = step_sync(spec, bound)
        else:
            result = step_sync(spec, bound)
        return result

    return call


def _class_roles(step: Callable[..., Any]) -> Sequence[str]:
    """What the class of a step requires in a workflow. What the step requires, its wrapper checks everywhere."""
    registered = find_registered(step)
    if registered is None or registered.required_roles is not None or current_scope() is None:
        return ()
    return registered.default_roles


def step_sync(spec: StepSpec, function: Callable[[], Any], step_id: int | None = None) -> Any:
    """Call a function as a step of the current workflow; outside of one it is a plain call."""
    scope = current_scope()
    if scope is None or scope.step is not None:
        return function()
    runtime = get_runtime(f"step {spec.name}")
    number = scope.run.next_step_id() if step_id is None else step_id

    def body(status: StepStatus) -> Any:
        with entered(Scope(scope.run, status)):
            return function()

    return runtime.run(run_step(scope.run, spec, number, body))


async def step_async(
    spec: StepSpec, function: Callable[[], Coroutine[Any, Any, Any]], step_id: int | None = None
) -> Any:
    """As `step_sync`; the step's number is drawn before anything is awaited."""
    scope = current_scope()
    if scope is None or scope.step is not None:
        return await function()
    runtime = get_runtime(f"step {spec.name}")
    number = scope.run.next_step_id() if step_id is None else step_id

    async def body(status: StepStatus) -> Any:
        with entered(Scope(scope.run, status)):
            return await function()

    return await runtime.run_async(run_step(scope.run, spec, number, body))


def register_as_workflow(function: Callable[..., Any], name: str) -> None:
    """Register a hidden workflow of one step, so that a step can be started or enqueued like a workflow."""
    registered = RegisteredWorkflow(
        name=f"{TEMPORARY_PREFIX}{name}",
        function=function,
        max_recovery_attempts=100,
        is_step=True,
        required_roles=getattr(function, ROLES, None),
    )
    registry.add(registered)
    setattr(function, _WORKFLOW, registered)


def find_registered(function: Any) -> RegisteredWorkflow | None:
    """The registration behind a decorated function, if it is one."""
    registered = getattr(function, _WORKFLOW, None)
    return registered if isinstance(registered, RegisteredWorkflow) else None


def registered_workflow(
    function: Callable[..., Any], what: str
) -> tuple[RegisteredWorkflow, tuple[Any, ...]]:
    """The registration behind a workflow, step or bound method, and the self or cls that it is bound to.

    Raises:
        DBOSWorkflowFunctionNotFoundError: The function is not decorated.
    """
    registered = find_registered(function)
    if registered is None:
        shown = getattr(function, "__qualname__", repr(function))
        raise DBOSWorkflowFunctionNotFoundError(
            "<none>",
            f"{what} was given {shown}, which is not a registered workflow or step: decorate it with "
            "@DBOS.workflow() or @DBOS.step()",
        )
    bound = getattr(function, "__self__", None)
    return registered, (() if bound is None else (bound,))


def dbos_class(class_name: str | None = None) -> Callable[[C], C]:
    """See `DBOS.dbos_class`."""

    def decorate(cls: C) -> C:
        registered = _methods(cls)
        for method, kind in registered:
            method.kind = kind
        registry.add_class(
            cls, class_name or cls.__qualname__, [method for method, _ in registered]
        )
        return cls

    return decorate


def default_required_roles(roles: Sequence[str]) -> Callable[[C], C]:
    """See `DBOS.default_required_roles`."""
    wanted = checked_roles(roles)

    def decorate(cls: C) -> C:
        if not registry.has_class(cls):
            dbos_class()(cls)
        for method, _ in _methods(cls):
            method.default_roles = wanted
        return cls

    return decorate


def _methods(cls: type) -> list[tuple[RegisteredWorkflow, MethodKind]]:
    """The workflows and steps that a class defines."""
    methods: list[tuple[RegisteredWorkflow, MethodKind]] = []
    for attribute in vars(cls).values():
        method = find_registered(getattr(attribute, "__func__", attribute))
        if method is not None:
            methods.append((method, _kind(attribute)))
    return methods


def _kind(attribute: object) -> MethodKind:
    if isinstance(attribute, staticmethod):
        return "static"
    return "class" if isinstance(attribute, classmethod) else "instance"


class DBOSConfiguredInstance:
    """Base class of objects whose methods are workflows: `config_name` finds the object again after a restart.

    Args:
        config_name: Name of this instance, unique in its class.

    Raises:
        Exception: The class has an instance of that name already.
    """

    def __init__(self, config_name: str) -> None:
        self.config_name = config_name
        registry.add_instance(registry.class_name_of(type(self)), config_name, self)
