"""What the application has registered: workflow functions, classes and configured instances.

Global, because decorators run when modules are imported, before there is any engine.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import psycopg

from pyengine._version import __version__
from pyengine.errors import DBOSConflictingRegistrationError
from pyengine.flows.workflows import Target

_logger = logging.getLogger("pyengine")

MethodKind = Literal["function", "instance", "class", "static"]
TEMPORARY_PREFIX = "<temp>."


@dataclass(frozen=True, slots=True)
class DeclaredSchedule:
    """When a workflow is to be started, as its decorator says."""

    cron: str
    cron_timezone: str | None
    queue_name: str | None
    catch_up: str
    overlap: str
    grace_seconds: float


@dataclass(slots=True)
class RegisteredWorkflow:
    """A workflow function. `class_name` and `kind` are filled in when its class is decorated."""

    name: str
    function: Callable[..., Any]
    max_recovery_attempts: int | None
    serialization: str | None = None
    validate_args: Any = None
    kind: MethodKind = "function"
    class_name: str | None = None
    owner: type | None = None
    schedule: DeclaredSchedule | None = None
    is_step: bool = False
    required_roles: Sequence[str] | None = None
    default_roles: Sequence[str] = ()
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_async = inspect.iscoroutinefunction(self.function)

    @property
    def max_attempts(self) -> int | None:
        """How often a workflow of it may run; None is any number."""
        limit = self.max_recovery_attempts
        return None if limit is None else limit + 1

    @property
    def roles(self) -> Sequence[str]:
        """The roles of which a caller needs one; the function's own go before its class's."""
        return self.default_roles if self.required_roles is None else self.required_roles


def _looks_like_method(function: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    if args and inspect.isclass(args[0]):
        return True
    return _first_parameter(function) == "self"


@functools.lru_cache(maxsize=4096)
def _first_parameter(function: Callable[..., Any]) -> str | None:
    """Remembered, because reading a signature takes longer than the rest of a start."""
    return next(iter(inspect.signature(function).parameters), None)


class LaunchCheck(Protocol):
    """Something declared that a launch shows to the server."""

    def check(self, connection: psycopg.Connection[Any], schema: str) -> None:
        """Raise DBOSInitializationError if the server refuses it."""


class Registry:
    """Workflow functions by class and name, classes by name, configured instances by class and name."""

    def __init__(self) -> None:
        self._workflows: dict[tuple[str | None, str], RegisteredWorkflow] = {}
        self._classes: dict[str, type] = {}
        self._instances: dict[tuple[str, str], object] = {}
        self.on_change: Callable[[], None] | None = None
        self.launch_checks: dict[str, LaunchCheck] = {}

    def add(self, workflow: RegisteredWorkflow) -> None:
        """Register a workflow function.

        Raises:
            DBOSConflictingRegistrationError: A function of another module and file has the name.
        """
        key = (workflow.class_name, workflow.name)
        known = self._workflows.get(key)
        if known is not None and known.function is not workflow.function:
            if _are_unrelated(known.function, workflow.function):
                raise DBOSConflictingRegistrationError(workflow.name)
            _logger.warning(
                "workflow %s is registered twice; the later function holds", workflow.name
            )
        self._workflows[key] = workflow
        self._changed()

    def add_class(self, cls: type, class_name: str, workflows: list[RegisteredWorkflow]) -> None:
        """Register a class and move its workflow functions under its name; a second name replaces the first."""
        for earlier in [name for name, known in self._classes.items() if known is cls]:
            del self._classes[earlier]
        self._classes[class_name] = cls
        for workflow in workflows:
            self._workflows.pop((workflow.class_name, workflow.name), None)
            if workflow.kind != "static":
                workflow.class_name = class_name
                workflow.owner = cls
            self._workflows[(workflow.class_name, workflow.name)] = workflow
        self._changed()

    def has_class(self, cls: type) -> bool:
        """Whether a class is registered itself, not only a base of it."""
        return any(known is cls for known in self._classes.values())

    def class_name_of(self, cls: type) -> str:
        """The name under which a class or the nearest of its bases is registered, or its qualified name."""
        names = {known: name for name, known in self._classes.items()}
        return next((names[base] for base in cls.__mro__ if base in names), cls.__qualname__)

    def target(
        self, workflow: RegisteredWorkflow, args: tuple[Any, ...]
    ) -> tuple[Target, tuple[Any, ...]]:
        """What to record as the workflow's function, and the arguments to store: without self or cls.

        Raises:
            Exception: A method of a class without `@DBOS.dbos_class()`, or of an instance without a name.
        """
        max_attempts = workflow.max_attempts
        if workflow.kind == "instance":
            config_name = getattr(args[0], "config_name", None) if args else None
            if not isinstance(config_name, str):
                raise Exception(
                    f"workflow {workflow.name} was called on an object without a config_name: derive its class "
                    "from DBOSConfiguredInstance and call super().__init__(config_name=...)"
                )
            class_name = self.class_name_of(type(args[0]))
            return Target(workflow.name, class_name, config_name, max_attempts), args[1:]
        if workflow.kind == "class":
            class_name = self.class_name_of(args[0])
            return Target(workflow.name, class_name, None, max_attempts), args[1:]
        if workflow.kind == "function" and _looks_like_method(workflow.function, args):
            raise Exception(
                f"workflow {workflow.name} is a method of a class that is not registered: decorate the class "
                "with @DBOS.dbos_class()"
            )
        return Target(workflow.name, None, None, max_attempts), args

    def add_instance(self, class_name: str, config_name: str, instance: object) -> None:
        """Register a configured instance.

        Raises:
            Exception: The class has an instance of that name already.
        """
        key = (class_name, config_name)
        if key in self._instances:
            raise Exception(
                f"class {class_name} has an instance named {config_name!r} already: config_name must be unique"
            )
        self._instances[key] = instance
        self._changed()

    def find(
        self, name: str, class_name: str | None, config_name: str | None
    ) -> tuple[RegisteredWorkflow, tuple[Any, ...]] | None:
        """A workflow function, with the self or cls to call it with; None when it is not registered."""
        workflow = self._find_inherited(name, class_name)
        if workflow is None:
            return None
        if workflow.kind == "class":
            return workflow, (self._classes[class_name or ""],)
        if workflow.kind != "instance":
            return workflow, ()
        instance = self._instances.get((class_name or "", config_name or ""))
        return None if instance is None else (workflow, (instance,))

    def function_keys(self) -> list[str]:
        """The keys of all workflow functions that this process can run, as `pyengine.function_key` makes them."""
        return sorted(key for key, _ in self._keys())

    def attempt_limits(self) -> dict[str, int | None]:
        """By these keys, how often a workflow runs that was started without a number; None is any number."""
        return {key: workflow.max_attempts for key, workflow in self._keys()}

    def scheduled(self) -> list[RegisteredWorkflow]:
        """The workflow functions that a decorator schedules."""
        return [each for each in self._workflows.values() if each.schedule is not None]

    def application_version(self, application_name: str) -> str:
        """A hash of the sources of all workflow functions: changed code is another version."""
        digest = hashlib.sha256(f"{__version__}:{application_name}".encode())
        for key in sorted(self._workflows, key=str):
            digest.update(_source(self._workflows[key].function).encode())
        return digest.hexdigest()[:32]

    def clear(self) -> None:
        """Forget everything."""
        self._workflows.clear()
        self.launch_checks.clear()
        self._classes.clear()
        self._instances.clear()

    def _find_inherited(self, name: str, class_name: str | None) -> RegisteredWorkflow | None:
        """A workflow function of a class or of the nearest base that has it."""
        if class_name is None:
            return self._workflows.get((None, name))
        cls = self._classes.get(class_name)
        bases = () if cls is None else cls.__mro__
        owners = [class_name, *(self.class_name_of(base) for base in bases if base is not object)]
        found = (self._workflows.get((owner, name)) for owner in owners)
        return next((workflow for workflow in found if workflow is not None), None)

    def _keys(self) -> Iterator[tuple[str, RegisteredWorkflow]]:
        for (class_name, name), workflow in self._workflows.items():
            if class_name is None or workflow.owner is None:
                yield name, workflow
                continue
            heirs = {n for n, cls in self._classes.items() if issubclass(cls, workflow.owner)}
            if workflow.kind == "class":
                yield from ((f"{heir}/{name}", workflow) for heir in heirs)
            for heir, config_name in self._instances if workflow.kind == "instance" else ():
                if heir in heirs:
                    yield f"{heir}/{config_name}/{name}", workflow

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


def _are_unrelated(left: Callable[..., Any], right: Callable[..., Any]) -> bool:
    """A program that is also imported by its name has two modules of one file, a reloaded one two functions of one."""
    files = [inspect.unwrap(function).__code__.co_filename for function in (left, right)]
    return left.__module__ != right.__module__ and files[0] != files[1]


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return function.__qualname__


registry = Registry()
