"""The ids that workflows get: generated ones, and those of children.

Generated ids are time-ordered (UUIDv7 form), because random ids cost three times the write-ahead log.
"""

from __future__ import annotations

import hashlib
import os
import time

MAX_ID_BYTES = 512
_KEPT_BYTES = 400


def generate_workflow_id() -> str:
    """A new id: 48 bits of time in ms, 74 random bits. The clock only orders; nothing depends on it."""
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds & 0xFFFFFFFFFFFF) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def child_workflow_id(workflow_id: str, step_id: int | None) -> str:
    """The id of what a workflow starts in a step, the same at each replay; of a long id only the beginning is kept."""
    child = f"{workflow_id}-{step_id}"
    if len(child.encode()) <= MAX_ID_BYTES:
        return child
    beginning = workflow_id.encode()[:_KEPT_BYTES].decode(errors="ignore")
    digest = hashlib.sha256(workflow_id.encode()).hexdigest()
    return f"{beginning}-{digest}-{step_id}"
