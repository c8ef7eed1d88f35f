"""The look of the experiments' figures: the package's own style, dots for single fits, bars and lines for medians."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from table import MEAN, OURS, PAPER

from bayesplat.plots import style

COLOURS = {
    OURS: style.BLUE,
    MEAN: style.SKY,
    PAPER: style.RED,
    "GP (RBF)": style.GREEN,
    "GP (Matern 5/2)": style.ORANGE,
}
"""The same colour for a method in every figure."""


@contextmanager
def sheet(path: Path, width: float, height: float, rows: int = 1, columns: int = 1) -> Iterator[list[Axes]]:
    """Panels to draw on, row by row; saved as PNG in the end, with one legend below: that of the first panel."""
    with style.look():
        figure, axes = style.canvas(None, (width, height), rows, columns)
        yield axes
        style.legend(axes[0], own=True, columns=int(width // 2))
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)


def strip(ax: Axes, fits: pd.DataFrame, value: str = "mse") -> None:
    """A row for every method and k: a dot for each fit, a bar at the median."""
    labels = []
    for row, ((method, k), group) in enumerate(fits.groupby(["method", "k"], sort=False, dropna=False)):
        colour = COLOURS.get(str(method), style.GREY)
        labels.append(str(method) if pd.isna(k) else f"{method}, k = {k}")
        ax.plot(group[value], np.full(len(group), row), "o", ms=4, mew=0, alpha=0.5, color=colour)
        ax.plot(group[value].median(), row, "|", ms=11, mew=2, color=colour)
    ax.set(xscale="log", yticks=range(len(labels)), yticklabels=labels, xlabel="MSE")
    low, high = ax.get_xlim()
    if high < 100 * low:  # hardly a power of ten: name those between too, but not all, which run into each other
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.invert_yaxis()
    ax.grid(axis="x", color=style.PALE, linewidth=0.5)


def curve(ax: Axes, fits: pd.DataFrame, x: str, value: str = "mse", spread: float = 0.0) -> None:
    """Fits over x as dots, the medians of a method as a line; a dashed level for methods without x.

    `spread` moves the dots of each method apart on the log axis.
    """
    for i, (method, group) in enumerate(fits.groupby("method", sort=False)):
        colour = COLOURS.get(str(method), style.PURPLE)
        if group[x].isna().all():
            ax.axhline(group[value].median(), color=colour, linestyle="--", label=method)
            continue
        at = group[x].astype(float) * (1 + i * spread)
        middle = group.groupby(at)[value].median()
        ax.plot(middle.index, middle, "-", color=colour, label=method)
        ax.plot(at, group[value], "o", ms=3.5, mew=0, alpha=0.6, color=colour)
    ax.set(xscale="log", yscale="log", xlabel=x)
    known = sorted(fits[x].dropna().unique())
    ax.set_xticks(known, labels=[f"{tick:g}" for tick in known])
    ax.set_xticks([], minor=True)
