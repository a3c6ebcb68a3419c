"""pyengine: durable execution in PostgreSQL. Decorate functions; they survive any crash."""

from pyengine import error
from pyengine._version import __version__
from pyengine.client import DBOSClient
from pyengine.config import DBOSConfig
from pyengine.context import (
    DuplicationPolicy,
    SetEnqueueOptions,
    SetShardKey,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    WorkflowIDReusePolicy,
)
from pyengine.datasources import AsyncSQLAlchemyDatasource, SQLAlchemyDatasource
from pyengine.dbos import DBOS
from pyengine.debouncer import Debouncer, DebouncerClient
from pyengine.decorators import DBOSConfiguredInstance, StepOptions
from pyengine.enqueue_options import EnqueueOptions
from pyengine.handles import WorkflowHandle, WorkflowHandleAsync
from pyengine.identity import DBOSContextEnsure, DBOSContextSetAuth
from pyengine.kafka import KafkaMessage
from pyengine.messaging import SendMessage
from pyengine.propagation import PropagateOtelContext
from pyengine.queues import Queue
from pyengine.reservations import StepReservation
from pyengine.schedules import ClientScheduleInput, ScheduleInput, WorkflowSchedule
from pyengine.serialization import (
    DBOSPortableJSONSerializer,
    PortableWorkflowError,
    Serializer,
    WorkflowSerializationFormat,
    make_pydantic_args_validator,
    pydantic_args_validator,
    register_type,
)
from pyengine.status import StepInfo, WorkflowStatus, WorkflowStatusString
from pyengine.versions import VersionInfo

run_dbos_database_migrations = DBOS.migrate

__all__ = [
    "DBOS",
    "AsyncSQLAlchemyDatasource",
    "ClientScheduleInput",
    "DBOSClient",
    "DBOSConfig",
    "DBOSConfiguredInstance",
    "DBOSContextEnsure",
    "DBOSContextSetAuth",
    "DBOSPortableJSONSerializer",
    "Debouncer",
    "DebouncerClient",
    "DuplicationPolicy",
    "EnqueueOptions",
    "KafkaMessage",
    "PortableWorkflowError",
    "PropagateOtelContext",
    "Queue",
    "SQLAlchemyDatasource",
    "ScheduleInput",
    "SendMessage",
    "Serializer",
    "SetEnqueueOptions",
    "SetShardKey",
    "SetWorkflowAttributes",
    "SetWorkflowID",
    "SetWorkflowTimeout",
    "StepInfo",
    "StepOptions",
    "StepReservation",
    "VersionInfo",
    "WorkflowHandle",
    "WorkflowHandleAsync",
    "WorkflowIDReusePolicy",
    "WorkflowSchedule",
    "WorkflowSerializationFormat",
    "WorkflowStatus",
    "WorkflowStatusString",
    "__version__",
    "error",
    "make_pydantic_args_validator",
    "pydantic_args_validator",
    "register_type",
    "run_dbos_database_migrations",
]
