"""The two ends of a stream: `python -m tests.bench.streamer URL write COUNT WINDOW`, or `read COUNT`.

The writer is one async workflow, `writer-COUNT-WINDOW`, with so many values under way at once. Both print `ready`, wait
for a line, and print the seconds that it took; the reader fails unless it sees every value once and in order.
"""

from __future__ import annotations

import asyncio
import sys
import time

from pyengine import DBOS, SetWorkflowID


@DBOS.workflow()
async def write(count: int, window: int) -> float:
    """Write so many numbers: the seconds that it took."""
    await DBOS.set_event_async("begun", value=True)
    began = time.monotonic()
    for first in range(0, count, window):
        numbers = range(first, min(first + window, count))
        if window == 1:
            await DBOS.write_stream_async("numbers", first)
        else:
            await asyncio.gather(*(DBOS.write_stream_async("numbers", n) for n in numbers))
    await DBOS.close_stream_async("numbers")
    return time.monotonic() - began


async def read(workflow_id: str, count: int) -> float:
    """Read them all while they are written: the seconds from the first to the last."""
    began, expected = 0.0, 0
    async for number in DBOS.read_stream_async(workflow_id, "numbers"):
        began = began or time.monotonic()
        assert number == expected, f"{number} in place of {expected}"
        expected += 1
    assert expected == count, f"{expected} of {count} values"
    return time.monotonic() - began


async def run(role: str, count: int, window: int) -> float:
    """Play the role."""
    workflow_id = f"writer-{count}-{window}"
    if role == "read":
        await DBOS.get_event_async(workflow_id, "begun")
        return await read(workflow_id, count)
    with SetWorkflowID(workflow_id):
        handle = await DBOS.start_workflow_async(write, count, window)
    return await handle.get_result()


def main() -> None:
    """Launch, wait for the line, play."""
    url, role, count, window = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    DBOS(config={"name": f"bench-{role}", "system_database_url": url, "log_level": "WARNING"})
    DBOS.launch()
    print("ready", flush=True)
    sys.stdin.readline()
    print(asyncio.run(run(role, count, window)), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
