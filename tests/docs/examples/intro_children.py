# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed."""

from pyengine import DBOS
@DBOS.workflow()
def child_workflow(item_id: str) -> str:
    # Process a single item
    return f"Processed {item_id}"

@DBOS.workflow()
def parent_workflow(item_ids: list[str]) -> list[str]:
    results = []
    
    # Synchronous child workflow (waits for completion)
    result1 = child_workflow(item_ids[0])
    results.append(result1)
    
    # Asynchronous child workflow (returns immediately)
    handle = DBOS.start_workflow(child_workflow, item_ids[1])
    
    # Do other work...
    
    # Wait for async child to complete
    result2 = handle.get_result()
    results.append(result2)
    
    return results
