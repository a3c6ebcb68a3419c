"""The two drivers of flows, one for threads and one for event loops: the only logic that exists twice."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from pyengine.database import calls
from pyengine.database.calls import Call, Write
from pyengine.effects import Await, AwaitLocal, Delay, Effect, Flow, Invoke, WaitFor, drive
from pyengine.errors import DBOSException, DBOSStepTimeoutError, DBOSWorkflowCancelledError
from pyengine.runs import WorkflowRun
from pyengine.runtime.batches import Operation
from pyengine.runtime.gateway import Gateway
from pyengine.runtime.hibernation import Hibernation, Stay
from pyengine.runtime.local import LocalRuns, LostRun
from pyengine.runtime.waits import Ticket, Waits

T = TypeVar("T")
_logger = logging.getLogger("pyengine")


class Drivers:
    """Runs flows over a gateway; `lease_is_sure(run)` says whether a run can rely on its lease without asking."""

    def __init__(
        self,
        gateway: Gateway,
        waits: Waits,
        runs: LocalRuns,
        lease_is_sure: Callable[[WorkflowRun], bool],
        hibernation: Hibernation,
    ) -> None:
        self.gateway = gateway
        self.waits = waits
        self._runs = runs
        self._lease_is_sure = lease_is_sure
        self._hibernation = hibernation

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end, blocking this thread."""
        return drive(flow, self._perform)

    def run_detached(self, flow: Flow[Any], failed: Callable[[BaseException], None]) -> None:
        """Run a flow whose result nobody waits for here; what it ends with, if not well, goes to `failed`.

        The outcome of a workflow is its last word: the thread does not wait until it is stored, and may run the next
        workflow meanwhile. So many short workflows share a few threads, and their outcomes share a commit.
        """
        self._advance(flow, flow.__next__, failed)

    def _advance(
        self, flow: Flow[Any], resume: Callable[[], Effect], failed: Callable[[BaseException], None]
    ) -> None:
        def go_on(operation: Operation) -> None:
            error = operation.error
            self._advance(
                flow,
                (lambda: flow.send(operation.result))
                if error is None
                else (lambda: flow.throw(error)),
                failed,
            )

        try:
            effect = resume()
            while not (isinstance(effect, Write) and effect.kind == "finishes"):
                try:
                    value = self._perform(effect)
                except BaseException as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(value)
        except StopIteration:
            return
        except BaseException as error:
            failed(error)
        else:
            self.gateway.submit(effect, go_on)

    async def run_async(self, flow: Flow[T]) -> T:
        """Run a flow to its end on the running event loop."""
        try:
            effect = next(flow)
            while True:
                try:
                    value = await self._perform_async(effect)
                except BaseException as error:
                    effect = flow.throw(error)
                else:
                    effect = flow.send(value)
        except StopIteration as end:
            result: T = end.value
            return result

    def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, (Write, Call)):
            return self.gateway.run(effect)
        if isinstance(effect, Invoke):
            if effect.span is None:
                return self._invoke(effect)
            with effect.span.current():
                return self._invoke(effect)
        if isinstance(effect, (Await, AwaitLocal)):
            with self._waiting(effect.waiter), self._hibernation.thread():
                return (
                    self._await(effect) if isinstance(effect, Await) else self._await_local(effect)
                )
        _warn(effect)
        if self.gateway.sessions.closed.wait(effect.seconds):
            raise _destroyed()
        return None

    async def _perform_async(self, effect: Effect) -> Any:
        if isinstance(effect, (Write, Call)):
            return await self.gateway.run_async(effect)
        if isinstance(effect, Invoke):
            if effect.span is None:
                return await self._invoke_async(effect)
            with effect.span.current():
                return await self._invoke_async(effect)
        if isinstance(effect, Await):
            with self._waiting(effect.waiter):
                return await self._await_async(effect)
        if isinstance(effect, AwaitLocal):
            with self._waiting(effect.waiter):
                return await self._await_local_async(effect)
        _warn(effect)
        await asyncio.sleep(effect.seconds)
        return None

    @contextmanager
    def _waiting(self, run: WorkflowRun | None) -> Iterator[None]:
        """A run waits, which it may only while it has not ended."""
        if run is None:
            yield
            return
        run.check()
        with run.branch(), self._runs.waiting(run):
            yield

    def _must_ask(self, run: WorkflowRun) -> bool:
        """Whether a run must ask for its lease before a step: it was silent for long, or heard that it was lost."""
        is_doubtful, run.is_doubtful = run.is_doubtful, False
        return is_doubtful or not self._lease_is_sure(run)

    def _invoke(self, effect: Invoke) -> Any:
        if effect.run is not None and self._must_ask(effect.run):
            self.gateway.run(_lease_check(effect.run))
        began = time.perf_counter()
        try:
            return effect.function(*effect.args, **effect.kwargs)
        finally:
            effect.elapsed_ms = (time.perf_counter() - began) * 1000

    async def _invoke_async(self, effect: Invoke) -> Any:
        if effect.run is not None and self._must_ask(effect.run):
            await self.gateway.run_async(_lease_check(effect.run))
        began = time.perf_counter()
        try:
            value = effect.function(*effect.args, **effect.kwargs)
            if not inspect.isawaitable(value):
                return value
            if effect.timeout is None and not effect.preemptible:
                return await value
            return await self._bounded(effect, value)
        finally:
            effect.elapsed_ms = (time.perf_counter() - began) * 1000

    async def _bounded(self, effect: Invoke, value: Awaitable[Any]) -> Any:
        """Await a step within its timeout, and only while its workflow is not cancelled."""
        step = asyncio.ensure_future(value)
        ended: asyncio.Future[Any] | None = None
        if effect.preemptible and effect.run is not None:
            ended = asyncio.ensure_future(self._await_async(_end_of(effect.run)))
        awaited = {step} if ended is None else {step, ended}
        try:
            await asyncio.wait(awaited, timeout=effect.timeout, return_when=asyncio.FIRST_COMPLETED)
            if step.done():
                return step.result()
            preempted = ended is not None and ended.done()
            if await _stop(step) and not preempted:
                return step.result()
        finally:
            for task in awaited:
                await _stop(task)
        if preempted and effect.run is not None:
            raise effect.run.end(
                DBOSWorkflowCancelledError(
                    f"Workflow {effect.run.workflow_id} is cancelled. Aborting step."
                )
            )
        raise DBOSStepTimeoutError(effect.name, effect.timeout or 0.0)

    def _await(self, effect: Await) -> list[Any]:
        deadline = _deadline(effect)
        stay = self._hibernation.stay(effect, in_thread=True)
        ticket = self.waits.open(effect.keys)
        try:
            while True:
                rows: list[Any] = self.gateway.run(effect.call(self.waits.channel))
                left = _left(deadline, effect.left(rows))
                if left is None:
                    return rows
                if stay is not None and stay.is_over(left):
                    self._hibernate(stay, left)
                ticket.wait(_nap(left, stay))
                if self.gateway.sessions.closed.is_set():
                    raise _destroyed()
        finally:
            ticket.close()

    async def _await_async(self, effect: Await) -> list[Any]:
        deadline = _deadline(effect)
        stay = self._hibernation.stay(effect, in_thread=False)
        ticket: Ticket = self.waits.open(effect.keys)
        try:
            while True:
                rows: list[Any] = await self.gateway.run_async(effect.call(self.waits.channel))
                left = _left(deadline, effect.left(rows))
                if left is None:
                    return rows
                if stay is not None and stay.is_over(left):
                    await self._hibernate_async(stay, left)
                await ticket.wait_async(_nap(left, stay))
                if self.gateway.sessions.closed.is_set():
                    raise _destroyed()
        finally:
            ticket.close()

    def _await_local(self, effect: AwaitLocal) -> tuple[Any] | None:
        local = self._runs.find(effect.workflow_id)
        if local is None:
            return None
        if not local.is_settled and _runs_here(local.loop):
            raise RuntimeError(
                f"the result of workflow {effect.workflow_id} was waited for by blocking this event loop, "
                "which has to run it: await the get_result of an async handle instead"
            )
        stay = self._hibernation.stay(effect, in_thread=True)
        outcome = local.outcome()
        while not outcome.done():
            with suppress(concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
                outcome.exception(_finite(_nap(math.inf, stay)))
            if not outcome.done() and stay is not None and stay.is_over(math.inf):
                self._hibernate(stay, math.inf)
        try:
            return (outcome.result(),)
        except LostRun:
            return None

    async def _await_local_async(self, effect: AwaitLocal) -> tuple[Any] | None:
        local = self._runs.find(effect.workflow_id)
        if local is None:
            return None
        stay = self._hibernation.stay(effect, in_thread=False)
        outcome = asyncio.wrap_future(local.outcome())
        outcome.add_done_callback(_retrieve)
        while not outcome.done():
            await asyncio.wait((outcome,), timeout=_finite(_nap(math.inf, stay)))
            if not outcome.done() and stay is not None and stay.is_over(math.inf):
                await self._hibernate_async(stay, math.inf)
        try:
            return (outcome.result(),)
        except LostRun:
            return None

    def _hibernate(self, stay: Stay, left: float) -> None:
        """Give up the run of a wait, if the database agrees: it does not when the wait is over."""
        try:
            agreed = self.gateway.run(stay.call())[0]
        except BaseException as error:
            raise stay.failed(error) from None
        if agreed:
            raise stay.end(left)

    async def _hibernate_async(self, stay: Stay, left: float) -> None:
        """As `_hibernate`."""
        try:
            agreed = (await self.gateway.run_async(stay.call()))[0]
        except BaseException as error:
            raise stay.failed(error) from None
        if agreed:
            raise stay.end(left)


def _destroyed() -> DBOSException:
    return DBOSException("pyengine was destroyed while this call was waiting")


async def _stop(task: asyncio.Future[Any]) -> bool:
    """Cancel a task and wait until it has ended; True when it completed all the same."""
    task.cancel()
    await asyncio.wait({task})
    return not task.cancelled() and task.exception() is None


def _runs_here(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Whether this is the thread of a loop."""
    try:
        return loop is not None and asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _warn(effect: Delay) -> None:
    if effect.reason is not None:
        _logger.warning("%s in %.3g s", effect.reason, effect.seconds)


def _lease_check(run: WorkflowRun) -> Call[None]:
    return calls.check_lease(workflow_id=run.workflow_id, lease_token=run.lease_token)


def _end_of(run: WorkflowRun) -> Await:
    def call(channel: str | None) -> Call[Any]:
        return calls.await_workflows(workflow_ids=[run.workflow_id], channel=channel)

    return Await(call, [WaitFor("result", run.workflow_id)])


def _deadline(effect: Await) -> float:
    return math.inf if effect.timeout is None else time.monotonic() + effect.timeout


def _retrieve(outcome: asyncio.Future[Any]) -> None:
    """An error that nobody waits for any more is not worth a warning of the event loop."""
    if not outcome.cancelled():
        outcome.exception()


def _nap(left: float, stay: Stay | None) -> float:
    """For how long to wait before the next look: at what is waited for, or at how long that stays in memory."""
    return left if stay is None else min(left, stay.seconds())


def _finite(seconds: float) -> float | None:
    """A time as a timeout: None is none."""
    return None if seconds == math.inf else seconds


def _left(deadline: float, left: float | None) -> float | None:
    """For how long to wait before looking again; None when the wait is over."""
    if left is None:
        return None
    remaining = deadline - time.monotonic()
    return None if remaining <= 0 else min(remaining, left)


FORKED = (
    "this process was forked from one that had launched or connected, and threads and connections stay with that one. "
    "Call DBOS.launch(), or make a DBOSClient, after the fork"
)


class NoDrivers(Drivers):
    """In a forked process, in the place of the parent's: carries out nothing."""

    def __init__(self) -> None:
        """They have no parts."""

    def run(self, flow: Flow[T]) -> T:
        """Refuse it. Raises DBOSException."""
        flow.close()
        raise DBOSException(FORKED)

    async def run_async(self, flow: Flow[T]) -> T:
        """Refuse it. Raises DBOSException."""
        flow.close()
        raise DBOSException(FORKED)
