"""What the engine promises, as a small program without a database, without locks and without SQL.

Each method does what the function of its name does, and returns what that answers. What is refused raises
`RefusalError` with a code. Time is in seconds and is put forward by `advance` alone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
LEASE_SECONDS = 500


class RefusalError(Exception):
    """The engine refuses with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Step:
    """A checkpoint. `until` is when its wait ends: for what is no wait, when it was recorded."""

    name: str
    output: str | None
    attempt: int
    until: float


@dataclass
class Workflow:
    """A workflow and all that belongs to it; payloads are json texts."""

    workflow_id: str
    status: str
    inputs: str
    order: int
    queue: str | None = None
    priority: int = 0
    key: str | None = None
    max_attempts: int | None = None
    attempts: int = 0
    token: str | None = None
    executor: int | None = None
    due: float | None = None
    timeout: float | None = None
    deadline: float | None = None
    output: str | None = None
    error: str | None = None
    forked_from: str | None = None
    steps: dict[int, Step] = field(default_factory=dict)
    mail: dict[str, list[tuple[str, str | None]]] = field(default_factory=dict)
    mail_keys: dict[str, int | None] = field(default_factory=dict)
    events: dict[str, tuple[int, str | None]] = field(default_factory=dict)
    history: dict[tuple[str, int], str | None] = field(default_factory=dict)


@dataclass
class Executor:
    """A process: when it was heard of last, and whether it was declared dead."""

    heard_at: float
    is_dead: bool = False


