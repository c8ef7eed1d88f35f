"""One look for all pictures: colours that colour-blind readers can tell apart, fonts that read at 6-7 inches."""

import textwrap
from contextlib import AbstractContextManager
from io import BytesIO
from typing import Any, cast

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesplat._checks import expect
from bayesplat.scaling import constant
from bayesplat.tables import sliced

BLACK, GREY, PALE = "#000000", "#5F5F5F", "#B8B8B8"
ORANGE, SKY, GREEN, BLUE, RED, PURPLE = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
"""Okabe and Ito's colours, less yellow, which is lost on white."""

CYCLE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY)

STYLE = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.6,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "text.color": BLACK,
    "axes.labelcolor": BLACK,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": BLACK,
    "ytick.labelcolor": BLACK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "text.usetex": False,
}


MOST = 1000
"""Most data among the points of a curve."""


class Picture(Figure):
    """A figure that pyplot does not manage (nothing to close), and that a notebook shows when a cell ends with it."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def look() -> AbstractContextManager[None]:
    """The package's style while a picture is made; the user's settings are untouched afterwards."""
    return matplotlib.rc_context(cast(Any, STYLE))


def canvas(
    ax: Axes | None, size: tuple[float, float] = (6.5, 4.0), rows: int = 1, columns: int = 1, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """The user's axes and their figure, or a new figure with rows x columns panels."""
    if ax is not None:
        expect(ax, Axes, "`ax` to be one matplotlib Axes, such as one of those of plt.subplots")
        return cast(Figure, ax.figure.canvas.figure), [ax]
    figure = Picture(figsize=size, dpi=150, layout="constrained")
    return figure, list(figure.subplots(rows, columns, sharey=sharey, squeeze=False).ravel())


def legend(ax: Axes, own: bool, columns: int = 3) -> None:
    """One legend for a whole figure of ours below its panels, or inside the user's axes."""
    if not own:
        ax.legend(loc="best")
        return
    handles, labels = ax.get_legend_handles_labels()
    ax.figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)))


def wrap(text: str, width: int) -> str:
    """Text in lines of at most `width` letters, breaks in it kept, and a dollar a dollar: prices are no formulas."""
    return "\n".join(textwrap.fill(line, width) for line in text.splitlines()).replace("$", r"\$")


def letters(ax: Axes) -> int:
    """How many letters of a title fit above axes."""
    return max(12, int(13 * ax.get_position().width * ax.figure.bbox.width / ax.figure.dpi))  # pyright: ignore


def dots(
    ax: Axes,
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    colour: str = BLACK,
    alpha: float = 0.6,
    error: Float[np.ndarray, " n"] | None = None,
) -> None:
    """The data as dots that shrink as they grow many, with bars of one known sd either way."""
    size = float(np.clip(50 / np.sqrt(len(x)), 1.0, 4.0))
    many = len(x) > 5000
    ax.plot(x, y, "o", ms=size, mew=0, color=colour, alpha=alpha, label="data", rasterized=many, zorder=1.5)
    if error is not None:
        bars = {"elinewidth": 0.2 * size, "ecolor": colour, "alpha": 0.7 * alpha, "zorder": 1.4}
        ax.errorbar(x, y, error, fmt="none", label="known error, 1 sd", rasterized=many, **bars)


def beside(ax: Axes, row: float | int, points: float | int, text: str, **how: Any) -> None:
    """Text at height `row` of the axes, so many points to the right of them: a column of a table."""
    at = {"xycoords": ax.get_yaxis_transform(), "xytext": (points, 0), "textcoords": "offset points", "fontsize": 8}
    ax.annotate(text, (1.0, row), **at, annotation_clip=False, **how)


def along(values: Float[np.ndarray, " m"], data: Float[np.ndarray, " n"], points: int) -> Float[np.ndarray, " g"]:
    """Points of a curve over the span of values: evenly spaced, and at data between, where f may be finer than that."""
    low, high = span(values)
    own = data[sliced(len(data), MOST)]
    return np.union1d(np.linspace(low, high, points), own[(own >= low) & (own <= high)])


def shares(
    ax: Axes, values: Float[np.ndarray, " n"], colour: str, width: float, alpha: float, label: str | None
) -> None:
    """The share of values below every point, from 0 on: the first rise is seen, and a single value is a line."""
    at, levels = np.sort(values)[[0, *range(len(values))]], np.arange(len(values) + 1) / len(values)
    ax.step(at, levels, where="post", color=colour, lw=width, alpha=alpha, label=label)


def span(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Lowest and highest value, a little apart where they coincide, up to rounding."""
    low, high = float(values.min()), float(values.max())
    if constant(values[:, None])[0]:
        return low - 0.5 * max(abs(low), 1.0), high + 0.5 * max(abs(high), 1.0)
    return low, high
