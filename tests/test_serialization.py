"""The native form: what goes in comes out equal in type and value, or is refused at the call."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyengine.errors import DBOSInvalidArgumentError, DBOSSerializationError
from pyengine.serialization import NATIVE, Codec, register_type
from tests import serialization_samples as samples

codec = Codec()
BERLIN = ZoneInfo("Europe/Berlin")


def round_trip(value: Any) -> Any:
    return codec.decode(codec.encode(value), NATIVE)


def described(value: Any) -> Any:
    """Describe type and value so that NaN equals itself and zeros differ by their sign."""
    if isinstance(value, (list, tuple, deque)):
        content: Any = [described(item) for item in value]
    elif isinstance(value, dict):
        content = [(described(key), described(item)) for key, item in value.items()]
    elif isinstance(value, (set, frozenset)):
        content = sorted(repr(described(item)) for item in value)
    elif isinstance(value, samples.Holder):
        content = described(value.content)
    elif isinstance(value, (float, complex, Decimal)):
        content = str(value)
    elif isinstance(value, (datetime, time)):
        content = repr(value), value.fold
    else:
        content = value
    return type(value), content


def same(left: Any, right: Any) -> bool:
    return bool(described(left) == described(right))


VALUES: list[Any] = [
    None,
    True,
    0,
    -(2**70),
    2**70,
    10**5000,
    -0.0,
    1e308,
    5e-324,
    math.inf,
    -math.inf,
    math.nan,
    "",
    "\0",
    "a\0b",
    "\\u0000",
    "\ud800",
    "\udfff and text",
    "\U0001f600 é",
    b"",
    b"\x00\xff",
    bytearray(b"ab"),
    (),
    (1, (2, [3])),
    [],
    {},
    {"a": {"b": [1, None, "x"]}},
    {1: "a", "1": "b", None: "c", (1, 2): "e", 1.5: "f"},
    {"$type": "tuple", "value": [1]},
    {"a": {"$type": 1}},
    {"$type": {"$type": "x"}},
    {"\0": 1},
    {"\ud800": 1},
    {"z": 1, "a": 2},
    set(),
    {1, "a", (2, 3)},
    frozenset({frozenset({1})}),
    complex(1, -0.0),
    complex(math.nan, math.inf),
    Decimal("1.10"),
    Decimal("-0"),
    Decimal("1E+500"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("-Infinity"),
    UUID(int=5),
    date.min,
    datetime.min,  # noqa: DTZ901
    datetime.max,  # noqa: DTZ901
    datetime(2024, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001
    datetime(2024, 1, 2, tzinfo=timezone.utc),
    datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    datetime(2024, 1, 2, tzinfo=timezone(timedelta(seconds=3601, microseconds=5))),
    datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=1), "home")),
    datetime(2024, 7, 2, tzinfo=BERLIN),
    datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
    datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
    datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN),
    datetime(2024, 1, 1, fold=1),  # noqa: DTZ001
    time(1, 2, 3, 4),
    time(1, 2, tzinfo=timezone.utc),
    time(1, 2, tzinfo=BERLIN, fold=1),
    timedelta(days=-1, microseconds=7),
    timedelta.max,
    deque([1, 2], maxlen=3),
    deque(),
    OrderedDict([("b", 1), ("a", 2)]),
    Counter("abca"),
    defaultdict(list, {"a": [1]}),
    defaultdict(None, {1: 2}),
    PurePosixPath("/a/b"),
    PureWindowsPath("c:/a"),
    Path("x/y"),
    samples.Color.RED,
    samples.Color.CRIMSON,
    samples.Level.HIGH,
    samples.Word.YES,
    samples.Access.READ | samples.Access.WRITE,
    samples.Odd.FUNCTION,
    {samples.Color.RED: samples.Level.LOW},
    samples.Point(1, 2),
    samples.Pair([1], (2,)),
    samples.Item("a", 2.0, ["x"]),
    samples.Order(1, [samples.Item("a"), samples.Item("b", 2.5)], datetime(2024, 1, 1)),  # noqa: DTZ001
    samples.Frozen(date(2024, 1, 1), (1, 2)),
    {samples.Key(1): [samples.Key(2)]},
    samples.WithSlots(1, "x"),
    samples.Holder[int](5),
    samples.Address(city="X"),
    samples.Customer(Name="Ann", addresses=[samples.Address(city="X", zip="1")]),
    samples.Open(a=1, b=(1, 2)),  # type: ignore[call-arg]
    samples.Sealed(a=(1, 2)),
    samples.Numbers([1, 2]),
    samples.BoxOfDate(content=date(2024, 1, 1)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_equal_in_type_and_value(value: Any) -> None:
    assert same(round_trip(value), value)
    assert same(round_trip([{"k": value}]), [{"k": value}])


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 2**70, 1.5, "é\n", [], {"b": 1, "a": [None, {"c": "d"}]}],
    ids=ascii,
)
def test_plain_json_is_stored_as_plain_compact_json(value: Any) -> None:
    expected = json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    assert codec.encode(value) == expected


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ((1, 2), '{"$type":"tuple","value":[1,2]}'),
        (Decimal("1.10"), '{"$type":"decimal","value":"1.10"}'),
        (
            datetime(2024, 7, 2, 10, tzinfo=BERLIN),
            (
                '{"$type":"datetime","value":"2024-07-02T10:00:00+02:00",'
                '"state":{"zone":"Europe/Berlin"}}'
            ),
        ),
        (
            samples.Item("a"),
            (
                '{"$type":"tests.serialization_samples:Item",'
                '"value":{"name":"a","price":1.0,"tags":[]}}'
            ),
        ),
        (samples.Color.RED, '{"$type":"tests.serialization_samples:Color","value":"RED"}'),
        ({1: 2}, '{"$type":"dict","value":[[1,2]]}'),
    ],
    ids=ascii,
)
def test_the_stored_form_of_a_typed_value_stays_as_released(value: Any, stored: str) -> None:
    assert codec.encode(value) == stored


def test_every_stored_value_can_be_cast_to_jsonb(database_url: str) -> None:
    stored = [codec.encode(value) for value in VALUES]

    with psycopg.connect(database_url) as connection:
        read = connection.execute(
            "select p::json::text, p::jsonb::text"
            " from unnest(%s::text[]) with ordinality as t(p, n) order by n",
            [stored],
        ).fetchall()

    for value, (as_json, as_jsonb) in zip(VALUES, read, strict=True):
        assert same(codec.decode(as_json, NATIVE), value)
        codec.decode(as_jsonb, NATIVE)


ZONES: st.SearchStrategy[tzinfo | None] = st.one_of(
    st.none(),
    st.sampled_from([timezone.utc, BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("UTC")]),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
)
SURROGATES = st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF, exclude_categories=()))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    SURROGATES,
    st.binary(),
    st.complex_numbers(),
    st.decimals().filter(lambda number: not number.is_snan()),  # it cannot be hashed
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=ZONES),
    st.times(timezones=ZONES),
    st.timedeltas(),
    st.sampled_from([samples.Color.RED, samples.Level.LOW, samples.Access.READ, "$type", "value"]),
)
HASHABLE = st.one_of(SCALARS, st.tuples(SCALARS, SCALARS), st.frozensets(SCALARS, max_size=3))
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(SURROGATES, inner, max_size=4),
        st.dictionaries(st.sampled_from(["$type", "value", "state"]), inner),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, max_size=4),
        st.builds(samples.Holder, inner),
        st.builds(samples.Pair, inner, inner),
    ),
    max_leaves=12,
)
FEW = settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def refuse_constant(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@FEW
@given(ANYTHING)
def test_any_value_comes_back_equal_and_as_text_that_postgresql_accepts(value: Any) -> None:
    text = codec.encode(value)

    assert same(codec.decode(text, NATIVE), value)
    assert "\0" not in text
    text.encode()
    json.loads(text, parse_constant=refuse_constant)


@FEW
@given(st.lists(ANYTHING, max_size=3), st.dictionaries(st.text(), ANYTHING, max_size=3))
def test_any_arguments_come_back_equal(args: list[Any], kwargs: dict[str, Any]) -> None:
    text = codec.encode_arguments(tuple(args), kwargs)

    read_args, read_kwargs = codec.decode_arguments(text, NATIVE)

    assert same(read_args, tuple(args))
    assert same(read_kwargs, kwargs)
    assert set(json.loads(text)) == {"positionalArgs", "namedArgs"}


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(), st.sampled_from(["$type", "value"])), inner),
        st.fixed_dictionaries(
            {
                "$type": st.one_of(
                    st.sampled_from(["dict", "set", "datetime", "exception", "os:system", "uuid"]),
                    st.sampled_from(
                        [f"tests.serialization_samples:{name}" for name in dir(samples)]
                    ),
                ),
                "value": inner,
            },
            optional={"state": inner},
        ),
    ),
    max_leaves=12,
)


@FEW
@given(JSON_VALUES)
def test_text_of_any_origin_is_read_or_refused_cleanly(value: Any) -> None:
    text = json.dumps(value)
    causes = []
    for read in (
        lambda: codec.decode(text, NATIVE),
        lambda: codec.decode_error(text, NATIVE),
        lambda: codec.decode_arguments(text, NATIVE),
    ):
        try:
            read()
        except DBOSSerializationError as error:
            causes.append(error.__cause__)
    assert causes in ([], [None], [None, None], [None, None, None])


CYCLE: list[Any] = []
CYCLE.extend([CYCLE, CYCLE])


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def local_class() -> type:
    from dataclasses import dataclass

    @dataclass
    class Local:
        a: int

    return Local


class OddZone(tzinfo):
    def utcoffset(self, dt: datetime | None) -> timedelta:
        return timedelta(hours=1)

    def dst(self, dt: datetime | None) -> None:
        return None

    def tzname(self, dt: datetime | None) -> None:
        return None


REFUSED: list[tuple[Any, str, str]] = [
    (
        {"items": [1, 2, 3, samples.Unknown()]},
        "result['items'][3]",
        "serialization_samples.Unknown",
    ),
    (samples.Unknown, "result", "type"),
    (len, "result", "builtin_function_or_method"),
    ([object()], "result[0]", "object"),
    ({"a": samples.Label("x")}, "result['a']", "a subclass of str"),
    ({(1, samples.Unknown()): 1}, "result[key of type tuple][1]", "Unknown"),
    (samples.Item("a", tags=[samples.Unknown()]), "result.tags[0]", "Unknown"),  # type: ignore[list-item]
    (samples.Open(b=samples.Unknown()), "result['b']", "Unknown"),  # type: ignore[call-arg]
    (local_class()(1), "result", "define it at module level or call register_type"),
    (datetime(2024, 1, 1, tzinfo=OddZone()), "result", "OddZone"),
    (defaultdict(lambda: 1), "result", "default_factory"),
    (memoryview(b"a"), "result", "memoryview"),
    (CYCLE, "result[0][0][0]", "refers to itself or is nested deeper than 200"),
    (nested(201), "result[0][0][0]", "nested deeper than 200"),
    (nested(100_000), "result[0][0][0]", "nested deeper than 200"),
    ((nested(500),), "result[0][0][0]", "nested deeper than 200"),
]


@pytest.mark.parametrize(("value", "place", "reason"), REFUSED, ids=[r[2][:40] for r in REFUSED])
def test_a_value_without_a_stored_form_is_refused_with_its_place_and_type(
    value: Any, place: str, reason: str
) -> None:
    with pytest.raises(DBOSSerializationError) as caught:
        codec.encode(value)

    assert f"cannot store {place}" in str(caught.value)
    assert reason in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_a_refusal_names_the_value_as_the_caller_does_and_never_shows_it() -> None:
    value = {"k" * 500: [samples.Label("secret")]}

    with pytest.raises(DBOSSerializationError, match=r"cannot store message\['kkk") as caught:
        codec.encode(value, what="message")

    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("args", "kwargs", "place"),
    [((1, {"a": len}), {}, r"args\[1\]\['a'\]"), ((), {"b": len}, r"kwargs\['b'\]")],
)
def test_a_refused_argument_is_named_by_its_position_or_name(
    args: tuple[Any, ...], kwargs: dict[str, Any], place: str
) -> None:
    with pytest.raises(DBOSSerializationError, match=f"cannot store {place}"):
        codec.encode_arguments(args, kwargs)


def test_values_nested_to_the_limit_come_back() -> None:
    assert round_trip(nested(200)) == nested(200)
    assert round_trip((nested(199),)) == (nested(199),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON at line 1 column 2"),
        ("NaN", "not JSON: it contains a bare NaN"),
        ("[1e400]", "too large for a float"),
        ("9" * 5000, "too many digits"),
        ("[" * 100_000, "nested too deeply"),
        ('{"$type":"nonsense","value":1}', "'nonsense': no imported module"),
        ('{"$type":"os:system","value":"true"}', "'os:system': no imported module"),
        ('{"$type":"subprocess:Popen","value":{}}', "it is not an enum"),
        ('{"$type":"antigravity:X","value":{}}', "no imported module"),
        ('{"$type":"datetime","value":"secret"}', "does not fit it (ValueError)"),
        ('{"$type":"decimal","value":"secret"}', "does not fit it (InvalidOperation)"),
        ('{"$type":"set","value":[[1]]}', "does not fit it (TypeError)"),
        ('{"$type":"dict","value":[["secret"]]}', "does not fit it (ValueError)"),
        ('{"$type":"bytes","value":"secret!"}', "does not fit it (Error)"),
        ('{"$type":"datetime","value":"2024-01-01","state":{"zone":"../x"}}', "does not fit it"),
        ('{"$type":"datetime","value":"2024-01-01","state":{"zone":"No/Where"}}', "does not fit"),
        ('{"$type":"defaultdict","value":[],"state":{"factory":"exec"}}', "does not fit it"),
        ('{"$type":"tests.serialization_samples:Color","value":"GREEN"}', "no member"),
        ('{"$type":"tests.serialization_samples:Item","value":[]}', "are not an object"),
        ('{"$type":"tests.serialization_samples:Item","value":{}}', "the field 'name' is missing"),
        ('{"$type":"tests.serialization_samples:Point","value":{}}', "the field 'x' is missing"),
        ('{"$type":"tests.serialization_samples:Address","value":{}}', "the field 'city'"),
        ('{"$type":"tests.serialization_samples:date","value":{}}', "no imported module"),
    ],
    ids=lambda text: text[:50],
)
def test_damaged_or_hostile_text_is_refused_without_showing_it(text: str, reason: str) -> None:
    with pytest.raises(DBOSSerializationError) as caught:
        codec.decode(text, NATIVE)

    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "text", ['{"$type":1,"value":2}', '{"$type":"x"}', '{"$type":"a","value":1,"b":2}']
)
def test_an_object_of_another_language_that_only_resembles_a_tag_stays_an_object(text: str) -> None:
    assert codec.decode(text, NATIVE) == json.loads(text)


def test_a_null_column_is_none_and_no_arguments() -> None:
    assert codec.decode(None, NATIVE) is None
    assert codec.decode_arguments(None, NATIVE) == ((), {})


@pytest.mark.parametrize(
    "text",
    ["[1]", '{"positionalArgs":1}', '{"namedArgs":[]}', ('{"positionalArgs":[],"namedArgs":'
     '{"$type":"dict","value":[[1,2]]}}')],
)  # fmt: skip
def test_text_that_holds_no_arguments_is_refused(text: str) -> None:
    with pytest.raises(DBOSSerializationError, match="must be an object with a list"):
        codec.decode_arguments(text, NATIVE)


def test_arguments_written_by_hand_may_leave_out_a_kind() -> None:
    assert codec.decode_arguments('{"positionalArgs":[1]}', NATIVE) == ((1,), {})
    assert codec.decode_arguments('{"namedArgs":{"a":1}}', NATIVE) == ((), {"a": 1})


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
    from pyengine.serialization import registry

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
    local = registered(local_class())

    assert round_trip(local(3)) == local(3)


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
