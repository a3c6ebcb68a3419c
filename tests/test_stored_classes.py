"""Classes of the application in payloads: how they change over time, how they are registered."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyengine.errors import DBOSInvalidArgumentError, DBOSSerializationError, PortableWorkflowError
from pyengine.serialization import NATIVE, Codec, register_type, registry
from tests import serialization_samples as samples

codec = Codec()


def round_trip(value: Any) -> Any:
    return codec.decode(codec.encode(value), NATIVE)


def test_a_dataclass_comes_back_whole_without_running_its_code() -> None:
    order = samples.Order(1, [samples.Item("a", 2.0)])
    order.total = 99.0
    order.note = "changed"
    assert order.names == ["a"]

    restored = round_trip(order)

    assert (restored.total, restored.note) == (99.0, "changed")
    assert "names" not in vars(restored)


def test_a_field_added_since_gets_its_default_and_a_removed_one_is_left_out() -> None:
    item = codec.decode(
        '{"$type":"tests.serialization_samples:Item","value":{"name":"a","gone":1}}', NATIVE
    )
    customer = codec.decode(
        '{"$type":"tests.serialization_samples:Customer","value":{"name":"a","gone":1}}', NATIVE
    )

    assert item == samples.Item("a", 1.0, [])
    assert item.tags is not codec.decode(codec.encode(item), NATIVE).tags
    assert (customer.addresses, customer.born, customer._secret) == ([], None, 3)


def test_a_model_keeps_what_was_set_its_extras_and_its_private_attributes() -> None:
    customer = samples.Customer(Name="Ann")
    customer._secret = 7
    extended = samples.Open(b=(1, 2))  # type: ignore[call-arg]

    restored, restored_extended = round_trip([customer, extended])

    assert restored.model_fields_set == {"name"}
    assert restored._secret == 7
    assert restored_extended.model_extra == {"b": (1, 2)}
    assert restored.model_dump() == customer.model_dump()
    assert restored.model_copy(update={"name": "Bob"}).name == "Bob"
    assert round_trip(samples.Numbers([1])).model_dump() == [1]


@pytest.fixture
def registered() -> Iterator[Callable[..., Any]]:
    """Register types for one test."""
    classes, names = dict(registry._by_class), dict(registry._by_name)
    yield register_type
    registry._by_class.clear()
    registry._by_class.update(classes)
    registry._by_name.clear()
    registry._by_name.update(names)


def test_a_registered_type_is_stored_by_its_functions(registered: Callable[..., Any]) -> None:
    registered(samples.Money, lambda money: (money.cents,), lambda parts: samples.Money(*parts))

    value = {samples.Money(1): [samples.Money(2)]}

    assert round_trip(value) == value


def test_a_local_class_can_be_stored_once_it_is_registered(registered: Callable[..., Any]) -> None:
    local = registered(samples.local_class())

    assert round_trip(local(3)) == local(3)


def test_a_registered_exception_is_stored_by_its_functions(registered: Callable[..., Any]) -> None:
    registered(
        samples.HoldingError,
        lambda error: [str(error), error.hint],
        lambda parts: samples.HoldingError(parts[0], "restored"),
    )
    error = samples.HoldingError("lost", object())

    at_the_top = codec.decode_error(codec.encode_error(error), NATIVE)
    inside = round_trip([error])[0]

    for again in (at_the_top, inside):
        assert isinstance(again, samples.HoldingError)
        assert (str(again), again.connection) == ("lost", "restored")


def test_a_registered_exception_whose_functions_fail_still_says_what_happened(
    registered: Callable[..., Any],
) -> None:
    registered(samples.PlainError, lambda error: len, lambda parts: parts)
    registered(samples.SilentError, lambda error: 1, lambda parts: parts)

    unstorable = codec.decode_error(codec.encode_error(samples.PlainError("a")), NATIVE)
    unrestorable = codec.decode_error(codec.encode_error(samples.SilentError(1)), NATIVE)

    assert repr(unstorable) == "Exception('PlainError: a')"
    assert isinstance(unrestorable, PortableWorkflowError)
    assert unrestorable.name == "SilentError"


def test_a_class_registered_without_functions_must_be_of_a_kind_that_is_known(
    registered: Callable[..., Any],
) -> None:
    registered(samples.Unknown)

    with pytest.raises(DBOSSerializationError, match="Unknown cannot be stored"):
        codec.encode(samples.Unknown())


def test_rows_of_a_class_that_has_moved_are_read_under_its_old_name(
    registered: Callable[..., Any],
) -> None:
    registered(samples.Item, name="shop.old:Item")

    assert codec.decode('{"$type":"shop.old:Item","value":{"name":"a"}}', NATIVE) == samples.Item(
        "a"
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"encode": str}, "give both encode and decode"),
        ({"name": "uuid"}, "must contain a colon"),
        ({"name": "taken:Name"}, "belongs to"),
    ],
)
def test_a_registration_that_could_not_work_is_refused(
    registered: Callable[..., Any], arguments: dict[str, Any], reason: str
) -> None:
    registered(samples.Item, name="taken:Name")

    with pytest.raises(DBOSInvalidArgumentError, match=reason):
        registered(samples.Money, **arguments)


def test_a_failing_function_of_a_registered_type_is_a_clean_error_with_its_cause(
    registered: Callable[..., Any],
) -> None:
    registered(samples.Money, lambda money: 1 / money.cents, lambda parts: 1 / 0)

    with pytest.raises(DBOSSerializationError, match=r"result\[0\].*encode of") as caught:
        codec.encode([samples.Money(0)])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(DBOSSerializationError, match="its decode function failed") as caught:
        codec.decode(codec.encode(samples.Money(1)), NATIVE)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_neither_reading_nor_writing_imports_pydantic_or_what_a_row_names() -> None:
    program = """
import sys
from pyengine.errors import DBOSSerializationError
from pyengine.serialization import Codec
codec = Codec()
codec.encode({"a": (1,)})
codec.decode_error('{"name": "E", "message": "m", "class": "antigravity:E"}', "json")
try:
    codec.decode('{"$type": "antigravity:X", "value": {}}', "json")
except DBOSSerializationError:
    print(sorted({"pydantic", "antigravity"} & set(sys.modules)))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "[]"
