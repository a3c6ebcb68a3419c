# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed. The last line is in a function."""

from pyengine import DBOS
@DBOS.workflow()
def child_workflow(item_id: str) -> str:
    # Process a single item
    return f"Processed {item_id}"
import asyncio

@DBOS.workflow()
async def async_workflow(data: str) -> str:
    # Call async steps
    result1 = await async_step(data)
    
    # Start child workflow asynchronously
    handle = await DBOS.start_workflow_async(child_workflow, result1)
    
    # Concurrent operations
    result2 = await handle.get_result()
    
    return result2

@DBOS.step()
async def async_step(input: str) -> str:
    await asyncio.sleep(1)  # Simulated async operation
    return f"Processed: {input}"

# Run async workflow
def run():
    return asyncio.run(async_workflow("test"))
