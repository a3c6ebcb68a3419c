"""Workflows that are methods: of configured instances, of classes, static."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyengine import DBOS, DBOSConfiguredInstance, SetWorkflowID
from tests.workflows.support import Crashes, steps_of

crashes = Crashes()


@DBOS.dbos_class()
class Greeter(DBOSConfiguredInstance):
    greeting = "hello"

    def __init__(self, language: str) -> None:
        self.language = language
        super().__init__(config_name=language)

    @DBOS.step()
    def translate(self, name: str) -> str:
        return f"{self.language}:{name}"

    @DBOS.workflow()
    def greet(self, name: str) -> str:
        text = self.translate(name)
        crashes.here()
        return f"{text}!"

    @DBOS.workflow()
    async def greet_async(self, name: str) -> str:
        crashes.here()
        return f"{self.language}:{name}?"

    @classmethod
    @DBOS.workflow()
    def of_class(cls, name: str) -> str:
        crashes.here()
        return f"{cls.greeting} {name}"

    @staticmethod
    @DBOS.workflow()
    def of_nobody(name: str) -> str:
        crashes.here()
        return f"- {name}"


@DBOS.dbos_class("polite-greeter")
class PoliteGreeter(Greeter):
    @DBOS.workflow()
    def bow(self) -> str:
        return f"{self.language} bows"


class CasualGreeter(Greeter):
    """Not decorated: it is found as what it inherits from."""


class Forgotten(DBOSConfiguredInstance):
    @DBOS.workflow()
    def work(self) -> None: ...


@DBOS.dbos_class()
class Nameless:
    @DBOS.workflow()
    def work(self) -> None: ...


german, french = Greeter("de"), Greeter("fr")
polite, casual = PoliteGreeter("pl"), CasualGreeter("ca")


def started(workflow_id: str, function: Any, *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(function, *args)


def test_a_method_runs_on_its_instance(dbos: type[DBOS]) -> None:
    assert german.greet("Ada") == "de:Ada!"
    assert french.greet(name="Ada") == "fr:Ada!"
    assert asyncio.run(german.greet_async("Ada")) == "de:Ada?"
    assert DBOS.start_workflow(french.greet, "Ada").get_result() == "fr:Ada!"


def test_class_and_static_methods_run(dbos: type[DBOS]) -> None:
    assert Greeter.of_class("Ada") == "hello Ada"
    assert Greeter.of_nobody("Ada") == "- Ada"
    assert DBOS.start_workflow(Greeter.of_class, "Ada").get_result() == "hello Ada"
    assert DBOS.start_workflow(Greeter.of_nobody, "Ada").get_result() == "- Ada"
    assert german.of_class("Ada") == "hello Ada"


@pytest.mark.parametrize(
    ("function", "class_name", "config_name"),
    [
        (german.greet, "Greeter", "de"),
        (german.greet_async, "Greeter", "de"),
        (Greeter.of_class, "Greeter", None),
        (Greeter.of_nobody, None, None),
        (polite.bow, "polite-greeter", "pl"),
        (polite.greet, "polite-greeter", "pl"),
        (casual.greet, "Greeter", "ca"),
    ],
)
def test_what_is_recorded_of_a_method(
    dbos: type[DBOS], function: Any, class_name: str | None, config_name: str | None
) -> None:
    args = () if function.__name__ == "bow" else ("Ada",)

    handle = DBOS.start_workflow(function, *args)
    handle.get_result()
    status = handle.get_status()

    assert (status.class_name, status.config_name) == (class_name, config_name)
    assert status.input == {"args": args, "kwargs": {}}


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (german.greet, "de:Ada!"),
        (french.greet_async, "fr:Ada?"),
        (Greeter.of_class, "hello Ada"),
        (Greeter.of_nobody, "- Ada"),
        (polite.greet, "pl:Ada!"),
        (casual.greet, "ca:Ada!"),
    ],
)
def test_a_method_is_recovered_on_the_same_instance(
    dbos: type[DBOS], function: Any, result: str
) -> None:
    crashes.arm()

    assert DBOS.start_workflow(function, "Ada").get_result() == result
    assert crashes.left == 0


def test_a_step_of_an_instance_is_a_step(dbos: type[DBOS]) -> None:
    assert german.translate("outside") == "de:outside"

    started("method step", german.greet, "Ada").get_result()

    assert steps_of("method step") == [(1, "Greeter.translate")]


def test_a_step_of_an_instance_can_be_started(dbos: type[DBOS]) -> None:
    assert DBOS.start_workflow(french.translate, "Ada").get_result() == "fr:Ada"


def test_two_instances_cannot_have_one_name() -> None:
    with pytest.raises(Exception, match=r"'de'.*unique"):
        Greeter("de")


def test_a_method_of_a_class_that_is_not_registered_cannot_be_called(dbos: type[DBOS]) -> None:
    with pytest.raises(Exception, match=r"@DBOS\.dbos_class"):
        Forgotten("somebody").work()


def test_an_instance_without_a_name_cannot_be_called(dbos: type[DBOS]) -> None:
    with pytest.raises(Exception, match="config_name"):
        Nameless().work()
    with pytest.raises(Exception, match="config_name"):
        DBOS.start_workflow(Nameless().work)


def test_instances_that_are_made_after_launch_are_recovered_too(dbos: type[DBOS]) -> None:
    late = Greeter("late")
    crashes.arm()

    assert DBOS.start_workflow(late.greet, "Ada").get_result() == "late:Ada!"
