"""Going through all workflows that match filters: one call a page, the oldest first, none twice and none left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pyengine.database import calls
from pyengine.database.calls import Call
from pyengine.database.rows import WorkflowPlace


class Pages:
    """The workflows that match now; those that come meanwhile are left alone.

    Many may be of one moment, which a page may end in: the next page begins with that moment, and leaves out what
    was seen of it.

    Args:
        filters: As for `list_workflows`; a `row_limit` counts for all pages.
        now: The database's time.
        size: How many a page has.
    """

    def __init__(self, filters: Mapping[str, object], now: datetime, size: int) -> None:
        until = filters.get("created_to")
        limit = filters.get("row_limit")
        self._filters = {
            **filters,
            "created_to": min(now, until) if isinstance(until, datetime) else now,
            "newest_first": False,
            "load_input": False,
            "load_output": False,
        }
        self._left = limit if isinstance(limit, int) else None
        self._size = size
        self._wanted = size
        self._seen_of_moment: set[str] = set()

    def next_call(self) -> Call[WorkflowPlace] | None:
        """The call that asks for the next page; None when there are enough."""
        self._wanted = self._size if self._left is None else min(self._size, self._left)
        if self._wanted <= 0:
            return None
        row_limit = self._wanted + len(self._seen_of_moment)
        return calls.list_places(filters={**self._filters, "row_limit": row_limit})

    def accept(self, rows: Sequence[WorkflowPlace]) -> list[str]:
        """The ids of the page, given the rows of its call; none when it was the last."""
        page = [row for row in rows if row.workflow_id not in self._seen_of_moment][: self._wanted]
        self._filters.pop("row_offset", None)
        if page:
            moment = page[-1].created_at
            if moment != self._filters.get("created_from"):
                self._seen_of_moment.clear()
            self._seen_of_moment.update(row.workflow_id for row in page if row.created_at == moment)
            self._filters["created_from"] = moment
        if self._left is not None:
            self._left -= len(page)
        return [row.workflow_id for row in page]
