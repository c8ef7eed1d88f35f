"""What the prior expects before any data."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesplat._checks import expect
from bayesplat.plots import style
from bayesplat.plots.inputs import one_panel
from bayesplat.results import PriorPredictive

DRAWS = 30
"""Draws of f drawn as lines."""

MAPS = 4
"""Draws of f shown as maps over two inputs."""


def prior(prior_predictive: object, ax: Axes | None = None) -> Figure:
    """Draws of f from the prior: curves over one input, four maps over two, distributions of values over more.

    prior_predictive: what `SplatModel.prior_predictive` returns. `ax` is for one panel: not for two inputs.
    Returns the figure. Raises BayesplatError for another object.
    """
    drawn = expect(prior_predictive, PriorPredictive, "what SplatModel.prior_predictive returns")
    d = drawn.x.shape[1]
    maps = min(MAPS, len(drawn.f)) if d == 2 else 1
    one_panel(ax, maps, "two inputs")
    with style.look():
        if d == 2:
            return _maps(drawn, maps, ax)
        figure, (panel,) = style.canvas(ax)
        (_curves if d == 1 else _distributions)(panel, drawn)
        panel.set_title(
            f"{min(DRAWS, len(drawn.f))} of {len(drawn.f)} prior draws; median noise scale {np.median(drawn.sigma):.3g}"
        )
        style.legend(panel, ax is None)
        return figure


def _curves(ax: Axes, drawn: PriorPredictive) -> None:
    order = np.argsort(drawn.x[:, 0])
    x, f = drawn.x[order, 0], drawn.f[:, order]
    low, high = np.quantile(f, (0.05, 0.95), axis=0)
    ax.fill_between(x, low, high, color=style.BLUE, alpha=0.2, lw=0, label="90% of the draws")
    for i, draw in enumerate(f[:DRAWS]):
        ax.plot(x, draw, color=style.CYCLE[i % 6], lw=0.8, alpha=0.7, label="draws of f" if i == 0 else None)
    ax.set_xlim(*style.span(x))
    ax.set_ylim(*_reach(f))
    ax.set_xlabel(style.wrap(drawn.names[0], 70))
    ax.set_ylabel(style.wrap(drawn.names[-1], 40))


def _reach(f: Float[np.ndarray, "s n"]) -> tuple[float, float]:
    """Range of nearly all values: a single wild draw must not flatten the others."""
    low, high = np.quantile(f, (0.005, 0.995))
    room = 0.25 * (high - low) or 1.0
    return max(float(f.min()), low - room) - 0.05 * room, min(float(f.max()), high + room) + 0.05 * room


def _maps(drawn: PriorPredictive, maps: int, ax: Axes | None) -> Figure:
    columns = min(2, maps)
    rows = -(-maps // columns)
    figure, panels = style.canvas(ax, (6.8, 0.6 + 2.5 * rows), rows, columns)
    low, high = np.quantile(drawn.f[:maps], (0.005, 0.995))
    for i, panel in enumerate(panels[:maps]):
        points = panel.scatter(
            *drawn.x.T, c=drawn.f[i], vmin=low, vmax=high, s=10, lw=0, cmap="viridis", label="inputs"
        )
        panel.set_title(f"prior draw {i + 1}")
        panel.set_xlabel(style.wrap(drawn.names[0], 34))
        panel.set_ylabel(style.wrap(drawn.names[1], 34))
        if i == maps - 1:
            bar = figure.colorbar(points, ax=panels, extend="both")
            bar.set_label(style.wrap(drawn.names[-1], 38))
    for panel in panels[maps:]:
        panel.set_visible(False)
    return figure


def _distributions(ax: Axes, drawn: PriorPredictive) -> None:
    for i, draw in enumerate(drawn.f[:DRAWS]):
        label = "draws of f over the inputs" if i == 0 else None
        style.shares(ax, draw, style.CYCLE[i % 6], 0.8, 0.7, label)
    ax.set_xlim(*_reach(drawn.f))
    ax.set_ylim(0, 1)
    ax.set_xlabel(style.wrap(drawn.names[-1], 70))
    ax.set_ylabel("share of inputs with f below")
