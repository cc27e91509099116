"""Jobs are started, polled, cancelled and forgotten, by any thread."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from local_panther.instance.jobs import Job, JobRefusedError, Jobs
from tests.instance.servers import eventually

CANCELLED = "cancelled"


@contextmanager
def table(workers=1, running=10, remembered=10):
    jobs = Jobs("jobs", repr, workers=workers, most_running=running, most_remembered=remembered)
    try:
        yield jobs
    finally:
        jobs.close(lambda job: jobs.cancel(job, CANCELLED))


@contextmanager
def holding(jobs: Jobs, count=1):
    """Start jobs that run until the context exits, and wait until the first one works."""
    begun, end = threading.Event(), threading.Event()

    def work():
        begun.set()
        return end.wait()

    try:
        yield [jobs.start(Job(), work) for _ in range(count)], begun.wait()
    finally:
        end.set()


def ended(job: Job) -> bool:
    return eventually(lambda: not job.is_running)


def test_a_job_has_no_outcome_until_its_work_returns_one():
    with table() as jobs:
        with holding(jobs) as ((job,), _):
            assert jobs.poll(job.id) is job
            assert job.is_running and job.outcome is None and job.completed is None
        assert ended(job)
        assert job.outcome is True and job.completed >= job.started


def test_an_exception_of_the_work_becomes_the_outcome_and_the_next_job_runs(caplog):
    with table() as jobs:
        failed = jobs.start(Job(), lambda: 1 / 0)
        following = jobs.start(Job(), lambda: "done")
        assert ended(following)
    assert failed.outcome == "ZeroDivisionError('division by zero')"
    assert following.outcome == "done"
    assert "jobs: a job failed" in caplog.text


def test_an_unknown_job_is_polled_as_none():
    with table() as jobs:
        assert jobs.poll("no-such-id") is None


def test_as_many_jobs_run_at_once_as_there_are_workers():
    at_once, most, lock = 0, 0, threading.Lock()

    def work():
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        barrier.wait(5)
        with lock:
            at_once -= 1
        return "done"

    barrier = threading.Barrier(2)
    with table(workers=2) as jobs:
        started = [jobs.start(Job(), work) for _ in range(6)]
        assert all(ended(job) for job in started)
    assert most == 2


class TestCancelling:
    def test_the_outcome_of_a_cancelled_job_stays(self):
        with table() as jobs:
            with holding(jobs) as ((job,), _):
                assert jobs.cancel(job, CANCELLED)
                assert not jobs.cancel(job, "again")
            assert ended(jobs.start(Job(), lambda: "done"))  # by now the first has returned
            assert job.outcome == CANCELLED

    def test_a_job_that_was_cancelled_while_it_waited_does_no_work(self):
        worked = []
        with table() as jobs:
            with holding(jobs):
                waiting = jobs.start(Job(), lambda: worked.append("waiting"))
                jobs.cancel(waiting, CANCELLED)
            assert ended(jobs.start(Job(), lambda: "done"))
        assert not worked and waiting.outcome == CANCELLED

    def test_a_job_that_has_ended_cannot_be_cancelled(self):
        with table() as jobs:
            job = jobs.start(Job(), lambda: "done")
            assert ended(job)
            assert not jobs.cancel(job, CANCELLED)
            assert job.outcome == "done"

    def test_one_of_many_threads_that_cancel_a_job_succeeds(self):
        with table() as jobs, holding(jobs) as ((job,), _), ThreadPoolExecutor(8) as threads:
            barrier = threading.Barrier(8)

            def cancel(number: int) -> bool:
                barrier.wait(5)
                return jobs.cancel(job, number)

            succeeded = list(threads.map(cancel, range(8)))
            assert succeeded.count(True) == 1
            assert job.outcome == succeeded.index(True)


class TestLimits:
    def test_a_job_beyond_the_limit_is_refused_until_another_has_ended(self):
        with table(running=2) as jobs, holding(jobs, 2) as ((_, waiting), _):
            with pytest.raises(JobRefusedError, match="2 jobs run already"):
                jobs.start(Job(), str)
            assert len(jobs.latest()) == 2
            jobs.cancel(waiting, CANCELLED)
            jobs.start(Job(), str)

    def test_threads_that_start_jobs_together_stay_within_the_limit(self):
        with table(running=5) as jobs, holding(jobs), ThreadPoolExecutor(8) as threads:
            barrier = threading.Barrier(8)

            def start(_: int) -> bool:
                barrier.wait(5)
                try:
                    jobs.start(Job(), str)
                except JobRefusedError:
                    return False
                return True

            assert list(threads.map(start, range(8))).count(True) == 4

    def test_the_oldest_jobs_that_have_ended_are_forgotten(self):
        with table(remembered=3) as jobs:
            done = [jobs.start(Job(), lambda: "done") for _ in range(2)]
            assert all(map(ended, done))
            with holding(jobs, 3) as (running, _):
                assert jobs.latest() == running[::-1]
                assert [jobs.poll(job.id) for job in done] == [None, None]

    def test_a_job_that_runs_is_never_forgotten(self):
        with table(remembered=1) as jobs, holding(jobs, 4) as (running, _):
            assert jobs.latest() == running[::-1]


class TestClosing:
    def test_closing_stops_all_jobs_that_run_or_wait_and_refuses_new_ones(self):
        end = threading.Event()
        jobs = Jobs("jobs", repr, workers=1, most_running=5, most_remembered=5)
        done = jobs.start(Job(), lambda: "done")
        assert ended(done)
        running = [jobs.start(Job(), end.wait) for _ in range(3)]

        def stop(job: Job) -> None:
            jobs.cancel(job, CANCELLED)
            end.set()

        jobs.close(stop)
        assert [job.outcome for job in (done, *running)] == ["done", *[CANCELLED] * 3]
        with pytest.raises(JobRefusedError, match="stopping"):
            jobs.start(Job(), str)

    def test_closing_without_a_stop_function_does_not_wait_for_running_jobs(self):
        jobs = Jobs("jobs", repr, workers=1, most_running=5, most_remembered=5)
        with holding(jobs, 2) as ((first, waiting), _):
            jobs.close()
            assert first.is_running
        assert ended(first)
        assert first.outcome is True and waiting.is_running  # it was dropped
