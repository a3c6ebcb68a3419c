"""From an enqueue of a registered function to what can be stored, one or many."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pyengine.context import EnqueueChoice, check_enqueue_choice, current_options
from pyengine.decorators import registered_workflow
from pyengine.effects import Flow
from pyengine.enqueue_options import placement_of
from pyengine.errors import DBOSException, DBOSInvalidArgumentError
from pyengine.execution import Runtime
from pyengine.preparation import Prepared

MANY = 10_000


def enqueue_flow(
    runtime: Runtime,
    queue_name: str,
    func: Callable[..., Any] | Callable[..., Coroutine[Any, Any, Any]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Flow[str]:
    """Enqueue a workflow under the options of the surrounding blocks; the id of the workflow."""
    return runtime.enqueue(prepare_enqueue(runtime, queue_name, func, args, kwargs))


def prepare_enqueue(
    runtime: Runtime,
    queue_name: str,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    is_independent: bool = False,
) -> Prepared:
    """Check, number, name and encode an enqueue; nothing is stored yet.

    An independent one is no child of the calling workflow and no step of it.
    """
    workflow, bound = registered_workflow(func, "Queue.enqueue")
    choice = current_options().enqueue or EnqueueChoice()
    partition_key = _partition_key(func, kwargs, choice)
    placement = placement_of(queue_name, choice)
    if partition_key is not None:
        placement = replace(placement, partition_key=partition_key, is_serial=True)
    return runtime.prepare(
        workflow,
        (*bound, *args),
        kwargs,
        placement,
        choice.app_version,
        is_independent=is_independent,
    )


def enqueue_many_flow(
    runtime: Runtime,
    queue_name: str,
    func: Callable[..., Any],
    arguments: Iterable[Sequence[Any] | Mapping[str, Any]],
) -> Flow[list[str]]:
    """Enqueue a workflow many times, all or none, in one commit: the ids. Nothing is stored when this raises."""
    choice = current_options().enqueue
    if choice is not None and choice.deduplication_id is not None:
        raise DBOSInvalidArgumentError(
            "enqueue_many was given a deduplication_id, which only one workflow can hold: enqueue it alone"
        )
    items = [_as_arguments(number, item) for number, item in enumerate(arguments)]
    if len(items) > MANY:
        raise DBOSInvalidArgumentError(
            f"enqueue_many was given {len(items)} workflows: at most {MANY} go at once, call it in parts"
        )
    if not items:
        return []
    may_have_keys = any("partition_key" in kwargs for _, kwargs in items)
    first = prepare_enqueue(runtime, queue_name, func, *items[0])
    if first.is_plain and not may_have_keys:
        return (yield from runtime.enqueue_alike(first, items[1:]))
    others = [prepare_enqueue(runtime, queue_name, func, *item) for item in items[1:]]
    return (yield from runtime.enqueue_all([first, *others]))


def _as_arguments(number: int, item: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(item, Mapping):
        return (), dict(item)
    if isinstance(item, Sequence) and not isinstance(item, (str, bytes)):
        return tuple(item), {}
    raise DBOSInvalidArgumentError(
        f"arguments[{number}] is a {type(item).__name__}: give a sequence of the workflow's arguments, "
        "such as (1, 'a'), or a mapping of its keyword arguments"
    )


def _partition_key(
    func: Callable[..., Any], kwargs: dict[str, Any], choice: EnqueueChoice
) -> str | None:
    """The `partition_key=` of an enqueue, unless the function wants it for itself."""
    if "partition_key" not in kwargs:
        return None
    parameters = inspect.signature(func).parameters.values()
    if any(p.name == "partition_key" or p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    if choice.queue_partition_key is not None:
        raise DBOSException(
            "partition_key was given together with SetEnqueueOptions(queue_partition_key=...): give one of them"
        )
    key = kwargs.pop("partition_key")
    if key is not None:
        check_enqueue_choice(EnqueueChoice(choice.deduplication_id, queue_partition_key=str(key)))
    return None if key is None else str(key)
