"""The classes that the tests of serialization store, at module level so that rows can name them."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum, Flag, IntEnum
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel

from pyengine.errors import DBOSException

T = TypeVar("T")


class Color(Enum):
    RED = "red"
    BLUE = "blue"
    CRIMSON = "red"  # noqa: PIE796 - an alias is stored as what it stands for


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Word(str, Enum):
    YES = "yes"


class Access(Flag):
    READ = 1
    WRITE = 2


class Odd(Enum):
    FUNCTION = (len,)


class Point(NamedTuple):
    x: int
    y: int = 0


Pair = namedtuple("Pair", "left right")  # noqa: PYI024 - the untyped form must work too


@dataclass
class Item:
    name: str
    price: float = 1.0
    tags: list[str] = field(default_factory=list)


@dataclass
class Order:
    id: int
    items: list[Item]
    placed: datetime | None = None
    total: float = field(init=False)

    def __post_init__(self) -> None:
        self.total = sum(item.price for item in self.items)
        self.note = "made"

    @cached_property
    def names(self) -> list[str]:
        return [item.name for item in self.items]


@dataclass(frozen=True)
class Frozen:
    day: date
    parts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.parts:
            raise AssertionError("a stored value is not checked again")


@dataclass(frozen=True)
class Key:
    part: int


@dataclass(frozen=True, slots=True)
class WithSlots:
    a: int
    b: str


@dataclass
class Holder(Generic[T]):
    content: T


class Address(BaseModel):
    city: str
    zip: str | None = None


class Customer(BaseModel):
    name: str = Field(alias="Name", min_length=3)
    addresses: list[Address] = []
    born: date | None = None
    _secret: int = PrivateAttr(default=3)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int = 0


class Sealed(BaseModel):
    model_config = ConfigDict(frozen=True)
    a: tuple[int, ...]


class Numbers(RootModel[list[int]]):
    pass


class Box(BaseModel, Generic[T]):
    content: T


BoxOfDate = Box[date]


class PlainError(Exception):
    pass


class KeywordError(Exception):
    def __init__(self, *, code: int, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code
        self.reason = reason


class FormattingError(Exception):
    def __init__(self, name: str, limit: int) -> None:
        super().__init__(f"{name} exceeds {limit}")
        self.name = name
        self.limit = limit


class SilentError(Exception):
    def __init__(self, value: int) -> None:
        self.value = value


class ReducingError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"value {value}")
        self.value = value

    def __reduce__(self) -> Any:
        return ReducingError, (self.value,)


class FileError(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "not there", path)


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class StubbornError(Exception):
    """Refuses to be pickled, and to give its code."""

    @property
    def code(self) -> int:
        raise RuntimeError("no code")

    def __reduce__(self) -> Any:
        raise TypeError("not picklable")


class HoldingError(Exception):
    def __init__(self, message: str, connection: object) -> None:
        super().__init__(message)
        self.connection = connection
        self.hint = "retry"


@dataclass
class DataError(Exception):
    field_name: str
    count: int = 0


class ShopError(DBOSException):
    def __init__(self, *, order: int) -> None:
        self.order = order
        super().__init__(f"order {order} failed")


class Money:
    """A class that only `register_type` makes storable."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents

    def __hash__(self) -> int:
        return hash(self.cents)


class Unknown:
    """A class that nothing makes storable."""


class Label(str):
    """A subclass of text that would come back as text."""

    __slots__ = ()


def local_class() -> type:
    @dataclass
    class Local:
        a: int

    return Local
