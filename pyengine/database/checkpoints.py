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
