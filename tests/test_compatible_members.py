"""The public members of DBOS Transact's API that programs use are there."""

from __future__ import annotations

import inspect

import pytest

import pyengine
from pyengine import DBOS, Queue, StepReservation, WorkflowHandle, WorkflowHandleAsync
from pyengine.datasources import AsyncSQLAlchemyDatasource, SQLAlchemyDatasource


def words(text: str) -> list[str]:
    return text.split()


EXPORTED = words("""
    DBOS DBOSClient Queue Debouncer DebouncerClient DBOSConfiguredInstance StepReservation WorkflowHandle
    WorkflowHandleAsync SetWorkflowID SetWorkflowTimeout SetWorkflowAttributes SetEnqueueOptions SetShardKey
    PropagateOtelContext DBOSContextEnsure DBOSContextSetAuth DBOSConfig EnqueueOptions ScheduleInput
    ClientScheduleInput StepOptions SendMessage StepInfo WorkflowStatus WorkflowSchedule VersionInfo KafkaMessage
    WorkflowStatusString WorkflowSerializationFormat DuplicationPolicy WorkflowIDReusePolicy Serializer
    DBOSPortableJSONSerializer PortableWorkflowError pydantic_args_validator make_pydantic_args_validator
    SQLAlchemyDatasource AsyncSQLAlchemyDatasource error run_dbos_database_migrations
""")

PROPERTIES = words("""
    application_version executor_id logger tracer span workflow_id shard_key step_id step_status
    authenticated_user authenticated_roles assumed_role
""")

ONLY_SYNC = words("""
    launch destroy migrate reset_system_database listen_queues alert_handler workflow step dbos_class required_roles
    default_required_roles kafka_consumer reserve_step set_authentication pause_schedule resume_schedule
    backfill_schedule trigger_schedule
""")

BOTH = words("""
    start_workflow enqueue_workflow enqueue_workflow_with_options run_step retrieve_workflow get_workflow_status
    get_result wait_first sleep send send_bulk recv set_event get_event get_all_events write_stream close_stream
    read_stream read_stream_offset cancel_workflow cancel_workflows resume_workflow resume_workflows delete_workflow
    delete_workflows fork_workflow rewind_workflow set_workflow_delay update_workflow_attributes list_workflows
    list_queued_workflows list_workflow_steps register_queue retrieve_queue delete_queue list_queues
    list_application_versions get_latest_application_version set_latest_application_version patch deprecate_patch
    create_schedule apply_schedules list_schedules get_schedule delete_schedule
""")

LIMITS = words("""
    concurrency global_concurrency worker_concurrency partition_concurrency partition_worker_concurrency limiter
    partition_limiter polling_interval_sec
""")

DATASOURCE = words("create migrate run_migrations verify_migrations transaction sql_session")

SHARDED = words("""
    retrieve_workflow get_workflow_status get_result send get_event get_all_events read_stream read_stream_offset
    cancel_workflow cancel_workflows resume_workflow resume_workflows delete_workflow delete_workflows fork_workflow
    rewind_workflow set_workflow_delay update_workflow_attributes list_workflow_steps
""")


def test_no_name_is_missing() -> None:
    members = {f"DBOS.{name}" for name in (*PROPERTIES, *ONLY_SYNC, *BOTH, "asyncio_wait")}
    members |= {f"DBOS.{name}_async" for name in BOTH}
    there = {f"DBOS.{name}" for name in {*dir(DBOS), *vars(type(DBOS))}} | set(pyengine.__all__)

    assert ({*EXPORTED} | members) - there == set()


@pytest.mark.parametrize("name", BOTH)
def test_the_twins_take_the_same_arguments(name: str) -> None:
    sync, twin = getattr(DBOS, name), getattr(DBOS, f"{name}_async")

    taken = inspect.signature(twin).parameters
    if not any(each.kind is each.VAR_KEYWORD for each in taken.values()):
        assert list(taken) == list(inspect.signature(sync).parameters)
    assert inspect.iscoroutinefunction(twin) or inspect.isasyncgenfunction(twin)


@pytest.mark.parametrize("name", SHARDED)
def test_what_names_a_workflow_takes_its_shard_key(name: str) -> None:
    for each in (name, f"{name}_async"):
        assert "shard_key" in inspect.signature(getattr(DBOS, each)).parameters


def test_queues_handles_reservations_and_datasources_have_their_members() -> None:
    queue = {"enqueue", "enqueue_async", *LIMITS}
    queue |= {
        f"{verb}_{name}{end}"
        for name in LIMITS
        for verb, end in (("set", ""), ("set", "_async"), ("get", "_async"))
    }
    handle = {"workflow_id", "shard_key", "get_workflow_id", "get_result", "get_status"}

    assert queue - set(dir(Queue)) == set()
    assert handle - set(dir(WorkflowHandle)) == handle - set(dir(WorkflowHandleAsync)) == set()
    assert {"run", "run_async"} - set(dir(StepReservation)) == set()
    assert {*DATASOURCE, "run_tx_step"} - set(dir(SQLAlchemyDatasource)) == set()
    assert {*DATASOURCE, "run_tx_step_async"} - set(dir(AsyncSQLAlchemyDatasource)) == set()
