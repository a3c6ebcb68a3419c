"""Where the checkpoint of a transactional step goes: into the transaction that holds the user's writes.

In the engine's own database that is its function, which also checks the lease. In a separate application
database it is a table of that database; the lease is then asked for before the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timezone

from pyengine.database import calls
from pyengine.database.rows import WorkflowOrigin

_FIND = """
select c.name, c.serialization, c.output::text
from {schema}.transaction_checkpoints c
where c.workflow_id = $1 and c.step_id = $2 and c.origin = any ($3::text[]) and c.owner in ($4, '')
"""
_FORGET = """
delete from {schema}.transaction_checkpoints c
where c.workflow_id = any ($1::text[]) and c.step_id >= $2::int and c.owner in ($3, '')
"""
_COPY = """
with copied as (
    insert into {schema}.transaction_checkpoints as t (
        workflow_id, step_id, origin, owner, name, serialization, output
    )
    select distinct on (c.step_id) $2, c.step_id, $4, $6, c.name, c.serialization, c.output
    from {schema}.transaction_checkpoints c
    where c.workflow_id = $1 and c.step_id < $3::int and c.owner in ($6, '') and (
        c.origin = ($5::text[])[1 + (select count(*) from unnest($7::int[]) r (step) where r.step <= c.step_id)]
        or (c.origin = $8 and not exists (select from unnest($7::int[]) r (step) where r.step <= c.step_id))
    )
    order by c.step_id
    on conflict on constraint transaction_checkpoints_pkey do update
    set name = excluded.name, serialization = excluded.serialization, output = excluded.output,
        created_at = clock_timestamp()
    returning t.step_id
)
delete from {schema}.transaction_checkpoints c
where c.workflow_id = $2 and c.origin = $4 and c.owner = $6 and c.step_id not in (select d.step_id from copied d)
"""
_INSERT = """
insert into {schema}.transaction_checkpoints (workflow_id, step_id, origin, name, serialization, output, owner)
values ($1, $2, $3, $4, $5, $6::json, $7)
"""
_BEGIN_UPKEEP = """
insert into {schema}.checkpoint_upkeep (owner) values ($1) on conflict on constraint checkpoint_upkeep_pkey do nothing
"""
# What is younger may belong to a fork that is about to be made.
_BEGIN_BATCH = """
select array(
    select distinct c.workflow_id
    from {schema}.transaction_checkpoints c
    where c.workflow_id > u.cursor_id and c.owner = $2
    order by c.workflow_id
    limit $1
)
from {schema}.checkpoint_upkeep u
where u.owner = $2 and u.next_at <= clock_timestamp()
for update skip locked
"""
_FORGET_GONE = """
delete from {schema}.transaction_checkpoints c
where c.workflow_id = any ($1::text[]) and c.owner = $4 and c.created_at < clock_timestamp() - interval '1 hour'
    and not exists (
        select from unnest($2::text[], $3::text[]) o (workflow_id, origin)
        where o.workflow_id = c.workflow_id and o.origin = c.origin
    )
"""
_END_BATCH = """
update {schema}.checkpoint_upkeep u
set cursor_id = $1, next_at = clock_timestamp() + make_interval(secs => $2)
where u.owner = $3
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
    """The statements for the checkpoints of one application. Their owner is the engine of the workflows, by its id.

    Args:
        schema: The engine's schema; the same name in both databases.
        is_separate: Whether the application has another database than the engine.
    """

    schema: str
    is_separate: bool

    def find(self, workflow_id: str, step_id: int, origins: Sequence[str], owner: str) -> Statement:
        """Read a checkpoint of the application's database: name, serialization, output as text."""
        return self._statement(_FIND, workflow_id, step_id, list(origins), owner)

    def forget(self, workflow_ids: Sequence[str], from_step: int, owner: str) -> Statement:
        """Remove the checkpoints of workflows in the application's database, from a step on."""
        return self._statement(_FORGET, list(workflow_ids), from_step, owner)

    def copy(
        self, source: WorkflowOrigin, target_id: str, before_step: int, owner: str
    ) -> Statement:
        """Give a fork that is about to be made the checkpoints that its original has there before a step."""
        origin = _copied_from(source.workflow_id)
        return self._statement(
            _COPY,
            source.workflow_id,
            target_id,
            before_step,
            origin,
            _own_origins(source),
            owner,
            list(source.rewound_steps or ()),
            None if source.forked_from is None else _copied_from(source.forked_from),
        )

    def begin_upkeep(self, owner: str) -> Statement:
        """Make sure that there is a row of the upkeep."""
        return self._statement(_BEGIN_UPKEEP, owner)

    def begin_batch(self, limit: int, owner: str) -> Statement:
        """Lock the upkeep, if it is time and nobody else is at it: the next ids of workflows."""
        return self._statement(_BEGIN_BATCH, limit, owner)

    def forget_gone(
        self, workflow_ids: Sequence[str], known: Sequence[WorkflowOrigin], owner: str
    ) -> Statement:
        """Remove what none of the known workflows could find, of workflows with these ids."""
        pairs = [(each.workflow_id, origin) for each in known for origin in _all_origins(each)]
        return self._statement(
            _FORGET_GONE,
            list(workflow_ids),
            [pair[0] for pair in pairs],
            [pair[1] for pair in pairs],
            owner,
        )

    def end_batch(self, cursor_id: str, pause_seconds: float, owner: str) -> Statement:
        """Remember how far the upkeep has come, and when it goes on."""
        return self._statement(_END_BATCH, cursor_id, pause_seconds, owner)

    def _statement(self, text: str, *values: object) -> Statement:
        return Statement(text.format(schema=calls.quoted_schema(self.schema)), values)

    def record(
        self,
        *,
        workflow_id: str,
        lease_token: str,
        origin: str,
        owner: str,
        step_id: int,
        name: str,
        serialization: str,
        output: str,
        elapsed_ms: float,
    ) -> Statement:
        """Store a checkpoint in the user's transaction; origin and owner count in a separate database."""
        if self.is_separate:
            return self._statement(
                _INSERT, workflow_id, step_id, origin, name, serialization, output, owner
            )
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


def origins(workflow: WorkflowOrigin, step_id: int) -> list[str]:
    """By what a workflow knows its own checkpoints of a step: the first is that of those that it makes.

    An id may be used again after its workflow was removed; the time of creation then is another. What was stored before
    the step was rewound is of another origin too.
    """
    rewinds = sum(step <= step_id for step in workflow.rewound_steps or ())
    own = _own_origins(workflow)[rewinds]
    if workflow.forked_from is None or rewinds:
        return [own]
    return [own, _copied_from(workflow.forked_from)]


def _own_origins(workflow: WorkflowOrigin) -> list[str]:
    """Those of steps that were rewound never, once, and so on."""
    created = workflow.created_at.astimezone(timezone.utc).isoformat(timespec="microseconds")
    rewinds = range(1, len(workflow.rewound_steps or ()) + 1)
    return [created, *(f"{created} rewound {count}" for count in rewinds)]


def _all_origins(workflow: WorkflowOrigin) -> list[str]:
    """All that a step of the workflow may have."""
    copied = [] if workflow.forked_from is None else [_copied_from(workflow.forked_from)]
    return [*_own_origins(workflow), *copied]


def _copied_from(workflow_id: str) -> str:
    return f"copied from {workflow_id}"
