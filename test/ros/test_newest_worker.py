from __future__ import annotations

import threading

from repsam_ros.ros.newest_worker import NewestWorker


def fail_test(error: Exception) -> None:
    raise AssertionError(error)


def test_works_on_newest_and_tells_of_each_overtaken_job() -> None:
    done: list[int] = []
    stale: list[int] = []
    begun, go_on, all_done = threading.Event(), threading.Event(), threading.Event()

    def work(job: int) -> None:
        begun.set()
        assert go_on.wait(10)
        done.append(job)
        if job == 5:
            all_done.set()

    worker = NewestWorker(work, stale.append, fail_test)
    worker.submit(1)
    assert begun.wait(10)
    for job in (2, 3, 4, 5):
        worker.submit(job)
    assert not worker.is_idle
    go_on.set()
    assert all_done.wait(10)
    worker.stop()
    assert done == [1, 5]
    assert stale == [2, 3, 4]


def test_stop_finishes_the_job_in_work_and_drops_the_waiting_one() -> None:
    done: list[int] = []
    stale: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def work(job: int) -> None:
        begun.set()
        assert go_on.wait(10)
        done.append(job)

    worker = NewestWorker(work, stale.append, fail_test)
    worker.submit(1)
    assert begun.wait(10)
    worker.submit(2)
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    go_on.set()
    stopper.join(10)
    assert not stopper.is_alive()
    assert (done, stale) == ([1], [2])


def test_failure_is_handed_on_and_ends_the_worker() -> None:
    failures: list[Exception] = []
    failed = threading.Event()

    def note(error: Exception) -> None:
        failures.append(error)
        failed.set()

    def work(job: int) -> None:
        raise ZeroDivisionError(f"job {job}")

    worker = NewestWorker(work, lambda job: None, note)
    worker.submit(7)
    assert failed.wait(10)
    worker.stop()
    assert [str(error) for error in failures] == ["job 7"]


def test_more_jobs_may_wait_where_every_result_counts() -> None:
    done: list[int] = []
    stale: list[int] = []
    begun, go_on, all_done = threading.Event(), threading.Event(), threading.Event()

    def work(job: int) -> None:
        begun.set()
        assert go_on.wait(10)
        done.append(job)
        if job == 5:
            all_done.set()

    worker = NewestWorker(work, stale.append, fail_test, max_waiting=3)
    worker.submit(1)
    assert begun.wait(10)
    for job in (2, 3, 4, 5):
        worker.submit(job)
    go_on.set()
    assert all_done.wait(10)
    worker.stop()
    assert done == [1, 3, 4, 5]
    assert stale == [2]
