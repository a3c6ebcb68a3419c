"""What the application has registered: workflow functions, classes and configured instances.

Global, because decorators run when modules are imported, before there is any engine.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pyengine._version import __version__
from pyengine.errors import DBOSConflictingRegistrationError
from pyengine.flows.workflows import Target

_logger = logging.getLogger("pyengine")

MethodKind = Literal["function", "instance", "class", "static"]
TEMPORARY_PREFIX = "<temp>."


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
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_async = inspect.iscoroutinefunction(self.function)

    def target(self, args: tuple[Any, ...]) -> tuple[Target, tuple[Any, ...]]:
        """What to record as the workflow's function, and the arguments to store: without self or cls.

        Raises:
            Exception: A method of a class without `@DBOS.dbos_class()`, or of an instance without a name.
        """
        if self.kind == "instance":
            config_name = getattr(args[0], "config_name", None) if args else None
            if not isinstance(config_name, str):
                raise Exception(
                    f"workflow {self.name} was called on an object without a config_name: derive its class "
                    "from DBOSConfiguredInstance and call super().__init__(config_name=...)"
                )
            return self._target(config_name), args[1:]
        if self.kind == "class":
            return self._target(None), args[1:]
        if self.kind == "function" and _looks_like_method(self.function, args):
            raise Exception(
                f"workflow {self.name} is a method of a class that is not registered: decorate the class "
                "with @DBOS.dbos_class()"
            )
        return self._target(None), args

    def _target(self, config_name: str | None) -> Target:
        limit = self.max_recovery_attempts
        return Target(self.name, self.class_name, config_name, None if limit is None else limit + 1)


def _looks_like_method(function: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    if args and inspect.isclass(args[0]):
        return True
    first = next(iter(inspect.signature(function).parameters), None)
    return first == "self"


class Registry:
    """Workflow functions by class and name, classes by name, configured instances by class and name."""

    def __init__(self) -> None:
        self._workflows: dict[tuple[str | None, str], RegisteredWorkflow] = {}
        self._classes: dict[str, type] = {}
        self._instances: dict[tuple[str, str], object] = {}
        self.on_change: Callable[[], None] | None = None

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
        """Register a class and move its workflow functions under its name."""
        self._classes[class_name] = cls
        for workflow in workflows:
            self._workflows.pop((None, workflow.name), None)
            if workflow.kind != "static":
                workflow.class_name = class_name
                workflow.owner = cls
            self._workflows[(workflow.class_name, workflow.name)] = workflow
        self._changed()

    def class_name_of(self, cls: type) -> str:
        """The name under which a class is registered, or its qualified name."""
        for name, known in self._classes.items():
            if known is cls:
                return name
        return cls.__qualname__

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
        workflow = self._workflows.get((class_name, name))
        if workflow is None:
            return None
        if workflow.kind == "class":
            return workflow, (workflow.owner,)
        if workflow.kind != "instance":
            return workflow, ()
        instance = self._instances.get((class_name or "", config_name or ""))
        return None if instance is None else (workflow, (instance,))

    def function_keys(self) -> list[str]:
        """The keys of all workflow functions that this process can run, as `pyengine.function_key` makes them."""
        return sorted(self._keys())

    def application_version(self, application_name: str) -> str:
        """A hash of the sources of all workflow functions: changed code is another version."""
        digest = hashlib.sha256(f"{__version__}:{application_name}".encode())
        for key in sorted(self._workflows, key=str):
            digest.update(_source(self._workflows[key].function).encode())
        return digest.hexdigest()[:32]

    def clear(self) -> None:
        """Forget everything."""
        self._workflows.clear()
        self._classes.clear()
        self._instances.clear()

    def _keys(self) -> Iterator[str]:
        for (class_name, name), workflow in self._workflows.items():
            if workflow.kind == "instance":
                for cls, config_name in self._instances:
                    if cls == class_name:
                        yield f"{class_name}/{config_name}/{name}"
            else:
                yield name if class_name is None else f"{class_name}/{name}"

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
