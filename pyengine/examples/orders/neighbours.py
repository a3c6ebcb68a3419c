"""The shop's neighbours, as files: a payment gateway and a mail server. They know nothing of workflows.

Each appends what it did to a log and waits for the disk, so that the log is what really happened even
if the caller is killed at that moment. Only the gateway has idempotency keys; mail has not.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 0.12  # how long the gateway's answer travels; the money is taken by then


def log_of(service: str) -> Path:
    """The log of `charges` or of `mails`."""
    return Path(os.environ["ORDERS_DIRECTORY"]) / f"{service}.log"


def entries(service: str) -> list[dict[str, Any]]:
    """What a service did, oldest first."""
    log = log_of(service)
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def charge(customer: str, amount: Decimal, *, idempotency_key: str) -> str:
    """Take money from a customer, once for each key, and return the receipt."""

    def decide() -> dict[str, Any]:
        is_known = any(entry["key"] == idempotency_key for entry in entries("charges"))
        return {
            "key": idempotency_key,
            "customer": customer,
            "amount": str(amount),
            "taken": not is_known,
        }

    _append("charges", decide)
    time.sleep(ANSWER_SECONDS)
    return "rc_" + hashlib.sha256(idempotency_key.encode()).hexdigest()[:10]


def send_mail(to: str, subject: str) -> None:
    """Send a mail, each time that it is asked to."""
    _append("mails", lambda: {"to": to, "subject": subject})


def _append(service: str, decide: Callable[[], dict[str, Any]]) -> None:
    """Write a line that depends on those before it: nobody else writes meanwhile."""
    with log_of(service).open("a") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        log.write(json.dumps({**decide(), "worker": os.getpid()}) + "\n")
        log.flush()
        os.fsync(log.fileno())
