"""The native form: what goes in comes out equal in type and value, or is refused at the call."""

from __future__ import annotations

import json
import math
from collections import Counter, OrderedDict, defaultdict, deque
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

from pyengine.errors import DBOSSerializationError
from pyengine.serialization import NATIVE, Codec
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
    time(1, 2, tzinfo=timezone(timedelta(microseconds=1))),
    datetime(2024, 1, 2, tzinfo=timezone(timedelta(microseconds=-1), "odd")),
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
