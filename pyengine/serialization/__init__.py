"""How values become the JSON text that a payload column holds, and come back equal.

    codec         Codec: what the engine calls; chooses the form by the tag stored beside a payload
    native        "json": plain JSON stays plain, everything else is tagged with its type
    portable      "portable_json": what every language reads, types reduced to JSON's own
    serializers   Serializer: a form of the user's own, under a tag of its own
    pickling      "py_pickle", only for who asks for it

    walk          one pass over a value: nesting, the place of a refusal
    standard      the types of the standard library
    classes       enums, named tuples, dataclasses, pydantic models
    exceptions    exceptions, also those with unusual constructors
    registry      which classes a row may name; `register_type`
    arguments     checking the arguments of a queued workflow against its signature

Nothing is imported because a row says so, and nothing is unpickled unless the configuration asks
for it.
"""

from pyengine.errors import PortableWorkflowError
from pyengine.serialization.arguments import (
    ArgumentsValidator,
    make_pydantic_args_validator,
    parse_portable_dates,
    pydantic_args_validator,
)
from pyengine.serialization.codec import NATIVE, PORTABLE, Codec, WorkflowSerializationFormat
from pyengine.serialization.pickling import PickleSerializer
from pyengine.serialization.registry import register_type
from pyengine.serialization.serializers import DBOSPortableJSONSerializer, Serializer

__all__ = [
    "NATIVE",
    "PORTABLE",
    "ArgumentsValidator",
    "Codec",
    "DBOSPortableJSONSerializer",
    "PickleSerializer",
    "PortableWorkflowError",
    "Serializer",
    "WorkflowSerializationFormat",
    "make_pydantic_args_validator",
    "parse_portable_dates",
    "pydantic_args_validator",
    "register_type",
]
