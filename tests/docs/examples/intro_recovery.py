# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed."""

from pyengine import DBOS
@DBOS.step()
def risky_external_call(data: str) -> str:
    # This might fail, but will be retried automatically
    # If it succeeds once, the result is cached
    response = external_api.send(data)
    return response

@DBOS.workflow()
def resilient_workflow(input_data: str) -> str:
    # Step 1: Save initial state
    save_order("order-1", "customer-1", 100.0)
    
    # Step 2: Make external call (cached on success)
    result = risky_external_call(input_data)
    
    # Step 3: Process result
    final_result = process_result(result)
    
    return final_result

# If this workflow crashes after step 2, recovery will:
# 1. Skip step 1 (transaction already committed)
# 2. Skip step 2 (result cached)
# 3. Execute step 3 and continue
