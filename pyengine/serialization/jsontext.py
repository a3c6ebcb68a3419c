"""Compact JSON text: written so that PostgreSQL accepts it, read without showing it in errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

from pyengine.errors import DBOSSerializationError

dumps: Callable[[Any], str] = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode


def is_storable_text(text: str) -> bool:
    """Say whether PostgreSQL can store the text in any type: no NUL, no lone surrogate."""
    return "\0" not in text and is_utf8(text)


def is_utf8(text: str) -> bool:
    """Say whether the text has a UTF-8 form, that is no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def readable(text: str) -> str:
    """Replace what PostgreSQL cannot store, for text that only people read."""
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if is_utf8(text) else text.encode(errors="replace").decode()


def _refuse_constant(constant: str) -> NoReturn:
    raise DBOSSerializationError(f"the stored payload is not JSON: it contains a bare {constant}")


def _finite(digits: str) -> float:
    number = float(digits)
    if number - number != 0.0:
        raise DBOSSerializationError(
            "the stored payload contains a number that is too large for a float; "
            "store it as a decimal instead"
        )
    return number


def reader(object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Callable[[str], Any]:
    """Make a function that parses JSON text.

    Args:
        object_hook: What to make of each object, innermost first; None leaves dictionaries.

    Returns:
        A function of the text. It raises DBOSSerializationError, which never shows the text.
    """
    decode = json.JSONDecoder(
        object_hook=object_hook, parse_constant=_refuse_constant, parse_float=_finite
    ).decode

    def read(text: str) -> Any:
        try:
            return decode(text)
        except DBOSSerializationError:
            raise
        except json.JSONDecodeError as error:
            # Not chained: the parser's error carries the whole text.
            reason = f"the stored payload is not JSON at line {error.lineno} column {error.colno}"
        except RecursionError:
            reason = "the stored payload is nested too deeply to be read"
        except ValueError:
            reason = "the stored payload contains an integer with too many digits"
        raise DBOSSerializationError(reason)

    return read


loads = reader()
