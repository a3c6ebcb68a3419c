"""A worker: it runs the workflows of this file until it is stopped, and gives back what it has not finished."""

import os
import signal

from pyengine import DBOS


@DBOS.step()
def compose_greeting(name: str) -> str:
    return f"Hello, {name}!"


@DBOS.workflow()
def greet(name: str) -> str:
    return compose_greeting(name)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    DBOS(
        config={
            "name": "greeter",
            "system_database_url": os.environ["PYENGINE_DATABASE_URL"],
            "executor_id": os.environ.get("HOSTNAME"),
            "run_migrations": False,  # `alter extension pyengine update` is the server's
        }
    )
    DBOS.launch()
    DBOS.register_queue("greetings")
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    DBOS.destroy()
