# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed. What the document calls incorrect."""

from pyengine import DBOS
import asyncio
@DBOS.workflow()
async def bad_parallel_workflow():
    async def seq_a():
        await step1("arg1")
        await step2("arg2")  # Order depends on step1 timing

    async def seq_b():
        await step3("arg3")
        await step4("arg4")  # Order depends on step3 timing

    # step2 and step4 may run in either order - non-deterministic!
    await asyncio.gather(seq_a(), seq_b())
