"""Bures-Wasserstein geometry of scales A, for ONE splat: distances, geodesics and gradients (bhatia2019).

Two splats of one radial mother with a covariance are images of each other by an affine map, and the best one is
symmetric positive definite. So the Wasserstein-2 distance between them is that between Gaussians (gelbrich1990), and
depends on A through Sigma = A A^T only. A tangent is a symmetric S, moving the splat along the velocity x -> S (x - b):

    dSigma = S Sigma + Sigma S,   |S|^2 = tr(S Sigma S) = |S A|_F^2.

Geodesics (I + t S) A are straight lines in all d x d matrices, up to the rotation that makes A triangular again.
"""

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from bayesplat._typing import AnyArray, Float

__all__ = ["distance", "exponential", "gradient", "logarithm"]


def distance(
    A: Float[AnyArray, "d d"], b: Float[AnyArray, "d"], B: Float[AnyArray, "d d"], c: Float[AnyArray, "d"]
) -> Float[AnyArray, ""]:
    """Wasserstein-2 distance between the splats (A, b) and (B, c): W^2 = |b - c|^2 + |A|_F^2 + |B|_F^2 - 2 |A^T B|_*.

    The nuclear norm |A^T B|_* is tr (Sigma_A^(1/2) Sigma_B Sigma_A^(1/2))^(1/2). Its W^2 is the least |A - B Q|_F^2
    over rotations Q, plus |b - c|^2.
    """
    nuclear = jnp.sum(jnp.linalg.svd(A.T @ B, compute_uv=False))
    square = jnp.sum(jnp.square(A)) + jnp.sum(jnp.square(B)) - 2.0 * nuclear
    return jnp.sqrt(jnp.sum(jnp.square(b - c)) + jnp.maximum(square, 0.0))  # rounding may leave it below 0


def exponential(A: Float[AnyArray, "d d"], S: Float[AnyArray, "d d"]) -> Float[AnyArray, "d d"]:
    """Scale at time 1 of the geodesic from A along S: the Cholesky factor of (I + S) Sigma (I + S).

    A geodesic as long as I + t S is positive definite.
    """
    moved = A + S @ A
    return jnp.linalg.cholesky(moved @ moved.T)


def logarithm(A: Float[AnyArray, "d d"], B: Float[AnyArray, "d d"]) -> Float[AnyArray, "d d"]:
    """Tangent S at A with exponential(A, S) = B: T - I, where T = B Q A^{-1} is the optimal map.

    The rotation Q = U V^T comes from the singular vectors of B^T A = U D V^T.
    """
    U, _, Vt = jnp.linalg.svd(B.T @ A)
    T = solve_triangular(A, (B @ U @ Vt).T, lower=True, trans="T").T
    return T - jnp.eye(A.shape[0], dtype=T.dtype)


def gradient(A: Float[AnyArray, "d d"], dA: Float[AnyArray, "d d"]) -> Float[AnyArray, "d d"]:
    """Riemannian gradient S = 2 dphi/dSigma of a function of Sigma, from its gradient dA in the lower-triangular A.

    dphi/dA over all matrices is S A, so A^T (S A) = K is symmetric; its lower triangle is that of A^T dA, since what dA
    lacks is strictly upper. S = A^{-T} K A^{-1}.
    """
    lower = jnp.tril(A.T @ dA)
    K = lower + jnp.tril(lower, -1).T
    half = solve_triangular(A, K, lower=True, trans="T")
    return solve_triangular(A, half.T, lower=True, trans="T")
