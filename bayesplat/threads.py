"""Independent compiled jobs on threads: XLA releases the interpreter while it computes, so they run in parallel.

Meanwhile LAPACK, of which each job needs small factorisations, keeps to one thread: its own threads, which wait for
work by spinning, took half of both cores (one move of the flow on two cores: 14 ms instead of 7 at n = 200 and k = 30,
105 instead of 40 at n = 1000 and d = 2).
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager

import jax
from threadpoolctl import threadpool_limits

from bayesplat.devices import inference


class _Narrow:
    """LAPACK on one thread as long as any block runs, however they overlap: the setting is the whole process's."""

    def __init__(self) -> None:
        self.lock, self.blocks, self.limit = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self.lock:
            if not self.blocks:
                self.limit.enter_context(threadpool_limits(1, "blas"))
            self.blocks += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.blocks -= 1
            if not self.blocks:
                self.limit.close()


_narrow = _Narrow()

filtering = threading.Lock()
"""Held around what sets filters of warnings for a while, as ArviZ does for every effective number of draws: filters
belong to the whole process, and of two threads that set and restore them at once one would leave its own behind."""


def cores() -> int:
    """How many cores this process may use."""
    return getattr(os, "process_cpu_count", os.cpu_count)() or 1  # the former from Python 3.13 on


def run_all(
    job: Callable[[int, threading.Event], None],
    count: int,
    poll: Callable[[], None],
    interval: float = 0.2,
) -> bool:
    """Run `job(i, stop)` for i < count in float64, calling `poll` meanwhile; True if interrupted (Ctrl-C).

    Jobs compute on the device of the thread that calls this.

    A job looks at `stop` between its compiled pieces and returns early once it is set, keeping what it has.
    A job that raises stops the others and its error is raised here.
    """
    stop, interrupted = threading.Event(), False

    def guarded(i: int) -> None:
        try:
            job(i, stop)
        except BaseException:
            stop.set()
            raise

    with _narrow, ThreadPoolExecutor(min(count, cores())) as pool:
        futures = [pool.submit(as_here(guarded), i) for i in range(count)]
        try:
            while wait(futures, interval).not_done:
                poll()
        except KeyboardInterrupt:
            interrupted = True
            stop.set()
        for future in futures:
            future.result()
    poll()
    return interrupted


@contextmanager
def meanwhile[T](job: Callable[[], T]) -> Iterator[Future[T]]:
    """A job on a thread of its own while the block runs, in float64 and on the device of the thread that calls this."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(as_here(job))


def as_here[**P, T](job: Callable[P, T]) -> Callable[P, T]:
    """The job for another thread, in float64 and on the device of the thread that calls this."""
    device = jax.config.jax_default_device

    def there(*args: P.args, **kwargs: P.kwargs) -> T:
        with inference(device):  # settings of JAX belong to a thread
            return job(*args, **kwargs)

    return there
