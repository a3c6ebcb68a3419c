"""The campaigns: what goes wrong in each, and what must have happened for it to prove something."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any, ClassVar

import psycopg

from tests.chaos.campaign import clients, hostile
from tests.chaos.campaign.clients import Request
from tests.chaos.campaign.deadlocks import STRANGER
from tests.chaos.campaign.stage import Stage, admin

_OWN_SESSIONS = "application_name like 'pyengine%' and datname = current_database()"


class Campaign:
    """Ordinary work, and a fault again and again."""

    name: ClassVar[str]
    fault: ClassVar[str]
    workers = 3
    backlog = 120
    settings: ClassVar[dict[str, str]] = {}
    config: ClassVar[dict[str, Any]] = {"lease_seconds": 3.0, "heartbeat_seconds": 0.5}
    pause = (0.1, 0.6)
    sometimes: ClassVar[tuple[str, ...]] = ("limit reached", "message waited for")

    def __init__(self) -> None:
        self.figures: Counter[str] = Counter()

    def prepare(self, stage: Stage) -> None:
        """Before anybody works."""

    def disturb(self, stage: Stage) -> None:
        """One fault."""
        raise NotImplementedError

    def calm(self, stage: Stage) -> None:
        """Nothing is wrong any more."""

    def request(self, rng: random.Random, workflow_id: str) -> Request:
        """The next thing that a client starts."""
        return clients.ordinary(rng, workflow_id)

    def worker_url(self, stage: Stage, place: int) -> str:
        """Where the worker finds the server."""
        return stage.node.url()

    def client_url(self, stage: Stage) -> str:
        """Where the clients find it."""
        return stage.node.url()

    def clock(self, place: int) -> float:
        """By how much the worker's clock is wrong."""
        return 0.0


class WorkerKills(Campaign):
    name, fault = "worker-kills", "F-1"
    sometimes = (*Campaign.sometimes, "takeover", "replay", "step done again")

    def disturb(self, stage: Stage) -> None:
        stage.fleet.kill()
        stage.fleet.replace_dead()


class Zombies(Campaign):
    """Workers are frozen past their lease, taken over from, and continued."""

    name, fault = "zombies", "F-4"
    workers = 5
    config: ClassVar[dict[str, Any]] = {"lease_seconds": 1.0, "heartbeat_seconds": 0.2}
    pause = (0.1, 0.3)
    sometimes = (*Campaign.sometimes, "takeover", "lease expired", "refused zombie")

    def disturb(self, stage: Stage) -> None:
        places = [stage.fleet.stop(), stage.fleet.stop()]
        self.figures["frozen"] += len(places)
        time.sleep(stage.rng.uniform(1.5, 3.0))
        for place in places:
            stage.fleet.go_on(place)

    def calm(self, stage: Stage) -> None:
        stage.fleet.go_on()


class DeafWorkers(Campaign):
    """The listening sessions are ended again and again."""

    name, fault = "deaf-workers", "F-7"

    def disturb(self, stage: Stage) -> None:
        with admin(stage.node) as session:
            session.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pyengine listener'"
            )


class WildNotify(Campaign):
    """NOTIFY is off in the engine, and strangers send what they like."""

    name, fault = "wild-notify", "F-8"

    def prepare(self, stage: Stage) -> None:
        with admin(stage.node) as session:
            session.execute("create schema silent")
            session.execute(
                "create function silent.pg_notify(text, text) returns void language sql as 'select'"
            )
            session.execute("grant usage on schema silent to public")
            query = """select pg_get_functiondef(p.oid) from pg_proc p
                where p.pronamespace = 'pyengine'::regnamespace and p.prosrc like '%pg_notify(%'"""
            for (text,) in session.execute(query).fetchall():
                session.execute(text.replace(" pg_notify(", " silent.pg_notify(").encode())

    def disturb(self, stage: Stage) -> None:
        with admin(stage.node) as session:
            session.execute(
                "select pg_notify(e.channel, word) from pyengine.executors e, "
                "unnest(array['', '0', 'x', '\u00b2', 'lease \u00b2', '9223372036854775808', 'lease 1', "
                "repeat('a', 7000), repeat('9', 7000)]) word "
                "where e.finished_at is null"
            )


class ServerKills(Campaign):
    name, fault = "server-kills", "F-9"
    pause = (0.5, 2.0)

    def disturb(self, stage: Stage) -> None:
        stage.node.kill()
        stage.node.start()


class Failovers(Campaign):
    """The primary dies, and its synchronous standby takes over."""

    name, fault = "failovers", "F-12"
    pause = (0.5, 1.5)

    def prepare(self, stage: Stage) -> None:
        stage.attach_standby()

    def disturb(self, stage: Stage) -> None:
        gap = round(stage.failover() * 1000)
        self.figures["worst gap in ms"] = max(gap, self.figures["worst gap in ms"])

    def worker_url(self, stage: Stage, place: int) -> str:
        return stage.proxy.url

    def client_url(self, stage: Stage) -> str:
        return stage.proxy.url


class ReadOnly(Campaign):
    """As after a failover to a host that is not promoted yet."""

    name, fault = "read-only", "F-15"
    pause = (0.5, 2.0)

    def disturb(self, stage: Stage) -> None:
        self._set(stage, "on")
        time.sleep(stage.rng.uniform(0.5, 3.0))
        self._set(stage, "off")

    def calm(self, stage: Stage) -> None:
        self._set(stage, "off")

    def _set(self, stage: Stage, value: str) -> None:
        with admin(stage.node) as session:
            session.execute(f"alter system set default_transaction_read_only = {value}".encode())
            session.execute("select pg_reload_conf()")
            session.execute(
                f"select pg_terminate_backend(pid) from pg_stat_activity where {_OWN_SESSIONS}".encode()
            )


