"""The posterior of f with its bands: a curve, two maps, or partial dependences."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bayesplat._checks import fraction, require
from bayesplat.plots import style
from bayesplat.plots.inputs import as_posterior, one_panel, variable
from bayesplat.results import Posterior
from bayesplat.scaling import constant
from bayesplat.tables import as_inputs
from bayesplat.wording import percent

POINTS = 200
"""Points of a curve."""

GRID = 100
"""Points along each input of a map, or of a partial dependence."""

PANELS = 6
"""Most inputs shown."""

ROOM = 0.02
"""Margin of a map, in its ranges."""

STRETCH = 0.05
"""Share of the axis on which f at a single value is drawn."""


def bands(post: object, x: object = None, prob: float | Sequence[float] = (0.5, 0.9), ax: Axes | None = None) -> Figure:
    """Posterior mean and bands of f: against one input, as maps over two, or averaged over the data along each of more.

    post: a Posterior. The picture spans `x` (m, d) or (m,), by default the data; `prob` holds the probabilities of
    the bands, all equal-tailed; against one input, the interval of new observations has the largest of them. `ax` is
    for one panel. More inputs, and two of which one never varies, show partial dependences,
    `Posterior.partial_dependence`, of the first six that vary; a single value has a short flat stretch around it.
    Returns the figure. Raises BayesplatError for another object, probability or input.
    """
    post = as_posterior(post)
    probs = sorted({fraction("prob", p) for p in np.atleast_1d(np.asarray(prob, dtype=object))}, reverse=True)
    require(bool(probs), "Expected at least one probability in `prob`, got none.")
    inputs = variable(post, "constant_data", "x").values
    at = inputs if x is None else as_inputs(x, "x", post.names[:-1])
    varying = np.flatnonzero(~constant(inputs))  # of the others the data say nothing but at one value
    one_panel(ax, min(len(varying), PANELS) or 1, f"{len(varying)} inputs that vary")
    with style.look():
        if post.n_inputs == 1:
            return _curve(post, inputs, at, probs, ax)
        if post.n_inputs == len(varying) == 2:
            return _maps(post, inputs, at, probs[0])
        return _partial(post, inputs, varying, at, probs, ax)


def _drawn(
    at: Float[np.ndarray, " m"], grid: Float[np.ndarray, " g"]
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """Where f is asked, and where that is drawn: the grid, but for a single value a short stretch around it."""
    if not constant(at[:, None])[0]:
        return grid, grid
    # what lies beside it nobody measured: the stretch is flat, there to be seen
    return at[[0, 0]], at[0] + STRETCH * np.ptp(grid) * np.array([-0.5, 0.5])


def _curve(post: Posterior, inputs: np.ndarray, at: np.ndarray, probs: list[float], ax: Axes | None) -> Figure:
    figure, (panel,) = style.canvas(ax)
    grid = style.along(at[:, 0], inputs[:, 0], POINTS)
    inside = (inputs[:, 0] >= grid[0]) & (inputs[:, 0] <= grid[-1])
    error = post.table.y_err
    style.dots(
        panel,
        inputs[inside, 0],
        variable(post, "observed_data", "y").values[inside],
        error=None if error is None else error[inside],
    )
    x, along = _drawn(at[:, 0], grid)
    _shade(panel, post, x[:, None], along, probs)
    panel.set_xlabel(style.wrap(post.names[0], 70))
    panel.set_ylabel(style.wrap(post.names[-1], 40))
    panel.set_xlim(grid[0], grid[-1])
    style.legend(panel, ax is None)
    return figure


def _shade(
    ax: Axes, post: Posterior, x: Float[np.ndarray, "m d"], along: Float[np.ndarray, " m"], probs: list[float]
) -> None:
    """Mean, bands of f (widest first) and interval of new observations."""
    for prob, shade in zip(probs, _shades(probs), strict=True):
        f = post.predict(x, prob)
        ax.fill_between(
            along, f.lower, f.upper, color=style.BLUE, alpha=shade, lw=0, label=f"{percent(prob)} band of f"
        )
    exact, errors = (None, "") if post.table.y_err is None else (0.0, ", errors aside")
    new = post.predict(x, probs[0], "observation", exact)
    ax.plot(along, new.mean, color=style.BLUE, label="posterior mean of f")
    for k, edge in enumerate((new.lower, new.upper)):
        label = f"{percent(probs[0])} interval of new data{errors}" if k == 0 else None
        ax.plot(along, edge, color=style.RED, lw=0.9, ls=(0, (5, 3)), label=label)


def _shades(probs: list[float]) -> np.ndarray:
    """Opacity of each band, the widest first."""
    return np.linspace(0.22, 0.5, len(probs)) if len(probs) > 1 else np.array([0.3])


def _maps(post: Posterior, inputs: np.ndarray, at: np.ndarray, prob: float) -> Figure:
    figure, panels = style.canvas(None, (7.0, 3.7), columns=2)
    first, second = (np.linspace(*style.span(column), GRID) for column in at.T)
    points = np.stack([part.ravel() for part in np.meshgrid(first, second)], 1)
    f = post.predict(points, prob)
    maps = (
        (f.mean, "viridis", f"posterior mean: {post.names[-1]}"),
        (f.upper - f.lower, "cividis", f"width of the {percent(prob)} band: {post.names[-1]}"),
    )
    for panel, (values, colours, label) in zip(panels, maps, strict=True):
        filled = panel.contourf(first, second, values.reshape(GRID, GRID), levels=14, cmap=colours)
        bar = figure.colorbar(filled, ax=panel, location="top", shrink=0.95)
        bar.set_label(style.wrap(label, 38))
        bar.set_ticks(MaxNLocator(5).tick_values(float(values.min()), float(values.max()))[1:-1])
        style.dots(panel, inputs[:, 0], inputs[:, 1])
        # room for whole dots at the edges; of what lies there nothing is said
        panel.set_xlim(first[0] - ROOM * np.ptp(first), first[-1] + ROOM * np.ptp(first))
        panel.set_ylim(second[0] - ROOM * np.ptp(second), second[-1] + ROOM * np.ptp(second))
        panel.set_xlabel(style.wrap(post.names[0], 34))
        panel.set_ylabel(style.wrap(post.names[1], 34))
    style.legend(panels[0], True)
    return figure


def averaged(varying: np.ndarray) -> list[int]:
    """The inputs whose partial dependences are drawn, of those that vary; the first where none does."""
    return varying[:PANELS].tolist() or [0]


def _partial(
    post: Posterior,
    inputs: np.ndarray,
    varying: np.ndarray,
    at: np.ndarray,
    probs: list[float],
    ax: Axes | None,
) -> Figure:
    shown = averaged(varying)
    panels = len(shown)
    columns = 2 if panels in (2, 4) else min(panels, 3)
    rows = -(-panels // columns)
    figure, axes = style.canvas(ax, (7.0, 0.9 + 2.2 * rows), rows, columns, sharey=True)
    for panel in axes[panels:]:
        panel.set_visible(False)
    for place, (j, panel) in enumerate(zip(shown, axes, strict=False)):
        grid = np.linspace(*style.span(at[:, j]), GRID)
        values, along = _drawn(at[:, j], grid)
        averages = [post.partial_dependence(j, values, prob) for prob in probs]
        for f, shade in zip(averages, _shades(probs), strict=True):
            label = f"{percent(f.prob)} band of the average"
            panel.fill_between(along, f.lower, f.upper, color=style.BLUE, alpha=shade, lw=0, label=label)
        panel.plot(along, averages[0].mean, color=style.BLUE, label="posterior mean")
        panel.plot(
            inputs[:, j],
            np.zeros(len(inputs)),
            "|",
            color=style.BLACK,
            alpha=0.4,
            ms=5,
            mew=0.6,
            label="data",
            transform=panel.get_xaxis_transform(),
            clip_on=True,
        )
        panel.set_xlim(grid[0], grid[-1])
        panel.set_xlabel(style.wrap(post.names[j], 26))
        if place % columns == 0:
            panel.set_ylabel(style.wrap(post.names[-1], 26))
    more = f"; {panels} of {post.n_inputs} inputs shown" if panels < post.n_inputs else ""
    left_out = ", constant ones left out" if varying.size else ", all are constant"
    more += left_out if varying.size < post.n_inputs else ""
    title = f"f along each input, averaged over the others' data{more}"
    if ax is None:
        figure.suptitle(title, fontsize="medium")
    else:
        ax.set_title(style.wrap(title, style.letters(ax)))
    style.legend(axes[0], ax is None)
    return figure
