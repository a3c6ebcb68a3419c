# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed. The three dots are filled in."""

from pyengine import DBOS
import asyncio
@DBOS.transaction()
def sync_transaction(data):
    DBOS.sql_session.execute(STATEMENT, {"data": data})

@DBOS.workflow()
async def async_workflow():
    result = await asyncio.to_thread(sync_transaction, data)
    return result
