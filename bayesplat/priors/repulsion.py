"""Repulsion between splats: how alike two of them are, and the log factor that keeps them apart."""

import jax.numpy as jnp
from jaxtyping import Float

from bayesplat._typing import AnyArray


def log_bhattacharyya(
    A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], A2: Float[AnyArray, "c d d"], b2: Float[AnyArray, "c d"]
) -> Float[AnyArray, "k c"]:
    """Log Bhattacharyya coefficients of N(b_i, A_i A_i^T) and N(b2_j, A2_j A2_j^T): 0 if equal, -inf if remote.

    -(1/8) D^T S^-1 D - (1/2) log det S + (1/4) (log det S_i + log det S_j), S = (S_i + S_j) / 2, D = b_i - b2_j.
    """
    S, S2 = (jnp.einsum("kab,kcb->kac", scale, scale) for scale in (A, A2))
    own, own2 = (jnp.sum(jnp.log(jnp.diagonal(scale, axis1=-2, axis2=-1)), -1) for scale in (A, A2))
    squared, half_log_det = _quadratic(0.5 * (S[:, None] + S2[None, :]), b[:, None] - b2[None, :])
    return -0.125 * squared - half_log_det + 0.5 * (own[:, None] + own2[None, :])


def _quadratic(
    S: Float[AnyArray, "k c d d"], gap: Float[AnyArray, "k c d"]
) -> tuple[Float[AnyArray, "k c"], Float[AnyArray, "k c"]]:
    """D^T S^-1 D and log det S / 2 of all pairs, by one Cholesky factor written out for all at once.

    LAPACK would be called for every pair: seven times slower for 40 splats over one or two inputs.
    """
    rows: list[list[AnyArray]] = []  # of the lower factor, and then of L^-1 D
    solved: list[AnyArray] = []
    for i in range(S.shape[-1]):
        row: list[AnyArray] = []
        for j in range(i):
            row.append((S[..., i, j] - _dot(row, rows[j][:j])) / rows[j][j])
        row.append(jnp.sqrt(S[..., i, i] - _dot(row, row)))
        solved.append((gap[..., i] - _dot(row, solved)) / row[i])
        rows.append(row)
    log_det = [jnp.log(row[-1]) for row in rows]
    return jnp.asarray(_dot(solved, solved)), jnp.asarray(sum(log_det))


def _dot(left: list[AnyArray], right: list[AnyArray]) -> AnyArray | float:
    return sum((a * b for a, b in zip(left, right, strict=False)), 0.0)


def log_repulsion(A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"]) -> Float[AnyArray, ""]:
    """Log of prod_{i<j} (1 - c_ij^2), at most 0; two identical splats cost about 28 nats, not infinity."""
    return jnp.sum(jnp.triu(_log_apart(log_bhattacharyya(A, b, A, b)), 1))


def log_repulsion_from(
    A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], A2: Float[AnyArray, "c d d"], b2: Float[AnyArray, "c d"]
) -> Float[AnyArray, "c k"]:
    """Log factor that each of c splats would share with each of k others, were it one of them."""
    return _log_apart(log_bhattacharyya(A2, b2, A, b))


def _log_apart(log_coefficient: Float[AnyArray, "k c"]) -> Float[AnyArray, "k c"]:
    return jnp.log(jnp.maximum(1 - jnp.exp(2 * log_coefficient), 0.0) + 1e-12)
