"""Where the checkpoint of a transactional step goes: into the transaction that holds the user's writes.

In the engine's own database that is its function, which also checks the lease. In a separate application
database it is a table of that database; the lease is then asked for before the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyengine.database import calls

_FIND = """
select c.name, c.serialization, c.output::text
from {schema}.transaction_checkpoints c
where c.workflow_id = $1 and c.step_id = $2
"""
_FORGET = """
delete from {schema}.transaction_checkpoints c where c.workflow_id = any ($1::text[]) and c.step_id >= $2::int
"""
_COPY = """
insert into {schema}.transaction_checkpoints (workflow_id, step_id, name, serialization, output)
select $2, c.step_id, c.name, c.serialization, c.output
from {schema}.transaction_checkpoints c
where c.workflow_id = $1 and c.step_id < $3::int
on conflict do nothing
"""
_INSERT = """
insert into {schema}.transaction_checkpoints (workflow_id, step_id, name, serialization, output)
values ($1, $2, $3, $4, $5::json)
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with `$n` parameters, and their values."""

    text: str
    values: Sequence[object]

    @property
    def query(self) -> bytes:
        """The text as psycopg takes it when it is not a literal of the source."""
        return self.text.encode()


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The statements for the checkpoints of one application.

    Args:
        schema: The engine's schema; the same name in both databases.
        is_separate: Whether the application has another database than the engine.
    """

    schema: str
    is_separate: bool

    def find(self, workflow_id: str, step_id: int) -> Statement:
        """Read a checkpoint of the application's database: name, serialization, output as text."""
        return Statement(_FIND.format(schema=_quoted(self.schema)), [workflow_id, step_id])

    def forget(self, workflow_ids: Sequence[str], from_step: int) -> Statement:
        """Remove the checkpoints of workflows in the application's database, from a step on."""
        text = _FORGET.format(schema=_quoted(self.schema))
        return Statement(text, [list(workflow_ids), from_step])

    def copy(self, source_id: str, target_id: str, before_step: int) -> Statement:
        """Give a fork the checkpoints that its original has in the application's database before a step."""
        return Statement(
            _COPY.format(schema=_quoted(self.schema)), [source_id, target_id, before_step]
        )

    def record(
        self,
        *,
        workflow_id: str,
        lease_token: str,
        step_id: int,
        name: str,
        serialization: str,
        output: str,
        elapsed_ms: float,
    ) -> Statement:
        """Store a checkpoint in the user's transaction."""
        if self.is_separate:
            text = _INSERT.format(schema=_quoted(self.schema))
            return Statement(text, [workflow_id, step_id, name, serialization, output])
        call = calls.record_step_in_transaction(
            workflow_id=workflow_id,
            lease_token=lease_token,
            step_id=step_id,
            name=name,
            serialization=serialization,
            output=output,
            elapsed_ms=elapsed_ms,
        )
        return Statement(call.text(self.schema), list(call.arguments.values()))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
