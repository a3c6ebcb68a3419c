"""From what is recorded of a workflow to the rows of its timeline. Times that are not recorded stay unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pyengine.commands.printing import counted
from pyengine.commands.timeline.rows import Kind, Row, Span
from pyengine.database.rows import StepRow, WorkflowRow

_SLEEP = "DBOS.sleep"
_WAITS = ("DBOS.recv", "DBOS.getEvent")
_GET_RESULT = "DBOS.getResult"
_CONTINUE = "DBOS.continueAsNew"
_REQUEUED = ("ENQUEUED", "DELAYED")
_DEAD = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
_STATUSES = {"SUCCESS": "ok", _DEAD: "dead letter"}
_NOT_RECORDED = "its start and its end are not recorded"

# The generation of a workflow that begins again as new, whether it is over, and the attempt in it.
_Run = tuple[int, bool, int]


@dataclass(frozen=True, slots=True)
class History:
    """What is recorded of a workflow.

    Attributes:
        workflow: its row.
        steps: its steps in their order, or some of them.
        neighbours: these and those next to them, by number.
        children: the workflows that steps name, by id, as far as they are to be shown.
        now: the engine's time.
        is_part: whether it has other steps.
    """

    workflow: WorkflowRow
    steps: Sequence[StepRow]
    neighbours: Mapping[int, StepRow]
    children: Mapping[str, WorkflowRow]
    now: datetime
    is_part: bool

    def groups(self) -> list[list[Row]]:
        """The rows, in groups inside which alike ones may be folded."""
        copied = [step for step in self.steps if step.attempt == 0]
        runs = self._runs()
        if self.is_part:  # what came before and after is not looked at
            parts = (self._run(run, steps) for run, steps in runs.items())
            return [self._copied(copied), *(group for part in parts for group in part)]
        return [
            self._copied(copied),
            self._before_the_start(is_first=self._start_is_first(runs)),
            *(group for run, steps in runs.items() for group in self._run(run, steps)),
            self._marks(),
        ]

    def _runs(self) -> dict[_Run, list[StepRow]]:
        """The steps of each run, those of the last behind the others."""
        workflow = self.workflow
        runs: dict[_Run, list[StepRow]] = {}
        generation = 0
        for step in self.steps:
            if step.attempt != 0:
                run = (generation, self._is_earlier(step), step.attempt)
                runs.setdefault(run, []).append(step)
                generation += step.name == _CONTINUE
        if workflow.started_at is not None and workflow.attempt_count and not self.is_part:
            last = (generation, False, workflow.attempt_count)
            runs[last] = runs.pop(last, [])
        return runs

    def _is_earlier(self, step: StepRow) -> bool:
        """Whether a step was recorded before the last start. A sleep is recorded when it begins."""
        start = self.workflow.started_at if self.workflow.attempt_count else None
        recorded_at = step.started_at if step.name == _SLEEP else step.completed_at
        return start is None or recorded_at < start

    def _start_is_first(self, runs: Mapping[_Run, object]) -> bool:
        """Whether the one start that the row knows is the first there was."""
        is_requeued = self.workflow.status in _REQUEUED and self.workflow.attempt_count > 0
        was_before = any(is_earlier for _, is_earlier, _ in runs)
        return self.workflow.attempt_count <= 1 and not was_before and not is_requeued

    def _copied(self, steps: Sequence[StepRow]) -> list[Row]:
        if not steps:
            return []
        origin = self.workflow.forked_from or "its original"
        return [
            self._row(
                "copied",
                f"{len(steps)} of {origin}",
                note=f"{counted(len(steps), 'step')} copied from {origin}, which recorded what it did",
                count=len(steps),
            )
        ]

    def _before_the_start(self, *, is_first: bool) -> list[Row]:
        workflow = self.workflow
        waits = workflow.status in _REQUEUED
        name = "queue" if workflow.queue_name is None else f"queue {workflow.queue_name}"
        if not is_first:
            created = self._row(
                "created",
                "created",
                spans=(Span(workflow.created_at, workflow.created_at),),
                note="its first start is not recorded",
            )
            return [created, *([self._waits_again(name)] if waits else [])]
        stop = workflow.started_at or workflow.finished_at
        begin, rows = workflow.created_at, []
        if workflow.delayed_until is not None and workflow.delayed_until > begin:
            is_delayed = workflow.status == "DELAYED"
            end = workflow.delayed_until if stop is None else min(workflow.delayed_until, stop)
            rows.append(
                self._row(
                    "delay",
                    "delayed",
                    spans=(Span(begin, None if is_delayed else end),),
                    outcome="open" if is_delayed else None,
                    until=workflow.delayed_until,
                )
            )
            begin = end
        if workflow.status != "DELAYED" and (stop is None or stop > begin):
            outcome = "open" if stop is None else None
            rows.append(self._row("queue", name, spans=(Span(begin, stop),), outcome=outcome))
        return rows

    def _waits_again(self, name: str) -> Row:
        workflow = self.workflow
        is_delayed = workflow.status == "DELAYED"
        return self._row(
            "delay" if is_delayed else "queue",
            "delayed again" if is_delayed else f"{name} again",
            spans=(Span(self.now, None),),
            outcome="open",
            until=workflow.delayed_until if is_delayed else None,
            note="since when is not recorded",
        )

    def _run(self, run: _Run, steps: Sequence[StepRow]) -> list[list[Row]]:
        _, is_earlier, attempt = run
        workflow = self.workflow
        rows = self._steps(steps)
        is_last = (is_earlier, attempt) == (False, workflow.attempt_count)
        if not is_last or workflow.started_at is None:
            seen = tuple(span for row in rows for span in row.spans if row.kind != "child")
            note = f"{_NOT_RECORDED}, only its steps are"
            head = self._row(
                "attempt", f"attempt {attempt}", spans=seen, attempt=attempt, note=note
            )
            return [[replace(head, has_times=False)], rows]
        return [self._unrecorded(), [self._last_attempt(steps)], rows]

    def _unrecorded(self) -> list[Row]:
        """The attempts before the last that recorded nothing."""
        known = {step.attempt for step in self.steps}
        missing = [n for n in range(1, self.workflow.attempt_count) if n not in known]
        if not missing or self.is_part:
            return []
        name = f"attempt {missing[0]}" if len(missing) == 1 else f"{len(missing)} attempts"
        note = "no step was recorded, nor when" if self.steps else "nothing was recorded"
        return [self._row("attempt", name, note=note, count=len(missing))]

    def _last_attempt(self, steps: Sequence[StepRow]) -> Row:
        workflow = self.workflow
        assert workflow.started_at is not None
        name = f"attempt {workflow.attempt_count}"
        if workflow.executor_name is not None:
            name += f" ({workflow.executor_name})"
        outcome, note = None, None
        end: datetime | None = workflow.finished_at
        if workflow.status == "PENDING":
            outcome = "hibernates" if workflow.lease_token is None else "pending"
        elif workflow.status in (*_REQUEUED, _DEAD):
            recorded = [step.completed_at for step in steps if step.name != _SLEEP]
            end = max((workflow.started_at, *recorded))
            outcome, note = "lost", "its end is not recorded: it is drawn up to its last step"
        return self._row(
            "attempt",
            name,
            spans=(Span(workflow.started_at, end),),
            outcome=outcome,
            attempt=workflow.attempt_count,
            note=note,
        )

    def _steps(self, steps: Sequence[StepRow]) -> list[Row]:
        by_id, rows = self.neighbours, []
        for step in steps:
            before = by_id.get(step.step_id - 1)
            if step.name != _SLEEP:
                rows.append(self._step(step, by_id.get(step.step_id + 1)))
            elif before is None or before.name not in _WAITS:
                rows.append(self._timer(step, is_sleep=step.step_id == 1 or before is not None))
        return rows

    def _step(self, step: StepRow, following: StepRow | None) -> Row:
        outcome = "ok" if step.error is None else "error"
        child = self.children.get(step.child_workflow_id or "")
        if child is not None and step.name != _GET_RESULT:
            return self._child(step, child)
        begin = step.started_at
        is_wait = step.name in _WAITS
        if is_wait and following is not None and following.name == _SLEEP:
            begin = min(begin, following.started_at)
        kind: Kind = "wait" if is_wait else "step"
        return self._of_step(step, kind, Span(begin, step.completed_at), outcome)

    def _timer(self, step: StepRow, *, is_sleep: bool) -> Row:
        """A sleep, or a wait for a message or an event that has not come: its step is the next after the wait's."""
        bound = self.workflow.finished_at
        end = step.completed_at if bound is None else min(step.completed_at, bound)
        is_open = bound is None and end > self.now
        row = self._of_step(
            step,
            "sleep" if is_sleep else "wait",
            Span(step.started_at, None if is_open else max(end, step.started_at)),
            "open" if is_open else None,
        )
        name = step.name if is_sleep else "message or event"
        return replace(row, name=name, until=step.completed_at)

    def _child(self, step: StepRow, child: WorkflowRow) -> Row:
        span = Span(child.created_at, child.finished_at)
        return self._of_step(step, "child", span, outcome_of(child))

    def _of_step(self, step: StepRow, kind: Kind, span: Span, outcome: str | None) -> Row:
        return self._row(
            kind,
            step.name,
            spans=(span,),
            outcome=outcome,
            step_id=step.step_id,
            attempt=step.attempt,
            child_workflow_id=step.child_workflow_id,
        )

    def _marks(self) -> list[Row]:
        workflow = self.workflow
        deadline, finished = workflow.deadline_at, workflow.finished_at
        rows = []
        if deadline is not None and deadline <= (finished or self.now):
            rows.append(self._row("deadline", "deadline", spans=(Span(deadline, deadline),)))
        if finished is not None:
            span = Span(finished, finished)
            rows.append(self._row("end", "end", spans=(span,), outcome=outcome_of(workflow)))
        return rows

    def _row(
        self,
        kind: Kind,
        name: str,
        *,
        spans: tuple[Span, ...] = (),
        outcome: str | None = None,
        step_id: int | None = None,
        attempt: int | None = None,
        child_workflow_id: str | None = None,
        until: datetime | None = None,
        note: str | None = None,
        count: int = 1,
    ) -> Row:
        return Row(
            kind=kind,
            name=name,
            workflow_id=self.workflow.workflow_id,
            spans=spans,
            outcome=outcome,
            step_id=step_id,
            attempt=attempt,
            child_workflow_id=child_workflow_id,
            until=until,
            note=note,
            count=count,
        )


def outcome_of(workflow: WorkflowRow) -> str:
    """A workflow's status in one or two words."""
    return _STATUSES.get(workflow.status, workflow.status.lower())
