"""From a call to a start that can be sent: numbered, named and encoded; nothing is stored yet."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyengine.context import (
    ChosenID,
    Propagation,
    Scope,
    current_options,
    current_run,
    current_scope,
    entered,
    take_chosen_id,
)
from pyengine.errors import DBOSException
from pyengine.flows.workflows import (
    Application,
    Differing,
    Placement,
    Runners,
    StartRequest,
    Target,
)
from pyengine.identity import authorize, current_identity
from pyengine.propagation import with_carrier
from pyengine.registry import RegisteredWorkflow, Registry
from pyengine.runs import NOBODY, Identity, WorkflowRun
from pyengine.serialization import Codec
from pyengine.workflow_ids import child_workflow_id, generate_workflow_id


@dataclass(frozen=True, slots=True)
class Prepared:
    """A workflow that is about to start: nothing is stored yet."""

    request: StartRequest
    run: WorkflowRun
    body: Callable[[], Any]
    parent: WorkflowRun | None
    step_id: int | None

    @property
    def is_plain(self) -> bool:
        """Whether another start differs from it by nothing but the id and the inputs."""
        return self.parent is None and self.request.start_token is None


class Preparation:
    """Prepares the starts of workflows."""

    def __init__(self, registry: Registry, codec: Codec, application: Application) -> None:
        self.registry = registry
        self.codec = codec
        self.application = application

    def prepare(
        self,
        workflow: RegisteredWorkflow,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        placement: Placement | None = None,
        app_version: str | None = None,
        *,
        is_independent: bool = False,
    ) -> Prepared:
        """Number, name and encode a start, or with a placement an enqueue; nothing is stored when this raises.

        Raises:
            AssertionError: Called inside a step.
            DBOSNotAuthorizedError: The caller has none of the roles that the workflow requires.
            DBOSSerializationError: An argument can't be stored.
        """
        chosen = take_chosen_id()
        target, stored_args = self.registry.target(workflow, args)
        identity = None
        if workflow.roles:
            identity = authorize(workflow.name, workflow.roles, current_identity())
        prepared = self.prepare_by_name(
            target,
            stored_args,
            kwargs,
            placement,
            tag=workflow.serialization,
            chosen=chosen,
            identity=identity,
            runners=self.runners(app_version),
            is_independent=is_independent,
        )
        if placement is not None:
            return prepared
        return replace(prepared, body=_body(workflow, prepared.run, args, kwargs))

    def prepare_by_name(
        self,
        target: Target,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        placement: Placement | None,
        *,
        tag: str | None = None,
        chosen: ChosenID | None = None,
        identity: Identity | None = None,
        timeout_ms: float | None = None,
        attributes: str | None = None,
        propagated: Propagation | None = None,
        runners: Runners | None = None,
        is_independent: bool = False,
        step_count: int = 1,
    ) -> Prepared:
        """As `prepare`, for a function that need not be registered here.

        An independent workflow is no child of the calling one, whose steps may start it too. A start that takes
        several step numbers is the last of them. The `runners` are those of the calling application if they are not
        given.
        """
        parent = None if is_independent else _starting_run(target.name)
        tag = tag or self.codec.default_tag
        inputs = self.codec.encode_arguments(args, dict(kwargs), tag)
        step_id = None if parent is None else parent.next_step_ids(step_count) + step_count - 1
        options = current_options()
        propagated = propagated or options.propagated
        carrier = None if propagated is None else propagated.carrier()
        request = StartRequest(
            workflow_id=_workflow_id(chosen, parent, step_id),
            target=target,
            application=runners or self.application,
            inputs=inputs,
            serialization=tag,
            lease_token=None if placement is not None else str(uuid.uuid4()),
            identity=identity or current_identity() or NOBODY,
            start_token=_start_token(chosen),
            placement=placement,
            timeout_ms=options.timeout_ms if timeout_ms is None else timeout_ms,
            attributes=with_carrier(attributes or options.attributes, carrier),
        )
        run = WorkflowRun(
            workflow_id=request.workflow_id,
            name=target.name,
            lease_token=request.lease_token or "",
            codec=self.codec,
            serialization=tag,
            identity=request.identity,
            carrier=carrier,
        )
        return Prepared(request, run, _no_body, parent, step_id)

    def prepare_alike(
        self, first: Prepared, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Differing:
        """What is different in one more start of the same workflow.

        Raises:
            DBOSSerializationError: An argument can't be stored.
        """
        inputs = self.codec.encode_arguments(args, dict(kwargs), first.request.serialization)
        return Differing(generate_workflow_id(), inputs)

    def runners(self, version: str | None, application_name: str | None = None) -> Runners:
        """Those of this or another application; a version that was asked for is pinned."""
        if application_name in (None, self.application.name) and version is None:
            return self.application
        name = application_name or self.application.name
        return Runners(name, version, version_is_pinned=version is not None)


def _starting_run(name: str) -> WorkflowRun | None:
    """The run whose body starts a workflow; None outside workflows.

    Raises:
        AssertionError: A step is running.
    """
    scope = current_scope()
    if scope is not None and scope.step is not None:
        raise AssertionError(
            f"workflow {name} was called inside a step: start workflows from the workflow's body"
        )
    return current_run()


def _no_body() -> Any:
    raise AssertionError("an enqueued workflow runs where it is claimed")


def _workflow_id(chosen: ChosenID | None, parent: WorkflowRun | None, step_id: int | None) -> str:
    if chosen is not None:
        return chosen.workflow_id
    if parent is not None:
        return child_workflow_id(parent.workflow_id, step_id)
    return generate_workflow_id()


def _start_token(chosen: ChosenID | None) -> str | None:
    """By which a start that must be the first under its id is known again."""
    return str(uuid.uuid4()) if chosen is not None and chosen.reuse_policy == "reject" else None


def _body(
    workflow: RegisteredWorkflow,
    run: WorkflowRun,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Callable[[], Any]:
    if not workflow.is_async:

        def body() -> Any:
            with entered(Scope(run)):
                return workflow.function(*args, **kwargs)

        return body

    async def body_async() -> Any:
        with entered(Scope(run)):
            return await workflow.function(*args, **kwargs)

    return body_async


def recorded_child(prepared: Prepared) -> str | None:
    """On replay the child that was recorded is the child; a recorded refusal is raised again."""
    parent, step_id = prepared.parent, prepared.step_id
    if parent is None or step_id is None:
        return None
    recorded = parent.recorded(step_id, prepared.request.target.name)
    if recorded is None:
        return None
    if recorded.child_workflow_id is None:
        parent.replay(recorded)
        raise DBOSException(
            f"step {step_id} of workflow {parent.workflow_id} is not recorded as the start of a workflow"
        )
    return recorded.child_workflow_id
