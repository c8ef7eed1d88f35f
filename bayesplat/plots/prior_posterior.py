"""What the data taught: f, the noise and the number of active splats, before the data and after."""

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bayesplat.diagnostics.active import active_counts
from bayesplat.diagnostics.pool import joined, pooled
from bayesplat.plots import style
from bayesplat.plots.inputs import as_posterior, variable
from bayesplat.results import Posterior

BANDS = ((style.PALE, 0.55, "prior"), (style.BLUE, 0.45, "posterior"))


def prior_posterior(post: object) -> Figure:
    """Prior beside posterior: 90% bands of f at the data, the noise scale, the number of active splats.

    post: a Posterior. f is shown over one input, or over the data in the order of their fit. A posterior as wide as the
    prior was taught nothing; one at the prior's edge fights it. Returns the figure. Raises BayesplatError for another
    object.
    """
    post = as_posterior(post)
    prior = joined(post.data["prior"].to_dataset())
    both = (prior, pooled(post.data, "posterior"))
    with style.look():
        figure = style.Picture(figsize=(7.0, 5.4), dpi=150, layout="constrained")
        grid = figure.add_gridspec(2, 2, height_ratios=(3, 2))
        _function(figure.add_subplot(grid[0, :]), both, post)
        _noise(figure.add_subplot(grid[1, 0]), both, post.names[-1])
        _active(figure.add_subplot(grid[1, 1]), both, post)
        style.legend(figure.axes[0], True)
        return figure


def _function(ax: Axes, both: tuple[xr.Dataset, xr.Dataset], post: Posterior) -> None:
    x, y = variable(post, "constant_data", "x").values, variable(post, "observed_data", "y").values
    one = x.shape[1] == 1
    mean = both[1]["f"].mean("sample").values
    order = np.argsort(x[:, 0] if one else mean)
    along = x[order, 0] if one else np.arange(1, y.size + 1, dtype=float)
    style.dots(ax, along, y[order])
    for draws, (colour, alpha, name) in zip(both, BANDS, strict=True):
        low, high = np.quantile(draws["f"].values[:, order], (0.05, 0.95), axis=0)
        ax.fill_between(along, low, high, color=colour, alpha=alpha, lw=0, label=f"90% band of f, {name}")
    ax.plot(along, mean[order], color=style.BLUE, label="posterior mean of f")
    reach = float(np.ptp(y)) or 1.0  # a wide prior must not flatten the data
    bottom, top = ax.get_ylim()
    ax.set_ylim(max(bottom, float(y.min()) - 1.5 * reach), min(top, float(y.max()) + 1.5 * reach))
    ax.set_xlim(*style.span(along))
    ax.set_xlabel(style.wrap(post.names[0], 70) if one else "data, in the order of their fitted value")
    ax.set_ylabel(style.wrap(post.names[-1], 40))


def _noise(ax: Axes, both: tuple[xr.Dataset, xr.Dataset], output: str) -> None:
    values = [draws["sigma"].values for draws in both]
    low = min(float(np.quantile(sigma, 0.02)) for sigma in values)
    high = max(float(np.quantile(sigma, 0.95)) for sigma in values)
    _histograms(ax, values, np.geomspace(low, max(high, 1.1 * low), 30))
    ax.set_xscale("log")
    ax.set_xlabel(style.wrap(f"noise scale sigma: {output}", 40))


def _active(ax: Axes, both: tuple[xr.Dataset, xr.Dataset], post: Posterior) -> None:
    counts = [active_counts(post.data, draws) for draws in both]
    _histograms(ax, counts, np.arange(both[0].sizes["splat"] + 2) - 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel(f"active splats, of {both[0].sizes['splat']}")


def _histograms(ax: Axes, values: list[np.ndarray], edges: Float[np.ndarray, " b"]) -> None:
    for some, (colour, alpha, _) in zip(values, BANDS, strict=True):
        ax.hist(some, list(edges), weights=np.full(len(some), 1 / len(some)), color=colour, alpha=alpha)
    ax.set_ylabel("share of draws")
