"""Leave-one-out scores of a posterior by Pareto-smoothed importance sampling, chain weights honoured."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import logsumexp

from bayesplat._lazy import xr
from bayesplat.diagnostics.convert import group
from bayesplat.diagnostics.pool import chain_weights
from bayesplat.threads import filtering

LEAST_WEIGHT = 0.01
"""Chains of less weight have no say in whether a score can be trusted."""

FEWEST = 25
"""Draws below which the tail of weights is too short to be smoothed."""


class LeaveOneOut(NamedTuple):
    """Pareto-smoothed leave-one-out scores (vehtari2017, vehtari2024)."""

    elpd_i: np.ndarray  # (n,) log p(y_i | y_-i)
    khat: np.ndarray  # (n,) Pareto shape of the weights; NaN where they are degenerate
    good_k: float  # largest khat that can be trusted with this many draws
    pit: np.ndarray  # (n,) P(y_i' <= y_i | y_-i)
    refitted: int = 0  # data scored by a fit without them; their khat is 0

    @property
    def elpd(self) -> float:
        """Sum over data."""
        return float(self.elpd_i.sum())

    @property
    def se(self) -> float:
        """Standard error of the sum."""
        return float(np.sqrt(self.elpd_i.size * self.elpd_i.var()))

    @property
    def bad(self) -> Bool[np.ndarray, " n"]:
        """Whether a datum's score cannot be trusted; degenerate weights (NaN) count as bad."""
        return ~(self.khat <= self.good_k)

    @property
    def n_bad(self) -> int:
        """Number of data whose score cannot be trusted."""
        return int(self.bad.sum())


def leave_one_out(tree: "xr.DataTree") -> LeaveOneOut:
    """Scores from the integrated predictive: weights proportional to 1 / p(y_i | y_-i, theta).

    Where chains were stacked, scores are those of the weighted mixture of their predictives (yao2022). Exact scores of
    refits, where there are any, replace them; their k-hat is 0.
    """
    loo = _importance_sampled(tree)
    if "reloo" not in tree.children:
        return loo
    exact = group(tree, "reloo")
    known = ~np.isnan(exact["y"].values)
    pit = exact["pit"].values if "pit" in exact else loo.pit  # files before version 7 have none
    return loo._replace(
        elpd_i=np.where(known, exact["y"].values, loo.elpd_i),
        pit=np.where(known, pit, loo.pit),
        khat=np.where(known, 0.0, loo.khat),
        refitted=int(known.sum()),
    )


def _importance_sampled(tree: "xr.DataTree") -> LeaveOneOut:
    scores, weights = group(tree, "loo_predictive"), chain_weights(tree)
    kept = np.flatnonzero(weights >= LEAST_WEIGHT)
    weights = weights[kept] / weights[kept].sum()
    if "stacking" not in tree.children:
        return smoothed(scores.isel(chain=kept), weights)
    log_w = np.log(weights)
    each = [smoothed(scores.isel(chain=[c])) for c in kept]
    log_density = log_w[:, None] + np.stack([loo.elpd_i for loo in each])
    elpd_i = np.asarray(logsumexp(log_density, axis=0))
    pit = np.sum(np.exp(log_w)[:, None] * np.stack([loo.pit for loo in each]), axis=0)
    return LeaveOneOut(elpd_i, np.max([loo.khat for loo in each], axis=0), each[0].good_k, np.clip(pit, 0.0, 1.0))


def smoothed(scores: "xr.Dataset", weights: Float[np.ndarray, " chains"] | None = None) -> LeaveOneOut:
    """Scores of one sample, the draws of every chain with the chain's weight (by default alike)."""
    log_density, chains = _draws_last(scores["y"]), scores.sizes["chain"]
    weights = np.full(chains, 1 / chains) if weights is None else weights
    draws, log_chain = scores.sizes["draw"] / np.sum(weights**2), np.log(weights * chains)  # draws that count
    # ArviZ flags only k > good_k, which lets NaN through; the count above treats NaN as bad
    log_weights, khat = _weights(log_density - np.repeat(log_chain, scores.sizes["draw"]), scores["y"])
    log_weights = log_weights - np.asarray(logsumexp(log_weights, axis=1, keepdims=True))
    elpd_i = np.asarray(logsumexp(log_weights + log_density, axis=1))
    pit = np.sum(np.exp(log_weights) * _draws_last(scores["pit"]), axis=1)
    good_k = float(np.clip(1 - 1 / np.log10(draws), 0.0, 0.7))
    return LeaveOneOut(elpd_i, khat, good_k, np.clip(pit, 0.0, 1.0))


def _weights(log_ratio: np.ndarray, by_chain: "xr.DataArray") -> tuple[np.ndarray, np.ndarray]:
    """Smoothed log weights (n, s) from minus the raw ones, and k-hat (n,); NaN, and raw weights, where that fails."""
    from arviz_stats.base.array import array_stats

    if log_ratio.shape[1] < FEWEST:
        return -log_ratio, np.full(len(log_ratio), np.nan)
    reff = _relative_efficiency(by_chain)
    # in tails of a k-hat far above all limits, and in those that no Pareto distribution fits, whose weights are NaN
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        log_weights, khat = array_stats.psislw(distinct(log_ratio), r_eff=reff)  # pyright: ignore[reportArgumentType]
    failed = np.isnan(log_weights).any(1)
    return np.where(failed[:, None], -log_ratio, log_weights), np.where(failed, np.nan, khat)


def distinct(log_density: np.ndarray) -> np.ndarray:
    """The same up to 1e-9: the library refuses equal values in a tail, as of a stuck chain or a flat density."""
    return log_density + 1e-9 * np.linspace(0.0, 1.0, log_density.shape[-1])


def _draws_last(array: "xr.DataArray") -> np.ndarray:
    return array.stack(sample=("chain", "draw")).transpose("obs", "sample").values


def _relative_efficiency(log_density: "xr.DataArray") -> float:
    """Effective over actual draws, averaged over data."""
    from arviz_stats.sampling_diagnostics import ess

    chains, draws = log_density.sizes["chain"], log_density.sizes["draw"]
    with filtering:
        effective = ess(xr.Dataset({"y": np.exp(log_density - log_density.max())}), method="mean")["y"]
    return float(np.clip(np.nanmean(effective) / (chains * draws), 1e-3, 1.0))
