"""The running parts of one process, from launch to destroy."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import socket
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from pyengine.database import calls
from pyengine.database.calls import Write
from pyengine.database.rows import ClaimedWorkflow
from pyengine.errors import DBOSException
from pyengine.runs import WorkflowRun
from pyengine.runtime.dispatcher import Dispatcher
from pyengine.runtime.drivers import Drivers, NoDrivers
from pyengine.runtime.gateway import Gateway
from pyengine.runtime.hibernation import Hibernation
from pyengine.runtime.listener import Listener
from pyengine.runtime.local import LocalRuns
from pyengine.runtime.maintenance import Maintenance
from pyengine.runtime.scheduler import Scheduler
from pyengine.runtime.sessions import Sessions
from pyengine.runtime.threads import BackgroundLoop, ThreadPool
from pyengine.runtime.upkeep import Upkeep
from pyengine.runtime.waits import Waits

_logger = logging.getLogger("pyengine")

# How long destroy waits for statements that are under way, so that nothing of this process writes after it.
DRAIN_SECONDS = 5.0

# What the engine's own notifications say: a wait key, or the key of a run whose lease is in doubt.
_NOTIFICATION = re.compile(r"(?P<lease>lease )?(?P<number>-?[0-9]{1,19})")

# Claimed workflows that run at once in one process unless max_executor_threads says otherwise. Those that wait for
# another workflow don't count, so that parents never keep their children from running.
DEFAULT_SLOTS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What an engine needs to know; see `pyengine.config.Settings` for the meaning of each."""

    database_url: str = field(repr=False)
    listen_url: str = field(repr=False)
    listen: bool
    schema: str
    prepare: bool
    application_name: str
    application_version: str
    version_is_pinned: bool
    executor_name: str
    lease_seconds: float
    heartbeat_seconds: float
    max_threads: int | None
    hibernate_after: float | None
    queue_names: Sequence[str] | None = None


