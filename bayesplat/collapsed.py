"""The linear-Gaussian heart: y = Phi a + noise with a ~ N(0, scales^2) integrated out, by one small Cholesky factor.

With W = D^(-1/2) Phi S (S the diagonal of prior sds, D of noise variances), C = D^(1/2) (I + W W^T) D^(1/2) is the
marginal covariance of y and M = I + W^T W the precision of the whitened coefficients a / S, of size r = splats + trend
(Woodbury). Float64 only: in float32 M is numerically singular when features are collinear and noise is small.

A vector stands before the features that it multiplies, as in v @ Phi: XLA takes several times as long for Phi.T @ v.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Float, Int

from bayesplat._typing import AnyArray, Key


class Weighted(NamedTuple):
    """Features and y in units of the noise, with their inner products: all that a factor needs besides the scales."""

    features: Float[jax.Array, "r n"]  # a row for each, along memory; 0 where data are missing
    residual: Float[jax.Array, " n"]
    gram: Float[jax.Array, "r r"]
    slope: Float[jax.Array, " r"]  # inner products with the residual
    sd: Float[AnyArray, " n"]  # noise sd of every datum
    observed: Float[AnyArray, " n"]  # 1 where y is observed, 0 where it is missing


class Factor(NamedTuple):
    """What the data say of the coefficients: all that their moments need."""

    scales: Float[AnyArray, " r"]  # prior sds of the coefficients
    chol: Float[AnyArray, "r r"]  # lower Cholesky factor of M
    half: Float[AnyArray, " r"]  # chol^-1 W^T residual


class Collapsed(NamedTuple):
    """The factored system at one (A, b, scales, noise)."""

    weighted: Weighted
    scales: Float[AnyArray, " r"]
    chol: Float[AnyArray, "r r"]
    half: Float[AnyArray, " r"]

    @property
    def factor(self) -> Factor:
        """All but the data."""
        return Factor(self.scales, self.chol, self.half)

    @property
    def W(self) -> Float[AnyArray, "n r"]:
        """Whitened features; rows of missing data are 0."""
        return self.weighted.features.T * self.scales

    @property
    def residual(self) -> Float[AnyArray, " n"]:
        """Whitened y; 0 where missing."""
        return self.weighted.residual

    @property
    def sd(self) -> Float[AnyArray, " n"]:
        """Noise sd of every datum."""
        return self.weighted.sd

    @property
    def observed(self) -> Float[AnyArray, " n"]:
        """1 where y is observed, 0 where it is missing."""
        return self.weighted.observed


def weigh(
    features: Float[AnyArray, "n r"],
    y: Float[AnyArray, " n"],
    sd: Float[AnyArray, " n"],
    observed: Float[AnyArray, " n"],
) -> Weighted:
    """Features and y in units of the noise; cost O(n r^2)."""
    weight = observed / sd
    columns, residual = jnp.asarray(features * weight[:, None]), jnp.asarray(y * weight)
    return Weighted(columns.T, residual, columns.T @ columns, residual @ columns, sd, observed)


def with_column(weighted: Weighted, slot: Int[AnyArray, ""], column: Float[AnyArray, " n"]) -> Weighted:
    """The same with another feature in one slot; cost O(n r)."""
    new = column * (weighted.observed / weighted.sd)
    inner = (weighted.features @ new).at[slot].set(new @ new)
    features = weighted.features.at[slot].set(new)
    gram = weighted.gram.at[slot].set(inner).at[:, slot].set(inner)
    slope = weighted.slope.at[slot].set(new @ weighted.residual)
    return weighted._replace(features=features, gram=gram, slope=slope)


def factor_weighted(weighted: Weighted, scales: Float[AnyArray, " r"]) -> Collapsed:
    """Factor the marginal covariance of y at these prior sds; cost O(n r + r^3)."""
    return Collapsed(weighted, scales, *cholesky(weighted.gram, weighted.slope, scales))


def factor(
    features: Float[AnyArray, "n r"],
    scales: Float[AnyArray, " r"],
    y: Float[AnyArray, " n"],
    sd: Float[AnyArray, " n"],
    observed: Float[AnyArray, " n"],
) -> Collapsed:
    """Factor the marginal covariance of y; cost O(n r^2 + r^3)."""
    return factor_weighted(weigh(features, y, sd, observed), scales)


def cholesky(
    gram: Float[AnyArray, "r r"], slope: Float[AnyArray, " r"], scales: Float[AnyArray, " r"]
) -> tuple[AnyArray, AnyArray]:
    """Lower Cholesky factor L of M = I + S gram S, and L^-1 S slope."""
    chol = jnp.linalg.cholesky(jnp.eye(gram.shape[0], dtype=gram.dtype) + scales[:, None] * gram * scales)
    return chol, solve_triangular(chol, scales * slope, lower=True)


def log_density(c: Collapsed) -> Float[AnyArray, ""]:
    """Log N(y; 0, C) over the observed data."""
    return _log_normal(c.weighted.features.T, c.residual, c.scales) - log_volume(c.sd, c.observed)


def log_volume(sd: Float[AnyArray, " n"], observed: Float[AnyArray, " n"]) -> Float[AnyArray, ""]:
    """Log of what a unit of noise has as volume: sum log(sd sqrt(2 pi)) over the observed data."""
    return jnp.sum(observed * (jnp.log(sd) + 0.5 * np.log(2 * np.pi)))


@jax.custom_vjp
def _log_normal(
    features: Float[AnyArray, "n r"], residual: Float[AnyArray, " n"], scales: Float[AnyArray, " r"]
) -> Float[AnyArray, ""]:
    """-log det M / 2 - (|residual - W m|^2 + |m|^2) / 2 at m = M^-1 W^T residual, with its gradient written out.

    The least of a sum of squares, and not the difference |residual|^2 - |half|^2: with little noise both are 1e12, and
    all digits of a nat are lost. The error of a least sum is of second order in that of m.
    """
    return _value_and_factor(features, residual, scales)[0]


def _value_and_factor(
    features: Float[AnyArray, "n r"], residual: Float[AnyArray, " n"], scales: Float[AnyArray, " r"]
) -> tuple[AnyArray, tuple]:
    # inner products and factor are those of the system once more, written alike: the compiler makes them once
    gram = features.T @ features
    chol, half = cholesky(gram, residual @ features, scales)
    mean = solve_triangular(chol.T, half, lower=False)
    left = residual - features @ (scales * mean)
    value = -jnp.sum(jnp.log(jnp.diagonal(chol))) - 0.5 * (jnp.sum(left**2) + jnp.sum(mean**2))
    return value, (features, scales, gram, chol, mean, left)


def _gradient(saved: tuple, tangent: Float[AnyArray, ""]) -> tuple[AnyArray, AnyArray, AnyArray]:
    """With a = S m and P = S M^-1 S, F the features: left a^T - F P, -left, and as in `scales_gradient`."""
    features, scales, gram, chol, mean, left = saved
    precision = cho_solve((chol, True), jnp.diag(scales))  # M^-1 S
    to_features = left[:, None] * (scales * mean) - features @ (scales[:, None] * precision)
    return tangent * to_features, -tangent * left, tangent * scales_gradient(scales, mean, gram, precision)


def scales_gradient(
    scales: Float[AnyArray, " r"],
    mean: Float[AnyArray, " r"],
    gram: Float[AnyArray, "r r"],
    precision: Float[AnyArray, "r r"],
) -> Float[AnyArray, " r"]:
    """m^2 / s - diag(G S M^-1), `precision` being M^-1 S; by M m = S F^T y, m / s is F^T left without cancellation."""
    alive = scales > 0
    return jnp.where(alive, mean**2 / jnp.where(alive, scales, 1.0), 0.0) - jnp.sum(gram * precision, 1)


_log_normal.defvjp(_value_and_factor, _gradient)


def mean_coefficients(c: Collapsed | Factor) -> Float[AnyArray, " r"]:
    """E[a | y]."""
    return c.scales * solve_triangular(c.chol.T, c.half, lower=False)


def variances(c: Collapsed | Factor) -> Float[AnyArray, " r"]:
    """Var[a | y]."""
    inverse = solve_triangular(c.chol, jnp.eye(c.chol.shape[0], dtype=c.chol.dtype), lower=True)
    return c.scales**2 * jnp.sum(inverse**2, 0)


def second_moments(c: Collapsed | Factor) -> Float[AnyArray, " r"]:
    """E[a^2 | y]."""
    return mean_coefficients(c) ** 2 + variances(c)


def least_squares(c: Collapsed) -> Float[AnyArray, " n_plus_r"]:
    """Whitened residuals and coefficients at their posterior mean, whose sum of squares is the least."""
    mean = solve_triangular(c.chol.T, c.half, lower=False)
    return jnp.concatenate([c.residual - c.W @ mean, mean])


def left_over(c: Collapsed) -> Float[AnyArray, " n"]:
    """Whitened residuals (y - E[f | y]) / sd; by the Woodbury identity also (I + W W^T)^-1 of the whitened y."""
    return least_squares(c)[: c.residual.size]


def draw_coefficients(c: Collapsed, key: Key) -> Float[AnyArray, " r"]:
    """An exact draw from p(a | y): mean + S M^(-1/2) xi."""
    noise = jax.random.normal(key, c.half.shape, c.half.dtype)
    return c.scales * solve_triangular(c.chol.T, c.half + noise, lower=False)


def leave_one_out(c: Collapsed) -> tuple[Float[AnyArray, " n"], Float[AnyArray, " n"]]:
    """Mean and variance of f_i given all data but y_i; zeros, without meaning, where y_i is missing.

    From the precision: var(y_i | y_-i) = 1 / [C^-1]_ii and y_i - mean = [C^-1 y]_i / [C^-1]_ii.
    """
    half = solve_triangular(c.chol, c.W.T, lower=True)
    leverage = jnp.sum(half**2, 0)  # share of its own prediction that a datum makes, in [0, 1)
    fitted = c.W @ solve_triangular(c.chol.T, c.half, lower=False)
    # 1 - leverage loses digits when a datum fixes its own splat; it is at least the noise's share of the variance
    left = jnp.maximum(1 - leverage, 1e-12)
    mean = c.residual - (c.residual - fitted) / left
    var = leverage / left
    return c.sd * mean, c.sd**2 * var


def evidence_lost(c: Collapsed) -> Float[AnyArray, " r"]:
    """How much log evidence falls when one coefficient is removed: exact, for every column at once."""
    inverse = cho_solve((c.chol, True), jnp.eye(c.chol.shape[0], dtype=c.chol.dtype))
    mean = solve_triangular(c.chol.T, c.half, lower=False)
    variance = jnp.diagonal(inverse)
    return 0.5 * (mean**2 / variance + jnp.log(variance))


def evidence_gain(
    c: Collapsed, candidates: Float[AnyArray, "n c"], scale: Float[AnyArray, ""] | Float[AnyArray, " c"]
) -> Float[AnyArray, " c"]:
    """How much log evidence rises when one candidate feature joins with prior sd `scale` (one, or one for each): exact.

    gain = -1/2 log(1 + s) + 1/2 g^2 / (1 + s). The second term is the squared first variation of the energy along the
    candidate, normalised by its norm: the flow's certificate.
    """
    g, s = along(c, candidates, scale)
    return 0.5 * (g**2 / (1 + s) - jnp.log1p(s))


def along(
    c: Collapsed, candidates: Float[AnyArray, "n c"], scale: Float[AnyArray, ""] | Float[AnyArray, " c"]
) -> tuple[Float[AnyArray, " c"], Float[AnyArray, " c"]]:
    """Slope g = scale psi^T C^-1 y and curvature s = scale^2 psi^T C^-1 psi of the log density along each candidate."""
    psi = candidates * (c.observed / c.sd)[:, None] * scale
    half = solve_triangular(c.chol, c.W.T @ psi, lower=True)
    s = jnp.maximum(jnp.sum(psi**2, 0) - jnp.sum(half**2, 0), 0.0)
    return left_over(c) @ psi, s
