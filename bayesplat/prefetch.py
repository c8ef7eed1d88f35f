"""Prefetching (brockwell2006): jobs of a series computed before they are due, on cores that would idle.

While nothing changes it is known which jobs follow, so they need not wait for those before them. Once something does,
those that were begun are obsolete. What a series finds does not depend on how many cores were lent.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from threading import Event, Lock

import jax

from bayesplat.threads import as_here, cores

MOST = 4
"""Jobs of one series that are begun before the first of them is done, at most: each has memory of its own."""


class Cores:
    """The cores of this process. Whoever works through a series has one; others are lent for what is not yet due."""

    def __init__(self) -> None:
        self.lock, self.count = Lock(), cores()
        self.idle = self.count  # below zero where what is due did not wait for what is not
        device = jax.config.jax_default_device
        self.most = MOST if device is None or device.platform == "cpu" else 1  # on one accelerator all would wait

    @contextmanager
    def series[Job, Found](self, compute: Callable[[Job, Callable[[], bool]], Found]) -> Iterator["Series[Job, Found]"]:
        """Take a core and work through a series; `compute` may ask whether its job is obsolete, and end early."""
        self.take()
        try:
            with ThreadPoolExecutor(self.count + 1) as pool:  # as many as have a core, and what is due
                series = Series(self, pool, compute)
                try:
                    yield series
                finally:
                    series.changed()
        finally:
            self.give_back()

    def take(self) -> None:
        """Count one core more as busy."""
        with self.lock:
            self.idle -= 1

    def borrow(self) -> bool:
        """Take a core if one idles."""
        with self.lock:
            lent = self.idle > 0
            self.idle -= lent
        return lent

    def give_back(self) -> None:
        """Count one core less as busy."""
        with self.lock:
            self.idle += 1


class Series[Job, Found]:
    """Jobs that are due one after the other, the next of them perhaps begun."""

    def __init__(
        self, cores: Cores, pool: ThreadPoolExecutor, compute: Callable[[Job, Callable[[], bool]], Found]
    ) -> None:
        self.cores, self.pool, self.compute = cores, pool, compute
        self.own = Lock()  # the core that the series has, locked while a job is at work there
        self.begun, self.obsolete = list[tuple[Future[Found], Callable[[], None]]](), Event()

    def result(self, jobs: Iterator[Job]) -> Found:
        """What the first of these jobs finds; the others are those that follow if it changes nothing.

        Unless something changed they are those of the last call but its first.
        """
        left = islice(jobs, len(self.begun), self.cores.most)
        if not self.begun:
            self._begin(next(left), self._core() or self._busy_core())
        following, (due, _) = next(left, None), self.begun[0]
        while not due.done():
            while following is not None and (leave := self._core()):
                self._begin(following, leave)
                following = next(left, None)
            wait([due, *(job for job, _ in self.begun[1:] if not job.done())], return_when=FIRST_COMPLETED)
        self.begun.pop(0)
        return due.result()

    def changed(self) -> None:
        """Other jobs follow than those that are begun."""
        self.obsolete.set()
        for job, leave in self.begun:
            if job.cancel():
                leave()
        self.begun, self.obsolete = [], Event()

    def _core(self) -> Callable[[], None] | None:
        """Take the core that the series has, or else one that idles, if any; how to leave it."""
        if self.own.acquire(blocking=False):
            return self.own.release
        return self.cores.give_back if self.cores.borrow() else None

    def _busy_core(self) -> Callable[[], None]:
        """Share a core with others: what is due never waits for what is obsolete."""
        self.cores.take()
        return self.cores.give_back

    def _begin(self, job: Job, leave: Callable[[], None]) -> None:
        obsolete = self.obsolete.is_set

        def work() -> Found:
            try:
                return self.compute(job, obsolete)
            finally:
                leave()

        self.begun.append((self.pool.submit(as_here(work)), leave))