class Engine:
    """One process as an executor: its sessions, its lease, its threads and its runs.

    Attributes:
        is_the_parents: In a process that was forked: the sessions and threads are the parent's, and stay with it.
    """

    def __init__(
        self,
        options: EngineOptions,
        *,
        functions: Callable[[], Sequence[str]],
        attempt_limits: Callable[[], Mapping[str, int | None]],
        execute: Callable[[Sequence[ClaimedWorkflow], str], None],
    ) -> None:
        self.options = options
        self.is_the_parents = False
        self._functions = functions
        self._attempt_limits = attempt_limits
        self._known_functions: Sequence[str] = ()
        self._register_lock = threading.Lock()
        self.runs = LocalRuns(self._run_ended, self.give_back)
        self.threads = ThreadPool(options.max_threads)
        self.loop = BackgroundLoop()
        self._channel = f"pe_{secrets.token_hex(12)}"
        self._sessions = Sessions(
            options.database_url,
            application_name=f"pyengine {options.application_name}"[:63],
            prepare=options.prepare,
        )
        self.gateway = Gateway(self._sessions, options.schema, self.threads.run_soon)
        # What functions of users do to their session, the engine's own never see.
        self._sql_sessions = Sessions(
            options.database_url,
            application_name=f"pyengine {options.application_name} sql"[:63],
            prepare=options.prepare,
        )
        self.sql_gateway = Gateway(self._sql_sessions, options.schema, self.threads.run_soon)
        self.waits = Waits(self.gateway, self._channel)
        self._listener = Listener(
            options.listen_url,
            self._channel,
            notified=self._notified,
            connected=self.look_again,
        )
        self._scheduler = Scheduler(self.gateway)
        self.upkeep = Upkeep(self.gateway, self.runs)
        self._maintenance = Maintenance(
            self.gateway,
            lease_seconds=options.lease_seconds,
            heartbeat_seconds=options.heartbeat_seconds,
            session_pid=lambda: self._listener.backend_pid,
            register=self._register,
            work_found=self._wake_dispatcher,
            upkeep=self.upkeep,
            schedules_due=self._scheduler.wake,
            queue_names=options.queue_names,
        )
        self._dispatcher = Dispatcher(
            self.gateway,
            self._channel,
            free_slots=self._free_slots,
            execute=execute,
            executor_lost=self._maintenance.hurry,
            queue_names=options.queue_names,
        )
        self.drivers: Drivers = Drivers(
            self.gateway,
            self.waits,
            self.runs,
            self._maintenance.lease_is_sure,
            Hibernation(options.hibernate_after, self._dispatcher.expect),
        )
        _engines.add(self)

    @property
    def executor_id(self) -> int | None:
        """Id of this process's row in executors."""
        return self.gateway.executor_id

    def launch(self) -> None:
        """Begin to listen, register, and start claiming. Raises psycopg.Error when the database can't be reached."""
        self.connect()
        self._listen()
        self._register()
        self.waits.start()
        self._maintenance.start()
        self._dispatcher.start()
        self._scheduler.start()

    def connect(self) -> None:
        """Make sure that the database can be reached now. Raises psycopg.Error when it can't."""
        with self._sessions.use() as session:
            session.execute("select 1", [])

    def serve_client(self, *, waits_for_server: bool) -> None:
        """Be used without being launched: connects at the first call, listens from the first wait on, runs nothing."""
        self.gateway.waits_for_server = waits_for_server
        self.waits.start_when_needed(lambda: self.threads.submit(self._listen))

    def destroy(self, timeout: float) -> None:
        """Claim no more, wait up to `timeout` seconds for the runs, give the rest back, and close everything."""
        if self.is_the_parents:
            return
        self._scheduler.stop()
        self._dispatcher.stop()
        deadline = time.monotonic() + timeout
        while len(self.runs) and time.monotonic() < deadline:
            time.sleep(0.01)
        self._maintenance.stop()
        if self.executor_id is not None:
            self._leave(self.executor_id)
        self.runs.abandon()
        self._sql_sessions.drain(DRAIN_SECONDS)
        self._sessions.drain(DRAIN_SECONDS)
        self.waits.stop()
        self._listener.stop()
        self.threads.close()
        self.loop.stop()
        self._sql_sessions.close()
        self._sessions.close()

    def give_back(self, run: WorkflowRun, start: Write | None = None) -> None:
        """Give an interrupted run back, from another thread: any process may carry on.

        Of a `start` that was interrupted nobody knows whether it is stored, or will be in a moment: it is repeated,
        and then its workflow exists and can be given back.
        """

        def release() -> None:
            lease = (run.workflow_id, run.lease_token)
            try:
                if start is not None:
                    self.gateway.run(start)
                self.gateway.run(calls.release_workflows(leases=[lease]))
            except Exception:
                _logger.exception("workflow %s was interrupted and stays here", run.workflow_id)

        if not self._sessions.closed.is_set():
            self.threads.submit(release)

    def look_again(self) -> None:
        """Let everything that waits look again: notifications may have been lost while nobody listened."""
        self.waits.wake_all()
        self._dispatcher.wake()
        self._maintenance.hurry()
        self._scheduler.wake()

    def schedules_changed(self) -> None:
        """A schedule was created, changed or resumed: let its ticks be computed at once."""
        self._scheduler.wake()

    def functions_changed(self) -> None:
        """A function was registered after launch: let this process be given its workflows too."""
        functions = list(self._functions())
        if (
            self.executor_id is not None
            and not self.is_the_parents
            and functions != self._known_functions
        ):
            self._known_functions = functions
            self.gateway.run(
                calls.set_executor_functions(
                    executor_id=self.executor_id,
                    functions=functions,
                    attempt_limits=json.dumps(self._attempt_limits()),
                )
            )
            self._dispatcher.wake()

    def _listen(self) -> None:
        hearing = self._listener.start(self._prove) if self.options.listen else "works"
        if hearing == "deaf":
            _logger.warning(
                "LISTEN does not work on this connection (a transaction pooler?): wake-ups come by polling; "
                "set listen_database_url to a direct connection"
            )
        elif hearing == "unreachable":
            _logger.warning(
                "the connection that listens can't be made, or is lost again and again: wake-ups come by polling "
                "until it lasts"
            )

    def _leave(self, executor_id: int) -> None:
        try:
            with self._sessions.use() as session:
                session.call(calls.leave_executor(executor_id=executor_id), self.options.schema)
        except Exception as error:
            _logger.warning(
                "could not say goodbye to the database (%s): other processes take over when the "
                "lease is past",
                type(error).__name__,
            )

    def _register(self) -> None:
        with self._register_lock:
            options = self.options
            self._known_functions = list(self._functions())
            call = calls.register_executor(
                name=options.executor_name,
                application_name=options.application_name,
                application_version=options.application_version,
                version_is_pinned=options.version_is_pinned,
                functions=self._known_functions,
                channel=self._channel,
                lease_seconds=options.lease_seconds,
                session_pid=self._listener.backend_pid,
                host=socket.gethostname(),
                process_id=os.getpid(),
                attempt_limits=json.dumps(self._attempt_limits()),
            )
            self.gateway.executor_id = self.gateway.run_own(call)[0]

    def _prove(self, channel: str) -> bool:
        try:
            with self._sessions.use() as session:
                session.execute("select pg_notify($1, '')", [channel.encode()])
        except (
            psycopg.OperationalError,
            DBOSException,
        ) as error:  # unreachable, or closed meanwhile
            _logger.info("listening could not be tried: %s", type(error).__name__)
            return False
        return True

    def _notified(self, payload: str) -> None:
        match = _NOTIFICATION.fullmatch(payload)
        if match is None:  # anybody may notify, and say anything
            return
        number = int(match["number"])
        if match["lease"]:
            self.runs.doubt(number)
        elif not self.waits.wake(number):
            self._dispatcher.wake()

    def _wake_dispatcher(self) -> None:
        self._dispatcher.wake()

    def _run_ended(self, run: WorkflowRun) -> None:
        self._dispatcher.run_ended(run)

    def _free_slots(self) -> int:
        return (self.options.max_threads or DEFAULT_SLOTS) - self.runs.busy


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_of_the_parent: list[Engine] = []


def _leave_to_the_parent() -> None:
    """Sockets are shared with the parent, threads and the holders of locks are only there: nothing is used or freed."""
    for engine in list(_engines):
        engine.is_the_parents = True
        engine.drivers = NoDrivers()
        _of_the_parent.append(engine)


os.register_at_fork(after_in_child=_leave_to_the_parent)
