import threading
import time
from itertools import count
from types import SimpleNamespace

import jax.numpy as jnp
import pytest

from bayesplat import prefetch
from bayesplat.prefetch import MOST, Cores

LONG, GPU = 10.0, SimpleNamespace(platform="gpu")


@pytest.fixture
def on(monkeypatch):
    """Cores of a machine that has so many."""

    def machine(number):
        monkeypatch.setattr(prefetch, "cores", lambda: number)
        return Cores()

    return machine


class Watched:
    """A job that says which are running, and waits for others if told to."""

    def __init__(self, meet=1):
        self.lock, self.running, self.most, self.done = threading.Lock(), 0, 0, []
        self.barrier = threading.Barrier(meet)

    def __call__(self, job, obsolete):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.barrier.wait(LONG)
        with self.lock:
            self.running -= 1
            self.done.append(job)
        return job**2


def test_results_come_in_order_on_one_core_and_nothing_is_begun_ahead(on):
    work = Watched()
    with on(1).series(work) as series:
        assert [series.result(count(job)) for job in range(5)] == [0, 1, 4, 9, 16]
        assert series.begun == []
    assert work.done == list(range(5))


@pytest.mark.parametrize(("cores", "together"), [(2, 2), (3, 3), (9, MOST)])
def test_idle_cores_take_the_jobs_that_follow(on, cores, together):
    """None is done before so many are at work, and there are never more."""
    work = Watched(meet=together)
    with on(cores).series(work) as series:
        assert [series.result(iter(range(job, 2 * together))) for job in range(2 * together)] == [
            job**2 for job in range(2 * together)
        ]
    assert work.most == together
    assert sorted(work.done) == list(range(2 * together))  # each once


def test_a_core_that_another_series_holds_does_not_idle(on):
    cores, work = on(2), Watched()
    with cores.series(work) as one, cores.series(work) as other:
        assert [one.result(iter(range(job, 9))) for job in range(3)] == [0, 1, 4]
        assert one.begun == other.begun == []
    with cores.series(Watched(meet=2)) as alone:
        assert alone.result(iter(range(2))) == 0


def test_what_was_begun_is_obsolete_once_something_changed(on):
    told, begun = [], threading.Event()

    def work(job, obsolete):
        if job == "next":
            begun.set()
            late = time.monotonic() + LONG
            while not obsolete() and time.monotonic() < late:
                time.sleep(0.001)
            told.append((job, obsolete()))
        return begun.wait(LONG) and job

    with on(2).series(work) as series:
        assert series.result(iter(["due", "next"])) == "due"
        series.changed()
        assert series.result(iter(["other"])) == "other"
    assert told == [("next", True)]


def test_what_is_due_does_not_wait_for_what_is_obsolete(on):
    begun, free = threading.Event(), threading.Event()

    def work(job, obsolete):
        if job == "next":
            begun.set()
            assert free.wait(LONG)
        return begun.wait(LONG) and job

    cores = on(2)
    with cores.series(work) as series:
        assert series.result(iter(["due", "next"])) == "due"
        series.changed()
        assert series.result(iter(["other", "after"])) == "other"
        free.set()
    assert cores.idle == 2


def test_nothing_is_begun_ahead_on_an_accelerator(on, monkeypatch):
    monkeypatch.setattr(prefetch, "jax", SimpleNamespace(config=SimpleNamespace(jax_default_device=GPU)))
    with on(9).series(Watched()) as series:
        assert [series.result(count(job)) for job in range(3)] == [0, 1, 4]
        assert series.begun == []


def test_jobs_compute_in_float64(on):
    with on(2).series(lambda job, obsolete: jnp.zeros(()).dtype) as series:
        assert [series.result(count(job)) for job in range(3)] == [jnp.float64] * 3


def test_an_error_is_raised_when_its_job_is_due(on):
    def work(job, obsolete):
        if job == 1:
            raise ZeroDivisionError("planted")
        return job

    with on(2).series(work) as series:
        assert series.result(iter(range(3))) == 0
        with pytest.raises(ZeroDivisionError, match="planted"):
            series.result(iter(range(1, 3)))


def test_an_error_of_an_obsolete_job_is_no_error(on):
    begun = threading.Event()

    def work(job, obsolete):
        if job == 1:
            begun.set()
            raise ZeroDivisionError("planted")
        assert begun.wait(LONG)
        return job

    with on(2).series(work) as series:
        assert series.result(iter([0, 1])) == 0
        series.changed()
        assert series.result(iter([2])) == 2
