"""What goes to the server in one statement: one call, or the writes of one moment in one commit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pyengine.database import rows
from pyengine.database.calls import BATCHES, Call, Write
from pyengine.database.session import Parameters, encode_parameter, make_rows

_MIXED = "apply_batch"
_NAME_THE_EXECUTOR = frozenset(("start_workflows", _MIXED))


class Operation:
    """One call or write on its way: what it is, and its outcome once it is settled."""

    __slots__ = ("alone", "error", "item", "result", "settled")

    def __init__(self, item: Call[Any] | Write) -> None:
        self.item = item
        self.result: Any = None
        self.error: BaseException | None = None
        self.settled = False
        self.alone = False

    def settle(self, result: Any) -> None:
        """It is durable, with this result."""
        self.result = result
        self.settled = True

    def fail(self, error: BaseException) -> None:
        """It was refused, and stored nothing."""
        self.error = error
        self.settled = True

    def outcome(self) -> Any:
        """The result, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.result


@dataclass(frozen=True, slots=True)
class Batch:
    """Operations that go in one statement."""

    operations: Sequence[Operation]
    text: str
    parameters: Parameters

    @property
    def writes(self) -> bool:
        """Whether it is a commit of workflows' progress, rather than a call."""
        return isinstance(self.operations[0].item, Write)

    def settle(self, found: list[tuple[Any, ...]]) -> None:
        """Give each operation its part of the rows that the statement returned."""
        first = self.operations[0].item
        if isinstance(first, Call):
            self.operations[0].settle(make_rows(first, found))
            return
        answers = self._answers(found) if found else {}
        counts: dict[str, int] = {}
        for operation in self.operations:
            kind = operation.item.kind  # type: ignore[union-attr]
            counts[kind] = counts.get(kind, 0) + 1
            operation.settle(answers.get((kind, counts[kind])))

    def _answers(self, found: list[tuple[Any, ...]]) -> dict[tuple[str, int], Any]:
        if self.text.count(_MIXED):
            mixed = [rows.BatchAnswer(*row) for row in found]
            return {(a.kind, a.item): BATCHES[a.kind][1](**json.loads(a.answer)) for a in mixed}
        kind = self.operations[0].item.kind  # type: ignore[union-attr]
        answers = [BATCHES[kind][1](*row) for row in found]
        return {(kind, answer.item): answer for answer in answers}


def compile_batch(operations: Sequence[Operation], schema: str, executor_id: int | None) -> Batch:
    """The statement that does these operations: a single call, or any number of writes."""
    first = operations[0].item
    if isinstance(first, Call):
        values = [encode_parameter(value) for value in first.arguments.values()]
        return Batch(operations, first.text(schema), values)
    documents: dict[str, list[str]] = {}
    for operation in operations:
        item = operation.item
        documents.setdefault(item.kind, []).append(item.document)  # type: ignore[union-attr]
    if len(documents) == 1:
        ((kind, items),) = documents.items()
        function = BATCHES[kind][0]
        body = _body(items)
    else:
        function = _MIXED
        parts = ",".join(f'"{kind}":{_body(items)}' for kind, items in documents.items())
        body = "{" + parts + "}"
    parameters = [encode_parameter(body)]
    if function in _NAME_THE_EXECUTOR:
        parameters.append(encode_parameter(executor_id))
    return Batch(operations, _text(schema, function), parameters)


def _body(documents: Sequence[str]) -> str:
    """The documents of a batch; one alone goes as itself, which is quicker for the server."""
    return documents[0] if len(documents) == 1 else f"[{','.join(documents)}]"


@lru_cache(maxsize=64)
def _text(schema: str, function: str) -> str:
    rows_of = dict(BATCHES.values())
    arguments = ["batch" if function == _MIXED else "requests"]
    if function in _NAME_THE_EXECUTOR:
        arguments.append("executor_id")
    return Call(function, dict.fromkeys(arguments), rows_of.get(function, rows.BatchAnswer)).text(
        schema
    )
