"""Enqueueing by name: `EnqueueOptions` say everything, no function is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from pyengine.context import (
    ChosenID,
    DuplicationPolicy,
    EnqueueChoice,
    WorkflowIDReusePolicy,
    check_enqueue_choice,
    check_workflow_id,
    encode_attributes,
    timeout_in_ms,
)
from pyengine.errors import DBOSException
from pyengine.execution import Runtime
from pyengine.flows.workflows import Placement, Runners, Target
from pyengine.preparation import Prepared
from pyengine.propagation import propagated
from pyengine.runs import Identity


class _Required(TypedDict):
    workflow_name: str
    queue_name: str


class EnqueueOptions(_Required, total=False):
    """What to enqueue, where, and how; a key that is None counts as unset.

    Without `app_version` the latest version of the application runs it; `application_name` is the calling
    application if it is not given.

    `delay_seconds` and `workflow_timeout` are seconds; the others are as in `SetEnqueueOptions`, `SetWorkflowID`,
    `SetWorkflowTimeout`, `SetWorkflowAttributes`, `PropagateOtelContext` (`otel_context`) and `DBOS.workflow`.
    """

    workflow_id: str | None
    workflow_id_reuse_policy: WorkflowIDReusePolicy | None
    app_version: str | None
    workflow_timeout: float | None
    delay_seconds: float | None
    deduplication_id: str | None
    duplication_policy: DuplicationPolicy | None
    throttle_key: str | None
    throttle_seconds: float | None
    priority: int | None
    queue_partition_key: str | None
    authenticated_user: str | None
    authenticated_roles: list[str] | None
    serialization_type: Any
    class_name: str | None
    instance_name: str | None
    attributes: Mapping[str, Any] | None
    application_name: str | None
    otel_context: Any
    shard_key: str | None


def prepare_by_options(
    runtime: Runtime, options: EnqueueOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Prepared:
    """Check the options and number, name and encode the enqueue; nothing is stored yet.

    Raises:
        DBOSException: An option is missing, unknown, or wrong.
    """
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    _check_keys(given)
    choice = EnqueueChoice(
        deduplication_id=given.get("deduplication_id"),
        priority=given.get("priority"),
        app_version=given.get("app_version"),
        queue_partition_key=given.get("queue_partition_key"),
        delay_seconds=given.get("delay_seconds"),
        duplication_policy=given.get("duplication_policy"),
        throttle_key=given.get("throttle_key"),
        throttle_seconds=given.get("throttle_seconds"),
    )
    check_enqueue_choice(choice)
    chosen = None
    if "workflow_id" in given:
        check_workflow_id(given["workflow_id"])
        chosen = ChosenID(given["workflow_id"], given.get("workflow_id_reuse_policy"))
    identity = None
    if "authenticated_user" in given or "authenticated_roles" in given:
        identity = Identity(given.get("authenticated_user"), None, given.get("authenticated_roles"))
    return runtime.prepare_by_name(
        Target(
            given["workflow_name"],
            given.get("class_name"),
            given.get("instance_name"),
        ),
        args,
        kwargs,
        placement_of(given["queue_name"], choice),
        tag=runtime.codec.tag_for(given.get("serialization_type")),
        chosen=chosen,
        identity=identity,
        timeout_ms=timeout_in_ms("workflow_timeout", given["workflow_timeout"])
        if "workflow_timeout" in given
        else None,
        attributes=encode_attributes(given.get("attributes")),
        propagated=propagated("otel_context", given["otel_context"])
        if "otel_context" in given
        else None,
        runners=Runners(
            given.get("application_name", runtime.application.name),
            choice.app_version,
            version_is_pinned=choice.app_version is not None,
        ),
    )


def placement_of(queue_name: object, choice: EnqueueChoice) -> Placement:
    """Where and how a workflow is enqueued under these options.

    Raises:
        DBOSException: The queue's name is not a text, or blank.
    """
    if not isinstance(queue_name, str) or not queue_name.strip():
        raise DBOSException(f"queue_name is {queue_name!r}: it must be a text that is not blank")
    return Placement(
        queue_name=queue_name,
        priority=choice.priority,
        partition_key=choice.queue_partition_key,
        deduplication_id=choice.deduplication_id,
        return_existing=choice.duplication_policy == "return-existing",
        delay_seconds=choice.delay_seconds,
        throttle=None
        if choice.throttle_key is None or choice.throttle_seconds is None
        else (choice.throttle_key, choice.throttle_seconds),
    )


def _check_keys(given: Mapping[str, Any]) -> None:
    known = EnqueueOptions.__annotations__.keys() | _Required.__annotations__.keys()
    unknown = sorted(given.keys() - known)
    if unknown:
        raise DBOSException(
            f"unknown enqueue options {', '.join(unknown)}: the known ones are {', '.join(sorted(known))}"
        )
    missing = [key for key in ("workflow_name", "queue_name") if key not in given]
    if missing:
        raise DBOSException(f"enqueue options need {' and '.join(missing)}")
