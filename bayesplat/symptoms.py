"""What goes wrong with splats, counted from their heights and terms at the data (daniels2025splat names them)."""

import jax.numpy as jnp
from jaxtyping import Float

from bayesplat._typing import AnyArray

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
