"""Each test module has its own workflows and queues, as each program has: names may repeat between modules.

pytest imports all modules before it runs the first test. What a module registers while it is imported is
taken out of the registry again, and put back while the module's tests run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from pyengine import Queue
from pyengine.queues import declared
from pyengine.registry import TEMPORARY_PREFIX, registry

Registrations = list[tuple[MutableMapping[Any, Any], Any, Any]]

_OWN = pytest.StashKey[Registrations]()


class _Current:
    module: pytest.Module | None = None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Import the module, and set its registrations aside."""
    report = yield
    if isinstance(collector, pytest.Module) and report.passed:
        own = _registrations_of(collector)
        _remove(own)
        collector.stash[_OWN] = own
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Put the registrations of the test's module in the place of the last module's."""
    module = item.getparent(pytest.Module)
    if module is not _Current.module:
        if _Current.module is not None:
            _remove(_Current.module.stash[_OWN])
        _Current.module = module
    if module is not None:
        for table, key, value in module.stash[_OWN]:
            table[key] = value


def _registrations_of(module: pytest.Module) -> Registrations:
    """What the file registered, and the modules that it names in PROGRAMS; what another helper registers that it
    imports belongs to every test.
    """
    modules = (module.obj, *getattr(module.obj, "PROGRAMS", ()))
    paths = {Path(str(each.__file__)) for each in modules}
    module_names = {each.__name__ for each in modules}
    own: Registrations = [
        (registry._workflows, key, workflow)
        for key, workflow in registry._workflows.items()
        if _file_of(workflow.function) in paths
    ]
    names = {workflow.name.removeprefix(TEMPORARY_PREFIX) for _, _, workflow in own}
    own += [
        (registry.launch_checks, key, check)
        for key, check in registry.launch_checks.items()
        if key in names
    ]
    own += [
        (registry._classes, key, cls)
        for key, cls in registry._classes.items()
        if cls.__module__ in module_names
    ]
    own += [
        (registry._instances, key, instance)
        for key, instance in registry._instances.items()
        if type(instance).__module__ in module_names
    ]
    values = (value for each in modules for value in vars(each).values())
    queues = {value.name for value in values if isinstance(value, Queue)}
    own += [
        (declared._limits, key, limits) for key, limits in declared._limits.items() if key in queues
    ]
    return own


def _file_of(function: Callable[..., Any]) -> Path:
    return Path(inspect.unwrap(function).__code__.co_filename)


def _remove(registrations: Registrations) -> None:
    for table, key, value in registrations:
        if table.get(key) is value:
            del table[key]
