import threading

import jax
import jax.numpy as jnp
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from bayesplat import threads
from bayesplat.threads import meanwhile, run_all


def test_every_job_runs_once_in_float64_and_settings_outside_stay():
    seen, before = {}, jnp.zeros(()).dtype

    def job(i, stop):
        seen[i] = (jnp.zeros(()).dtype, stop.is_set(), threading.current_thread() is threading.main_thread())

    assert run_all(job, 5, lambda: None) is False
    assert seen == dict.fromkeys(range(5), (jnp.float64, False, False))
    assert jnp.zeros(()).dtype == before == jnp.float32


def test_progress_is_polled_meanwhile_and_at_the_end():
    polls, enough = [], threading.Event()

    def poll():
        polls.append(None)
        if len(polls) == 3:
            enough.set()

    assert run_all(lambda i, stop: enough.wait(10) or None, 1, poll, interval=0.01) is False
    assert enough.is_set()
    assert len(polls) >= 4


def wait_for_stop(seen):
    def job(i, stop):
        seen.append(stop.wait(10))

    return job


def test_an_interrupt_stops_every_job_and_is_reported():
    stopped, polls = [], []

    def poll():
        polls.append(None)
        if len(polls) == 1:
            raise KeyboardInterrupt

    assert run_all(wait_for_stop(stopped), 2, poll, interval=0.01) is True
    assert stopped == [True, True]


def test_a_failing_job_stops_the_others_and_its_error_is_raised(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    stopped = []

    def job(i, stop):
        if i == 1:
            raise ZeroDivisionError("planted")
        wait_for_stop(stopped)(i, stop)

    with pytest.raises(ZeroDivisionError, match="planted"):
        run_all(job, 2, lambda: None, interval=0.01)
    assert stopped == [True]


def test_more_jobs_than_processors_wait_their_turn(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 1)
    running, most = [], []

    def job(i, stop):
        running.append(i)
        most.append(len(running))
        stop.wait(0.01)
        running.remove(i)

    run_all(job, 3, lambda: None)
    assert most == [1, 1, 1]


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_blas_keeps_to_one_thread_while_jobs_run_and_no_longer():
    during = []

    def fails(i, stop):
        during.append(blas_threads())
        raise ZeroDivisionError("planted")

    with threadpool_limits(2, "blas"):  # whatever the machine has
        assert blas_threads() == {2}
        run_all(lambda i, stop: during.append(blas_threads()), 2, lambda: None)
        assert blas_threads() == {2}
        with pytest.raises(ZeroDivisionError):
            run_all(fails, 1, lambda: None)
        assert blas_threads() == {2}
    assert during == [{1}] * 3


def test_blas_has_its_threads_back_when_calls_overlapped():
    first_runs, second_runs = threading.Event(), threading.Event()

    def first(i, stop):
        first_runs.set()
        assert second_runs.wait(10)

    def second(i, stop):
        assert first_runs.wait(10)
        second_runs.set()
        earlier.join(10)  # ends last, though it began last

    with threadpool_limits(2, "blas"):
        earlier = threading.Thread(target=run_all, args=(first, 1, lambda: None))
        earlier.start()
        first_runs.wait(10)
        run_all(second, 1, lambda: None)
        assert blas_threads() == {2}


def test_compiled_work_is_shared_between_threads():
    traced = []

    @jax.jit
    def work(x):
        traced.append(None)
        return x + 1

    run_all(lambda i, stop: work(jnp.ones(3)).block_until_ready(), 1, lambda: None)
    run_all(lambda i, stop: work(jnp.zeros(3)).block_until_ready(), 2, lambda: None)
    assert len(traced) == 1


def test_a_job_runs_in_float64_while_the_block_does():
    inside = threading.Event()

    def job():
        assert inside.wait(10)
        return jnp.zeros(()).dtype

    with meanwhile(job) as aside:
        inside.set()
    assert aside.result() == jnp.float64
    assert jnp.zeros(()).dtype == jnp.float32


def test_an_error_of_the_job_waits_for_who_asks():
    def job():
        raise ValueError("no prior")

    with meanwhile(job) as aside:
        pass
    with pytest.raises(ValueError, match="no prior"):
        aside.result()


def test_an_error_in_the_block_waits_for_the_job():
    done = []
    with pytest.raises(KeyboardInterrupt), meanwhile(lambda: done.append(threading.Event().wait(0.05))):
        raise KeyboardInterrupt
    assert done == [False]
