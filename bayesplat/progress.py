"""Progress on a terminal or in a notebook: stage, how far, time left, the number that matters; silent when piped."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

type Report = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and a short note."""


@contextmanager
def display(stage: str, show: bool | None = None) -> Iterator[Report]:
    """Yield a `Report` that draws one line on stderr; `show=None` draws only where somebody watches."""
    if not (_watched() if show is None else show):
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


def _watched() -> bool:
    """On a terminal, or in a notebook with the widgets that draw there."""
    return sys.stderr.isatty() or (Console().is_jupyter and find_spec("ipywidgets") is not None)
