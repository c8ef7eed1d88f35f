"""Prefetching (brockwell2006): jobs of a series computed before they are due, on cores that would idle.

While nothing changes it is known which jobs follow, so they need not wait for those before them. Once something does,
what was begun is in vain. Results are the same, to the last bit, with any number of cores.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from threading import Event, Semaphore

from bayesplat.threads import as_here, cores

MOST = 4
"""Jobs of one series that are begun before the first of them is done, at most: each has memory of its own."""


class Cores:
    """The cores of this process: whoever works through a series holds one, and those that idle are lent."""

    def __init__(self) -> None:
        self.idle = Semaphore(cores())

    @contextmanager
    def series[Job, Found](self, compute: Callable[[Job, Callable[[], bool]], Found]) -> Iterator["Series[Job, Found]"]:
        """Hold a core and work through a series; `compute` is told whether its job is in vain, and may end early."""
        with self.idle, ThreadPoolExecutor(2 * MOST) as pool:  # those in vain may still run
            series = Series(pool, self.idle, compute)
            try:
                yield series
            finally:
                series.changed()


class Series[Job, Found]:
    """Jobs that are due one after the other, the next of them perhaps begun."""

    def __init__(
        self, pool: ThreadPoolExecutor, idle: Semaphore, compute: Callable[[Job, Callable[[], bool]], Found]
    ) -> None:
        self.pool, self.idle, self.compute = pool, idle, compute
        self.held, self.begun, self.vain = Semaphore(1), list[Future[Found]](), Event()

    def result(self, jobs: Iterator[Job]) -> Found:
        """What the first of these jobs finds; the others are those that follow if it changes nothing."""
        left = islice(jobs, len(self.begun), MOST)
        if not self.begun:
            self._begin(next(left), self._core())
        following = next(left, None)
        while not (due := self.begun[0]).done():
            while following is not None and (core := self._core()):
                self._begin(following, core)
                following = next(left, None)
            wait([due, *(job for job in self.begun[1:] if not job.done())], return_when=FIRST_COMPLETED)
        return self.begun.pop(0).result()

    def changed(self) -> None:
        """The jobs that follow are others: those that are begun are in vain."""
        self.vain.set()
        for job in self.begun:
            job.cancel()
        self.begun, self.vain = [], Event()

    def _core(self) -> Semaphore | None:
        """The core that the series holds, or else one that idles, if any."""
        return next((core for core in (self.held, self.idle) if core.acquire(blocking=False)), None)

    def _begin(self, job: Job, core: Semaphore | None) -> None:
        """Begin on this core; the first job, on none if one that is in vain has not left yet."""
        vain = self.vain.is_set
        future = self.pool.submit(as_here(lambda: self.compute(job, vain)))
        if core is not None:
            future.add_done_callback(lambda _: core.release())
        self.begun.append(future)
