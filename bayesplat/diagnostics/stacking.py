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

NEAR, MOST = 1e-3, 5000
"""Distance from the highest score, in nats, at which weights are found, and most updates."""


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


def stacking_weights(elpd: Float[np.ndarray, "m n"], prior: float = 0.0) -> Float[np.ndarray, " m"]:
    """Weights w on the simplex that maximise sum_i log sum_m w_m p(y_i | y_-i, m) + prior sum_m log w_m (yao2022).

    Multiplicative updates in log space, without underflow however small the densities are, each tried at growing powers
    as long as the score rises. The score is concave, so its slope bounds how far it is from its maximum: `NEAR`
    nats in the end. Data whose score is not a number in some model have no say.
    """
    elpd = elpd[:, ~np.isnan(elpd).any(0)]
    m, n = elpd.shape
    total = n + prior * m

    def at(log_w: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Score, log weights and the log of the factor that each would be updated by."""
        log_w = log_w - np.asarray(logsumexp(log_w))
        log_mixture = np.asarray(logsumexp(log_w[:, None] + elpd, axis=0))
        pull = np.log(prior) - log_w if prior else -np.inf
        log_factor = np.logaddexp(np.asarray(logsumexp(elpd - log_mixture, axis=1)), pull) - np.log(total)
        return float(np.sum(log_mixture) + (prior * np.sum(log_w) if prior else 0.0)), log_w, log_factor

    best, power = at(np.zeros(m)), 1.0
    for _ in range(MOST):
        score, log_w, log_factor = best
        if total * np.expm1(log_factor.max()) < NEAR:
            break
        tried = at(log_w + power * log_factor)
        # a power of 1 cannot fail but for rounding
        best, power = (tried, 2 * power) if tried[0] >= score else (best, max(1.0, power / 4))
    return softmax(best[1])