class Proxied(Campaign):
    """Two workers of three and the clients are behind a bad network."""

    sometimes: ClassVar[tuple[str, ...]] = ("message waited for",)

    def worker_url(self, stage: Stage, place: int) -> str:
        return stage.node.url() if place == 0 else stage.proxy.url

    def client_url(self, stage: Stage) -> str:
        return stage.proxy.url

    def calm(self, stage: Stage) -> None:
        stage.proxy.mend()


class Cuts(Proxied):
    """Connections are cut; now and then nobody gets through for longer than a lease."""

    name, fault = "cuts", "F-16"
    pause = (0.3, 2.0)

    def disturb(self, stage: Stage) -> None:
        if stage.rng.random() < 0.7:
            stage.proxy.cut_all()
            return
        stage.proxy.cut_all(refuse=True)
        time.sleep(stage.rng.uniform(0.5, 5.0))
        stage.proxy.mend()


class HalfOpen(Proxied):
    """The network swallows everything for a while, and says nothing."""

    name, fault = "half-open", "F-17"
    sometimes = (*Proxied.sometimes, "lease expired")
    pause = (0.5, 1.5)

    def disturb(self, stage: Stage) -> None:
        stage.proxy.silence()
        time.sleep(stage.rng.uniform(0.5, 6.0))
        stage.proxy.mend()


class LostReplies(Proxied):
    """A call is committed, and its reply is lost; or it is lost itself."""

    name, fault = "lost-replies", "F-18"
    pause = (0.0, 0.05)
    functions = (
        "start_workflows", "record_steps", "finish_workflows", "apply_batch", "append_streams", "claim_workflows",
        "finish_and_claim", "record_step_in_transaction", "send_messages", "receive_message", "set_event",
        "sleep_until", "check_lease", "tick_executor", "await_work", "await_workflows", "cancel_workflows",
        "register_executor",
    )  # fmt: skip

    def disturb(self, stage: Stage) -> None:
        function = stage.rng.choice(self.functions)
        after = stage.rng.random() < 0.7
        cut = stage.proxy.cut(function, after=after)
        if cut.done.wait(0.5):
            self.figures[f"{function} {'reply' if after else 'request'} lost"] += 1


class Timeouts(Campaign):
    """Statements and locks time out, and strangers hold rows and lock them in the wrong order."""

    name, fault = "timeouts", "F-24"
    settings: ClassVar[dict[str, str]] = {"deadlock_timeout": "10ms"}
    pause = (0.0, 0.1)
    sometimes = (*Campaign.sometimes, "deadlock with a stranger")

    def prepare(self, stage: Stage) -> None:
        with admin(stage.node) as session:
            session.execute("alter role postgres set statement_timeout = '400ms'")
            session.execute("alter role postgres set lock_timeout = '50ms'")
            session.execute("alter role postgres set idle_in_transaction_session_timeout = '1s'")

    def disturb(self, stage: Stage) -> None:
        with admin(stage.node) as session:
            rows = session.execute(
                "select workflow_id from pyengine.workflows where status = 'PENDING' order by random() limit 20"
            ).fetchall()
        ids = sorted(workflow_id for (workflow_id,) in rows)
        strangers = [
            threading.Thread(target=self._hold, args=(stage, order)) for order in (ids, ids[::-1])
        ]
        for stranger in strangers:
            stranger.start()
        for stranger in strangers:
            stranger.join()

    def _hold(self, stage: Stage, ids: list[str]) -> None:
        lock = f"{STRANGER} select 1 from pyengine.workflows where workflow_id = %s for update"
        try:
            with admin(stage.node) as session, session.transaction():
                for workflow_id in ids:
                    session.execute(lock.encode(), [workflow_id])
                    time.sleep(0.01)
                time.sleep(0.1)
        except psycopg.errors.DeadlockDetected:
            self.figures["stranger gave way"] += 1

    def calm(self, stage: Stage) -> None:
        with admin(stage.node) as session:
            session.execute("alter role postgres reset all")


class WrongClocks(WorkerKills):
    """The workers' clocks are an hour slow, right, and an hour fast; and they are killed."""

    name, fault = "wrong-clocks", "F-31"
    pause = (0.3, 1.0)
    sometimes = (*WorkerKills.sometimes, "delayed")

    def clock(self, place: int) -> float:
        return (-3600.0, 0.0, 3600.0)[place % 3]


class Hostile(WorkerKills):
    """Payloads, ids and keys that nobody expects, and workflows that kill their process."""

    name, fault = "hostile", "F-33 F-34 F-35 F-36"
    pause = (0.5, 1.5)
    backlog = 60
    sometimes = ("takeover", "dead letter", "hostile value", "odd id")

    def request(self, rng: random.Random, workflow_id: str) -> Request:
        return hostile.request(rng, workflow_id)


CAMPAIGNS: dict[str, type[Campaign]] = {
    each.name: each
    for each in (
        WorkerKills, Zombies, DeafWorkers, WildNotify, ServerKills, Failovers, ReadOnly, Cuts, HalfOpen, LostReplies,
        Timeouts, WrongClocks, Hostile,
    )
}  # fmt: skip
