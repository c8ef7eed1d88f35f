"""How much f and sigma move when the prior, or the likelihood, counts a little more or less (kallioinen2024)."""

import numpy as np

from bayesplat._lazy import pd, xr
from bayesplat.diagnostics.convert import group
from bayesplat.diagnostics.loo import FEWEST, distinct
from bayesplat.diagnostics.pool import pooled
from bayesplat.tables import sliced
from bayesplat.threads import filtering

LIMIT = 0.05
"""kallioinen2024: below it, a change of the prior would not be noticed."""

ALPHAS = (0.99, 1.01)
"""Powers of a density whose posteriors are compared: the derivative at one, by finite differences."""

DESIGN = 25
"""Most design points at which f is judged."""

BLOCKS = {
    "v": ("tau", "lam", "slab", "r2", "part", "stick"),
    "A": ("location", "spread", "deviation", "excess", "shear"),
    "b": ("centre", "repulsion"),
    "noise": ("sigma", "noise_weight"),
}
"""Densities of every block of the prior. That of centres is flat: only a repulsion prefers places to others."""

UNSCALED = ("amplitude", "trend", "mixing")
"""Sites that are not scaled: coefficients follow from the sites above them, and scaling both would count a prior twice;
mixing weights make noise heavy-tailed, and the likelihood integrates over them."""

ADVICE = {
    "v": "the prior on amplitudes: set its dial on purpose, and compare priors with `compare`",
    "A": "the prior on lengths: say with `Lengths(typical=...)` what you know of the widths of features",
    "b": "the repulsion between splats: set its `strength` on purpose, and compare with its `base` by `compare`",
    "noise": "the prior on the noise: more data, or repeated ones, would tell noise from structure",
}


def sensitivity(tree: "xr.DataTree") -> "pd.DataFrame":
    """Sensitivity of f (mean over the design) and sigma to each block of the prior (v, A, b, noise) and the likelihood.

    Change of the distribution (cumulative Jensen-Shannon distance) for one doubling of the block's log density, by
    power scaling and Pareto-smoothed weights. Zero where the density is the same for all draws.
    """
    judged, log_prior = _judged(tree), pooled(tree, "log_prior")
    rows = {}
    for block, names in BLOCKS.items():
        total = sum(
            (log_prior[name].values for name in names if name in log_prior), np.zeros(log_prior.sizes["sample"])
        )
        rows[block] = _psense(judged, total)
    each = pooled(tree, "log_likelihood")["y"]
    # NumPy's sums and means: xarray's set filters of warnings, which belong to the whole process, on every call
    total = each.values.sum(each.get_axis_num("obs"))
    return pd.DataFrame({**rows, "likelihood": _psense(judged, total)}).T


def notes(table: "pd.DataFrame") -> tuple[str, ...]:
    """One sentence for every block of the prior that f or sigma depends on."""
    found = []
    for block, advice in ADVICE.items():
        moved = [f"{name} ({table.loc[block, name]:.2f})" for name in table if float(table.loc[block, name]) > LIMIT]  # pyright: ignore
        if moved:
            found.append(f"Note: {' and '.join(moved)} depend{'s' * (len(moved) == 1)} on {advice}.")
    return tuple(found)


def _judged(tree: "xr.DataTree") -> dict[str, np.ndarray]:
    """Draws (., 1, s) of f at a few design points and of sigma, as one chain."""
    posterior = pooled(tree, "posterior")
    n = group(tree, "posterior").sizes["obs"]
    design = sliced(n, DESIGN)
    return {"f": posterior["f"].isel(obs=design).values.T[:, None], "sigma": posterior["sigma"].values[None, None]}


def _psense(judged: dict[str, np.ndarray], log_density: np.ndarray) -> dict[str, float]:
    """Sensitivity of what is judged to one log density (draws,)."""
    from arviz_stats.base.array import array_stats

    if log_density.size < FEWEST:
        return dict.fromkeys(judged, np.nan)
    if np.ptp(log_density) < 1e-9:
        return dict.fromkeys(judged, 0.0)
    # not the library's `psense` of a tree, which goes through pandas and xarray, with filters of warnings of their own
    with filtering, np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        log_weights = [array_stats.power_scale_lw(distinct(log_density), alpha=alpha) for alpha in ALPHAS]  # pyright: ignore[reportArgumentType]
        lower, upper = np.exp(log_weights)[:, None]  # of one chain, as what is judged
        return {
            key: float(np.mean([array_stats.power_scale_sense(one, lower, upper, *ALPHAS) for one in draws]))
            for key, draws in judged.items()
        }
