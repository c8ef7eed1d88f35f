"""Do the chains draw from one distribution? Their ranks among all draws, which would be uniform."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import kstwo, rankdata

from bayesplat._checks import require
from bayesplat.diagnostics.convergence import effective_draws, judged, r_hat
from bayesplat.plots import style
from bayesplat.plots.inputs import as_posterior, variable
from bayesplat.wording import beside

LEVEL = 0.01
"""Chance that a chain of the posterior leaves its band."""


def ranks(post: object) -> Figure:
    """Ranks of every chain among the draws of all: f at its worst point, sigma and the log density (vehtari2021).

    post: a Posterior of at least two chains. For each chain the share of its draws below a share of all draws, less
    that share: 0 where chains agree, up to the noise of so many effective draws as a chain has in the median, whose 99%
    band is drawn (Kolmogorov-Smirnov). Returns the figure. Raises BayesplatError for another object, and for a single
    chain.
    """
    post = as_posterior(post)
    draws = judged(post.data)
    chains = draws.sizes["chain"]
    require(chains > 1, "Expected a posterior of at least two chains, whose ranks can be compared, got one.")
    point = int(np.argmax(np.nan_to_num(r_hat(draws[["f"]])["f"].values)))
    worst = draws["f"].isel(obs=point)
    x = variable(post, "constant_data", "x").sel(obs=worst["obs"]).values
    draws = draws.assign(f=worst)
    extent = post.scaling.extent
    at = ", ".join(
        f"{name} = {beside(value, size, 3)}" for name, value, size in zip(post.names, x, extent, strict=False)
    )
    titles = {"f": f"f at {at}", "sigma": "sigma", "lp": "log density"}
    apart, alone = r_hat(draws), [effective_draws(draws.isel(chain=[c])) for c in range(chains)]
    with style.look():
        figure, panels = style.canvas(None, (8.0, 3.2), 1, 3, sharey=True)
        for panel, (name, title) in zip(panels, titles.items(), strict=True):
            effective = np.median(np.nan_to_num([float(one[name]) for one in alone]))  # draws that never change: none
            reach = float(kstwo.ppf(1 - LEVEL, max(1, round(effective))))
            _panel(panel, draws[name].transpose("chain", "draw").values, reach)
            panel.set_title(f"{style.wrap(title, 30)}\nR-hat {float(apart[name]):.3f}")
        panels[0].set_ylabel("share of the chain's draws\nminus expected")
        style.legend(panels[0], own=True, columns=6)
        return figure


def _panel(ax: Axes, values: np.ndarray, reach: float) -> None:
    """Lines of all chains (c, s), and the band."""
    share = (rankdata(values).reshape(values.shape) - 0.5) / values.size
    below = (np.arange(values.shape[1]) + 0.5) / values.shape[1]
    ax.axhspan(-reach, reach, color=style.PALE, alpha=0.45, lw=0, label=f"{1 - LEVEL:.0%} band of a chain")
    ax.axhline(0, color=style.GREY, lw=0.8)
    for c, one in enumerate(np.sort(share, axis=1)):
        line = ("-", "--", "-.", ":")[c // len(style.CYCLE) % 4]
        at, difference = np.concatenate([[0.0], one, [1.0]]), np.concatenate([[0.0], below - one, [0.0]])
        ax.plot(at, difference, line, color=style.CYCLE[c % len(style.CYCLE)], lw=1.2, label=f"chain {c}")
    ax.set_xlim(0, 1)
    ax.set_xlabel("rank among all draws")
