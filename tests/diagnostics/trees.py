"""DataTrees of made-up draws that are as good as draws get; tests spoil one thing at a time."""

import arviz as az
import numpy as np
import xarray as xr
from scipy import stats

CHAINS, DRAWS, N, K = 4, 500, 60, 4
SIGMA = 0.5
CONTRIBUTION = np.array([1.0, 1.0, 1e-3, 0.0])  # two splats at work and two to spare
DIMS = {"f": ["obs"], "y": ["obs"], "pit": ["obs"], "contribution": ["splat"]}


def nuts_groups():
    """Independent draws: f about a line, sigma, and sampler statistics without a fault."""
    rng = np.random.default_rng(0)
    at = (CHAINS, DRAWS)
    line = np.linspace(-1.0, 1.0, N)
    return {
        "posterior": {
            "f": line + 0.1 * rng.normal(size=(*at, N)),
            "sigma": SIGMA + 0.05 * rng.normal(size=at),
            "contribution": CONTRIBUTION + np.zeros((*at, K)),
        },
        "observed_data": {"y": line},
        "sample_stats": {
            "lp": rng.normal(size=at),
            "energy": rng.normal(size=at),
            "diverging": np.zeros(at, bool),
            "reached_max_tree_depth": np.zeros(at, bool),
            "teleported": np.full(at, 0.25),
        },
    }


def svi_groups(scale):
    """One chain of draws from N(0, scale^2 I_5) that stands in for N(0, I_5)."""
    z = scale * np.random.default_rng(0).normal(size=(1, 2000, 5))
    return {
        "posterior": {"f": z[..., :1], "sigma": np.ones((1, 2000))},
        "sample_stats": {"lp": stats.norm.logpdf(z).sum(-1), "log_q": stats.norm.logpdf(z, 0, scale).sum(-1)},
    }


def fit_groups():
    """A calibrated fit of a line: every datum predicted by N(line, SIGMA^2), almost without parameters."""
    rng = np.random.default_rng(1)
    at = (CHAINS, DRAWS)
    line = np.linspace(-1.0, 1.0, N)
    # stratified, so that the sample is as calibrated as a sample can be
    y = line + SIGMA * rng.permutation(stats.norm.ppf((np.arange(N) + 0.5) / N))
    f = line + 0.02 * rng.normal(size=(*at, N))
    return {
        "posterior": {
            "f": f,
            "sigma": SIGMA + 0.05 * rng.normal(size=at),
            "contribution": CONTRIBUTION + np.zeros((*at, K)),
            **{name: np.zeros(at) for name in ("spikes", "cancelling", "drifting")},
        },
        "log_likelihood": {"y": stats.norm.logpdf(y, f, SIGMA)},
        "log_prior": {"tau": rng.normal(size=at), "location": rng.normal(size=at), "centre": np.zeros(at)},
        "loo_predictive": {"y": stats.norm.logpdf(y, f, SIGMA), "pit": stats.norm.cdf(y, f, SIGMA)},
        "observed_data": {"y": y},
        "constant_data": {"x": np.arange(N, dtype=float)},
    }


def tree_of(groups):
    """The DataTree of these groups."""
    return az.from_dict(groups, dims=DIMS)


def alone(tree):
    """The same with all weight on the first chain."""
    weight = np.eye(tree["posterior"].sizes["chain"])[0]
    tree["stacking"] = xr.DataTree(xr.Dataset({"weight": ("chain", weight)}))
    return tree
