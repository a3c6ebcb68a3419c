"""What to do, without doing it: generators that yield effects and are driven by `pyengine.runtime.drivers`.

Flows never touch a connection, a clock, a thread or asyncio, so each rule exists once for sync and async code.
"""
