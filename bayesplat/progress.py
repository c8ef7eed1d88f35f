"""Progress on a terminal: stage, how far, time left, and the number that matters; silent when piped."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

type Report = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and a short note."""


@contextmanager
def display(stage: str, show: bool | None = None) -> Iterator[Report]:
    """Yield a `Report` that draws one line on stderr; `show=None` draws only on a terminal."""
    if not (sys.stderr.isatty() if show is None else show):
        yield lambda done, total, note: None
        return
    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(28),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(stage, total=None, note="compiling, once for each model and size of data")
        yield lambda done, total, note: bar.update(task, completed=done, total=total, note=note)
