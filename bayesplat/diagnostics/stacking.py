"""Chains that keep to different explanations, weighted by what they predict instead of averaged blindly (yao2022)."""

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp, softmax

from bayesplat._lazy import xr
from bayesplat.diagnostics.convergence import worst_r_hat
from bayesplat.diagnostics.convert import group
from bayesplat.diagnostics.loo import FEWEST, smoothed

APART = 1.05
"""R-hat of f at its worst point above which chains are taken to sit in different modes; slow mixing stays below it."""

WORTH = 5.0
"""Data that count for every chain alike: scores of left-out data flatter each chain, which was fitted to the same
data, by about as much, and plain stacking then predicts new data worse than the plain average."""


def stacked(tree: "xr.DataTree") -> "xr.DataTree":
    """The tree with the weight of every chain in a group `stacking`, if long enough chains disagree about f."""
    scores = group(tree, "loo_predictive")
    if scores.sizes["draw"] < FEWEST or not (worst_r_hat(tree) > APART):
        return tree
    chains = scores["chain"]
    elpd = np.stack([smoothed(scores.sel(chain=[c])).elpd_i for c in chains.values])
    whole = tree.copy()
    whole["stacking"] = xr.DataTree(xr.Dataset({"weight": ("chain", mode_weights(elpd))}, {"chain": chains}))
    return whole


def mode_weights(elpd: Float[np.ndarray, "m n"]) -> Float[np.ndarray, " m"]:
    """Stacking weights with a prior of WORTH data for every chain; none for chains that less than one datum prefers.

    Where no chain has a datum to itself, all keep what they have.
    """
    scored = int(np.sum(~np.isnan(elpd).any(0)))
    weights = stacking_weights(elpd, WORTH)
    preferring = weights * (scored + WORTH * len(elpd)) - WORTH
    kept = np.where(preferring < 1, 0.0, weights)
    return kept / kept.sum() if kept.any() else weights


def stacking_weights(elpd: Float[np.ndarray, "m n"], prior: float = 0.0, steps: int = 2000) -> Float[np.ndarray, " m"]:
    """Weights w on the simplex that maximise sum_i log sum_m w_m p(y_i | y_-i, m) + prior sum_m log w_m (yao2022).

    Multiplicative updates in log space: monotone, and without underflow however small the densities are. Data whose
    score is not a number in some model have no say.
    """
    elpd = elpd[:, ~np.isnan(elpd).any(0)]
    log_w, log_prior = np.full(len(elpd), -np.log(len(elpd))), np.log(prior) if prior else -np.inf
    for _ in range(steps):
        log_share = log_w[:, None] + elpd - logsumexp(log_w[:, None] + elpd, axis=0)
        log_w = np.logaddexp(logsumexp(log_share, axis=1), log_prior) - np.log(elpd.shape[1] + prior * len(elpd))
    return softmax(log_w)