class Engine:
    """The model: an empty engine with the queue `q`, which has a limit."""

    def __init__(self) -> None:
        self.now = 0.0
        self.concurrency: int | None = 2
        self.workflows: dict[str, Workflow] = {}
        self.executors: dict[int, Executor] = {}
        self._orders = itertools.count()

    def _order(self) -> int:
        return next(self._orders)

    # Starting and claiming.

    def register(self, executor: int) -> None:
        self.executors[executor] = Executor(self.now)

    def start(
        self, workflow_id: str, inputs: str | None, token: str, executor: int, timeout: float | None
    ) -> tuple[str | None, str | None] | None:
        if self.executors[executor].is_dead:
            return "PE003", None
        known = self.workflows.get(workflow_id)
        if inputs is None:
            return "PE400", known.status if known else None
        if known:
            return None, known.status
        made = Workflow(workflow_id, "PENDING", inputs, self._order(), attempts=1, token=token)
        made.executor, made.timeout = executor, timeout
        made.deadline = None if timeout is None else self.now + timeout
        self.workflows[workflow_id] = made
        return None

    def enqueue(
        self,
        workflow_id: str,
        inputs: str | None,
        delay: float | None,
        key: str | None,
        **fields: object,
    ) -> tuple[str | None, str | None] | None:
        queue = fields["queue"]
        known = self.workflows.get(workflow_id)
        if inputs is None:
            return "PE400", known.status if known else None
        if known:
            return None, known.status
        if key is not None and any(
            w.key == key and w.queue == queue for w in self.workflows.values()
        ):
            return "PE409", None
        status = "ENQUEUED" if delay is None else "DELAYED"
        due = None if delay is None else self.now + delay
        made = Workflow(workflow_id, status, inputs, self._order(), due=due, key=key)
        self.workflows[workflow_id] = replace(made, **fields)  # type: ignore[arg-type]
        return None

    def claim(self, executor: int, token: str) -> list[str]:
        if self.executors[executor].is_dead:
            raise RefusalError("PE003")
        for workflow in self.workflows.values():
            if workflow.status == "DELAYED" and (workflow.due or 0) <= self.now:
                workflow.status = "ENQUEUED"
        claimed = []
        for workflow in self._in_order(None) + self._in_order("q")[: self._room()]:
            if workflow.max_attempts is not None and workflow.attempts >= workflow.max_attempts:
                workflow.status, workflow.key = "MAX_RECOVERY_ATTEMPTS_EXCEEDED", None
                continue
            workflow.status, workflow.token, workflow.executor = "PENDING", token, executor
            workflow.attempts += 1
            if workflow.deadline is None and workflow.timeout is not None:
                workflow.deadline = self.now + workflow.timeout
            claimed.append(workflow.workflow_id)
        return claimed

    def _in_order(self, queue: str | None) -> list[Workflow]:
        waiting = [
            w for w in self.workflows.values() if w.status == "ENQUEUED" and w.queue == queue
        ]
        return sorted(waiting, key=lambda w: (w.priority, w.order))

    def _room(self) -> int | None:
        if self.concurrency is None:
            return None
        running = sum(w.status == "PENDING" and w.queue == "q" for w in self.workflows.values())
        return max(self.concurrency - running, 0)

    # What only the run may do that holds the lease.

    def _held(self, workflow_id: str, token: str) -> Workflow:
        workflow = self.workflows.get(workflow_id)
        if workflow is None:
            raise RefusalError("PE404")
        if workflow.status == "CANCELLED":
            raise RefusalError("PE002")
        if workflow.token != token:
            raise RefusalError("PE001")
        return workflow

    def record(self, workflow_id: str, token: str, step: int, output: str | None) -> str | None:
        workflow = self._held(workflow_id, token)
        if step in workflow.steps:
            return workflow.steps[step].output
        workflow.steps[step] = Step("s", output, workflow.attempts, self.now)
        return None

    def finish(self, workflow_id: str, token: str, output: str | None, error: str | None) -> None:
        workflow = self._held(workflow_id, token)
        workflow.status = "SUCCESS" if error is None else "ERROR"
        workflow.output, workflow.error = output, error
        workflow.token = workflow.key = None

    def _wait_is_over(self, workflow: Workflow, step: int, seconds: float) -> bool:
        if step not in workflow.steps:
            workflow.steps[step] = Step("DBOS.sleep", None, workflow.attempts, self.now + seconds)
        return workflow.steps[step].until <= self.now

    def sleep(self, workflow_id: str, token: str, step: int, seconds: float) -> bool:
        return self._wait_is_over(self._held(workflow_id, token), step, seconds)

    def receive(
        self, workflow_id: str, token: str, step: int, topic: str, seconds: float
    ) -> tuple[bool, str | None]:
        workflow = self._held(workflow_id, token)
        if step in workflow.steps:
            return True, workflow.steps[step].output
        message = None
        if workflow.mail.get(topic):
            key, message = workflow.mail[topic].pop(0)
            if key:
                workflow.mail_keys[key] = step
        elif not self._wait_is_over(workflow, step + 1, seconds):
            return False, None
        workflow.steps[step] = Step("DBOS.recv", message, workflow.attempts, self.now)
        return True, message

    def set_event(
        self, workflow_id: str, token: str, step: int, key: str, value: str | None
    ) -> None:
        workflow = self._held(workflow_id, token)
        if step in workflow.steps:
            return
        workflow.steps[step] = Step("DBOS.setEvent", None, workflow.attempts, self.now)
        workflow.events[key] = (step, value)
        workflow.history[key, step] = value

    # What anybody may do.

    def send(self, workflow_id: str, topic: str, message: str | None, key: str) -> None:
        if workflow_id not in self.workflows:
            raise RefusalError("PE404")
        workflow = self.workflows[workflow_id]
        if key and key in workflow.mail_keys:
            return
        if key:
            workflow.mail_keys[key] = None
        workflow.mail.setdefault(topic, []).append((key, message))

    def cancel(self, workflow_id: str) -> list[str]:
        workflow = self.workflows.get(workflow_id)
        if workflow is None:
            return []
        if workflow.status not in ("SUCCESS", "ERROR"):
            workflow.status = "CANCELLED"
            workflow.token = workflow.key = workflow.due = None
        return [workflow_id] if workflow.status == "CANCELLED" else []

    def resume(self, workflow_id: str, queue: str | None) -> list[str]:
        workflow = self.workflows.get(workflow_id)
        if workflow is None or workflow.status in ("SUCCESS", "ERROR"):
            return []
        workflow.status, workflow.queue, workflow.attempts = "ENQUEUED", queue, 0
        workflow.token = workflow.key = workflow.due = workflow.deadline = None
        return [workflow_id]

    def fork(self, workflow_id: str, new_id: str, step: int) -> str:
        if workflow_id not in self.workflows:
            raise RefusalError("PE404")
        if new_id in self.workflows:
            raise RefusalError("PE409")
        old = self.workflows[workflow_id]
        made = Workflow(
            new_id, "ENQUEUED", old.inputs, self._order(), max_attempts=old.max_attempts
        )
        made.forked_from = workflow_id
        made.steps = {n: replace(s, attempt=0) for n, s in old.steps.items() if n < step}
        made.history = {at: value for at, value in old.history.items() if at[1] < step}
        self._restore_events(made)
        self.workflows[new_id] = made
        return new_id

    def rewind(self, workflow_id: str, step: int) -> None:
        workflow = self.workflows.get(workflow_id)
        if workflow is None:
            raise RefusalError("PE404")
        if workflow.status not in ENDED:
            raise RefusalError("PE409")
        workflow.steps = {n: s for n, s in workflow.steps.items() if n < step}
        workflow.history = {at: v for at, v in workflow.history.items() if at[1] < step}
        workflow.events = {key: e for key, e in workflow.events.items() if e[0] < step}
        self._restore_events(workflow)
        workflow.mail.clear()
        keys = workflow.mail_keys.items()
        workflow.mail_keys = {key: at for key, at in keys if at is not None and at < step}
        workflow.status, workflow.queue, workflow.attempts = "ENQUEUED", None, 0
        workflow.output = workflow.error = workflow.deadline = None

    @staticmethod
    def _restore_events(workflow: Workflow) -> None:
        for key, step in sorted(workflow.history, reverse=True):
            workflow.events.setdefault(key, (step, workflow.history[key, step]))

    def delete(self, workflow_id: str) -> list[str]:
        return [workflow_id] if self.workflows.pop(workflow_id, None) else []

    def set_delay(self, workflow_id: str, delay: float) -> None:
        workflow = self.workflows.get(workflow_id)
        if workflow is not None and workflow.status == "DELAYED":
            workflow.due = self.now + delay

    # Time.

    def tick(self, executor: int) -> bool:
        ticking = self.executors[executor]
        if not ticking.is_dead:
            ticking.heard_at = self.now
        for each in self.executors.values():
            each.is_dead = each.is_dead or each.heard_at + LEASE_SECONDS < self.now
        for workflow in self.workflows.values():
            if workflow.status == "PENDING" and self.executors[workflow.executor or 0].is_dead:
                self._give_back(workflow)
        return not ticking.is_dead

    def _give_back(self, workflow: Workflow) -> None:
        workflow.token, workflow.status, workflow.due = None, "ENQUEUED", None
        progressed = any(s.attempt == workflow.attempts for s in workflow.steps.values())
        if workflow.attempts >= 3 and not progressed:
            workflow.status = "DELAYED"
            workflow.due = self.now + min(2 ** min(workflow.attempts - 3, 10), 60)

    def cancel_overdue(self) -> None:
        for workflow in self.workflows.values():
            is_late = workflow.deadline is not None and workflow.deadline <= self.now
            if is_late and workflow.status not in ENDED:
                self.cancel(workflow.workflow_id)
