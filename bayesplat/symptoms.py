"""What goes wrong with splats (daniels2025splat names it), from their heights and terms at the data; and with f."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree
from scipy.special import ndtri

from bayesplat._typing import AnyArray

FEWEST = 20
"""Data below which nothing is said of their neighbours."""

ALIKE = 3.0
"""Standard errors by which residuals of neighbours may be correlated by chance."""

MATTERS = 0.01
"""Root mean square of a splat's term, in sds of y, below which it is left out of the counts of suspicious splats."""


def cancelling_pairs(terms: Float[AnyArray, "n k"]) -> Float[AnyArray, ""]:
    """Pairs whose terms are nearly opposite: cosine below -0.9 and a sum at most half as large as the larger term."""
    gram = terms.T @ terms
    square = jnp.diagonal(gram)
    cosine = gram / jnp.sqrt(square[:, None] * square[None, :] + 1e-300)
    total = square[:, None] + square[None, :] + 2 * gram
    large = jnp.sqrt(square / terms.shape[0]) > MATTERS
    pair = (cosine < -0.9) & (total < 0.25 * jnp.maximum(square[:, None], square[None, :]))
    return jnp.sum(jnp.triu(pair & large[:, None] & large[None, :], 1)).astype(terms.dtype)


def spikes(heights: Float[AnyArray, "n k"], terms: Float[AnyArray, "n k"]) -> Float[AnyArray, ""]:
    """Splats that matter and rest on fewer than 1.5 data: (sum h^2)^2 / sum h^4, the participation ratio."""
    square = jnp.sum(heights**2, 0)
    support = square**2 / (jnp.sum(heights**4, 0) + 1e-300)
    matters = jnp.sqrt(jnp.mean(terms**2, 0)) > MATTERS
    return jnp.sum(matters & (support < 1.5)).astype(terms.dtype)


def drifting(heights: Float[AnyArray, "n k"]) -> Float[AnyArray, ""]:
    """Splats that reach no datum: less than a hundredth of their height anywhere."""
    return jnp.sum(jnp.max(heights, 0) < 0.01).astype(heights.dtype)


def likeness(residual: Float[np.ndarray, " n"], x: Float[np.ndarray, "n d"]) -> float:
    """Correlation between the residual of a datum and those of its two nearest, where it is not chance; else 0.

    By ranks, so that no datum decides, and above ALIKE of its standard errors under shuffling (Moran's I, moran1950),
    which residuals that know nothing of each other exceed in about one of a thousand data sets.
    """
    n = len(residual)
    if n < FEWEST or not np.isfinite(residual).all():
        return 0.0
    _, rank, count = np.unique(residual, return_inverse=True, return_counts=True)
    score = ndtri((np.cumsum(count) - count / 2) / n)[rank]
    if not score.any():
        return 0.0
    extent = np.ptp(x, 0)
    box = (x - x.min(0)) / np.where(extent > 0, extent, 1.0)
    own, near = np.arange(n)[:, None], KDTree(box).query(box, 3)[1]
    others = near != own
    others[others.all(1), 2] = False  # among more than two in one place a datum may not be its own nearest
    near = near[others].reshape(n, 2)
    correlation = float(np.sum(score * score[near].mean(1)) / np.sum(score**2))
    mutual = np.isin(near * n + own, own * n + near).sum()
    error = np.sqrt((2 * n + mutual) / 4) / n
    return correlation if correlation + 1 / (n - 1) > ALIKE * error else 0.0  # whose mean under shuffling is -1/(n-1)
