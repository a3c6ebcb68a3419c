# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed. What the document calls incorrect."""

from pyengine import DBOS
@DBOS.workflow()
async def async_workflow():
    # Don't use sync sleep in async workflow!
    DBOS.sleep(10)

    # Don't use sync start_workflow for async workflows
    handle = DBOS.start_workflow(other_async_workflow)
