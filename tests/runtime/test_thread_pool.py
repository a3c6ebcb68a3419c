"""Threads: few for short jobs, as many as there are jobs when these block each other."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pyengine.runtime.threads import ThreadPool


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def run_all(pool: ThreadPool, job: Callable[[], object], count: int) -> int:
    """Run a job so many times; the greatest number of threads meanwhile."""
    done = threading.Semaphore(0)
    most = 0

    def noted() -> None:
        nonlocal most
        job()
        most = max(most, names().count("pyengine-workflow"))
        done.release()

    for _ in range(count):
        pool.submit(noted)
    for _ in range(count):
        assert done.acquire(timeout=30)
    return most


def test_jobs_that_wait_for_each_other_all_run() -> None:
    pool = ThreadPool(None)
    together = threading.Barrier(60)

    run_all(pool, lambda: together.wait(30), 60)

    pool.close()


def test_short_jobs_share_a_few_threads() -> None:
    pool = ThreadPool(None)

    most = run_all(pool, lambda: None, 2000)

    pool.close()
    assert most <= 60


def test_a_limit_holds_though_jobs_wait() -> None:
    pool = ThreadPool(2)
    lock = threading.Lock()
    running = most = 0

    def job() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.01)
        with lock:
            running -= 1

    run_all(pool, job, 30)

    pool.close()
    assert most == 2


def test_a_closed_pool_leaves_no_threads() -> None:
    pool = ThreadPool(None)
    run_all(pool, lambda: None, 100)
    own = [t for t in threading.enumerate() if t.name in ("pyengine-workflow", "pyengine-threads")]

    pool.close()

    for thread in own:
        thread.join(10)
        assert not thread.is_alive()


def test_a_job_that_cannot_wait_runs_beside_the_limit() -> None:
    pool = ThreadPool(1)
    busy, release, urgent, later = (threading.Event() for _ in range(4))

    def block() -> None:
        busy.set()
        release.wait(30)

    pool.submit(block)
    assert busy.wait(10)
    pool.submit(later.set)

    pool.run_soon(urgent.set)

    assert urgent.wait(10)
    assert not later.is_set()
    release.set()
    assert later.wait(10)
    pool.close()


def test_an_idle_thread_runs_what_cannot_wait() -> None:
    pool = ThreadPool(1)
    done = threading.Event()
    pool.submit(done.set)
    assert done.wait(10)
    ran_in: list[str] = []
    ran = threading.Event()

    def note() -> None:
        ran_in.append(threading.current_thread().name)
        ran.set()

    while not pool._idle:
        threading.Event().wait(0.001)
    pool.run_soon(note)

    assert ran.wait(10)
    assert ran_in == ["pyengine-workflow"]
    pool.close()
