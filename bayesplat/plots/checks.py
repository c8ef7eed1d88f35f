"""Four checks of a posterior at a glance: prior and posterior predictive, calibration, and data that decide alone."""

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import kstwo

from bayesplat.diagnostics.loo import LeaveOneOut, leave_one_out
from bayesplat.diagnostics.overfitting import PIT_LEVEL
from bayesplat.diagnostics.pool import pooled
from bayesplat.plots import style
from bayesplat.plots.inputs import as_posterior, variable
from bayesplat.tables import evenly, sliced

DRAWS = 50
"""Replicated data sets drawn as lines."""

ROWS = 2000
"""Most data behind a density estimate."""


def checks(post: object) -> Figure:
    """Prior and posterior predictive draws against the data, LOO-PIT, and Pareto k-hat of every datum, along one input.

    post: a Posterior. The LOO-PIT minus its uniform expectation leaves the band (Kolmogorov-Smirnov, simultaneous, 99%)
    where predictions are miscalibrated. Returns the figure. Raises BayesplatError for another object.
    """
    post = as_posterior(post)
    y = variable(post, "observed_data", "y")
    before, after = variable(post, "prior_predictive", "y"), pooled(post.data, "posterior_predictive")["y"]
    loo = leave_one_out(post.data)
    with style.look():
        figure, panels = style.canvas(None, (7.0, 6.2), 2, 2)
        _prior(
            panels[0],
            y.values,
            _replicates(before.stack(sample=("chain", "draw"))),
            post.names[-1],
        )
        _posterior(panels[1], y.values, _replicates(after), post.names[-1])
        _pit(panels[2], loo)
        x, names = variable(post, "constant_data", "x").values, post.names
        along, name = (x[:, 0], names[0]) if len(names) == 2 else (y["obs"].values, "datum (row of the data)")
        _khat(panels[3], loo, along, name)
        return figure


def _replicates(y: xr.DataArray) -> Float[np.ndarray, "s n"]:
    """Up to DRAWS replicated data sets, evenly spread over the sample."""
    flat = y.transpose("sample", "obs").values
    return flat[evenly(len(flat), DRAWS)]


def _prior(ax: Axes, y: np.ndarray, replicates: np.ndarray, name: str) -> None:
    low, high = style.span(y)
    reach = high - low
    # heavy tails of the prior would otherwise flatten the data into a line
    left, right = np.quantile(replicates, (0.02, 0.98))
    left, right = max(min(left, low), low - 2 * reach), min(max(right, high), high + 2 * reach)
    for i, replicate in enumerate(replicates):
        label = "prior draws" if i == 0 else None
        style.shares(ax, replicate, style.PALE, 0.6, 0.8, label)
    style.shares(ax, y, style.BLACK, 1.8, 1.0, "data")
    ax.set_xlim(left, right)
    ax.set_ylim(0, 1.25)
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.set_title("Prior predictive")
    ax.set_xlabel(style.wrap(name, 36))
    ax.set_ylabel("share of data below")
    ax.legend(loc="upper left", ncols=2)


def _posterior(ax: Axes, y: np.ndarray, replicates: np.ndarray, name: str) -> None:
    low, high = style.span(y)
    grid = np.linspace(low - 0.25 * (high - low), high + 0.25 * (high - low), 200)
    for i, replicate in enumerate(replicates):
        label = "posterior draws" if i == 0 else None
        ax.plot(grid, _density(replicate, grid), color=style.SKY, lw=0.6, alpha=0.7, label=label)
    ax.plot(grid, _density(y, grid), color=style.BLACK, lw=1.8, label="data")
    ax.set_xlim(grid[0], grid[-1])
    ax.set_ylim(bottom=0)
    ax.set_title("Posterior predictive")
    ax.set_xlabel(style.wrap(name, 36))
    ax.set_ylabel("density")
    ax.legend(loc="best")


def _density(y: Float[np.ndarray, " n"], grid: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Gaussian kernel density, with Silverman's width."""
    y = y[sliced(len(y), ROWS)]
    spread = min(y.std(), np.subtract(*np.quantile(y, (0.75, 0.25))) / 1.34) or y.std()
    width = max(0.9 * spread * len(y) ** -0.2, grid[1] - grid[0])
    z = (grid[:, None] - y) / width
    return np.exp(-0.5 * z**2).mean(1) / (width * np.sqrt(2 * np.pi))


def _pit(ax: Axes, loo: LeaveOneOut) -> None:
    n = len(loo.pit)
    reach = float(kstwo.ppf(1 - PIT_LEVEL, n))
    pit = np.concatenate([[0.0], np.sort(loo.pit), [1.0]])
    share = np.concatenate([[0.0], (np.arange(n) + 1) / n, [1.0]])
    # both ends of every step, so that the largest excursions are seen
    at, value = np.repeat(pit, 2)[1:], np.repeat(share, 2)[:-1]
    ax.axhspan(-reach, reach, color=style.PALE, alpha=0.45, lw=0, label=f"{1 - PIT_LEVEL:.0%} simultaneous KS band")
    ax.axhline(0, color=style.GREY, lw=0.8)
    ax.plot(at, value - at, color=style.BLUE, label="LOO-PIT")
    limit = 1.7 * max(reach, float(np.abs(value - at).max()))
    ax.set_xlim(0, 1)
    ax.set_ylim(-limit, limit)
    ax.set_title("Calibration: is LOO-PIT uniform?")
    ax.set_xlabel("predicted probability of a smaller value")
    ax.set_ylabel("share of data minus expected")
    ax.legend(loc="upper right", ncols=2, columnspacing=1.0, handletextpad=0.5)


def _khat(ax: Axes, loo: LeaveOneOut, along: np.ndarray, name: str) -> None:
    known = np.isfinite(loo.khat)
    bad = known & (loo.khat > loo.good_k)
    for chosen, colour, label in ((known & ~bad, style.BLUE, "datum"), (bad, style.RED, "untrusted")):
        if chosen.any():
            ax.plot(along[chosen], loo.khat[chosen], "o", ms=2.8, mew=0, color=colour, label=label)
    ax.axhline(loo.good_k, color=style.BLACK, lw=1.0, ls="--", label=f"limit {loo.good_k:.2f}")
    top = max(1.0, float(loo.khat[known].max(initial=0.0)) + 0.1)
    if not known.all():
        kwargs = {"color": style.RED, "ms": 5, "mew": 1.2, "label": "not a number"}
        ax.plot(along[~known], np.full((~known).sum(), top), "x", **kwargs)
    low = min(0.0, float(loo.khat[known].min(initial=0.0))) - 0.05
    ax.set_ylim(low, top + 0.3 * (top - low))
    exact = f"\nat 0: {loo.refitted} by exact refits" if loo.refitted else ""
    ax.set_title(f"Pareto k: {loo.n_bad} of {len(loo.khat)} LOO terms untrusted{exact}")
    ax.set_xlabel(style.wrap(name, 36))
    ax.set_ylabel("Pareto k-hat of its LOO weights")
    ax.legend(loc="upper right", ncols=3)
