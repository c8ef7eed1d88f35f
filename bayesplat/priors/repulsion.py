"""Repulsion between splats: how alike two of them are, and the log factor that keeps them apart."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from bayesplat._typing import AnyArray


def log_bhattacharyya(A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"]) -> Float[AnyArray, "k k"]:
    """Log Bhattacharyya coefficient of every pair of N(b_i, A_i A_i^T): 0 for equal splats, -inf for remote ones.

    -(1/8) D^T S^-1 D - (1/2) log det S + (1/4) (log det S_i + log det S_j), S = (S_i + S_j) / 2, D = b_i - b_j.
    """
    S = jnp.einsum("kab,kcb->kac", A, A)
    chol = jnp.linalg.cholesky(0.5 * (S[:, None] + S[None, :]))
    gap = b[:, None] - b[None, :]
    z = jnp.linalg.solve(chol, gap[..., None])[..., 0]
    half_log_det = jnp.sum(jnp.log(jnp.diagonal(chol, axis1=-2, axis2=-1)), -1)
    own = jnp.sum(jnp.log(jnp.diagonal(A, axis1=-2, axis2=-1)), -1)
    return -0.125 * jnp.sum(z * z, -1) - half_log_det + 0.5 * (own[:, None] + own[None, :])


def log_repulsion(A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"]) -> Float[AnyArray, ""]:
    """Log of prod_{i<j} (1 - c_ij^2), at most 0; two identical splats cost about 28 nats, not infinity."""
    k = b.shape[0]
    i, j = np.triu_indices(k, 1)
    square = jnp.exp(2 * log_bhattacharyya(A, b)[i, j])
    return jnp.sum(jnp.log(jnp.maximum(1 - square, 0.0) + 1e-12))
