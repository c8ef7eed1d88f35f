"""The collapsed density in blocks of rows, for data whose features would leave the processor's cache.

The features (n, r) are made three times, for their inner products, the residuals and the gradient, and never kept.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Float

from bayesplat._typing import AnyArray
from bayesplat.collapsed import Factor, cholesky, mean_coefficients, scales_gradient
from bayesplat.evaluate import sum_over_rows

IN_CACHE = 2**19
"""Entries of features (n, r) that stay in the processor's cache.

From 2^18 to 2^20 the times of a gradient differ by a third, this way or that (one core, k = 20 to 500).
"""


def log_density(
    weighted: Callable[..., tuple[Float[AnyArray, "rows r"], Float[AnyArray, " rows"]]],
    rows: tuple[Any, ...],
    scales: Float[AnyArray, " r"],
) -> tuple[Float[AnyArray, ""], Factor]:
    """Log density up to `collapsed.log_volume`, and the factor behind it, of blocks of rows (x, weight, ...).

    `weighted(*block)` makes features and residuals in units of the noise.
    """

    def products(*block: Any) -> Float[AnyArray, "r_plus_1 r_plus_1"]:
        features, residual = weighted(*block)
        return _inner(jnp.concatenate([features, residual[:, None]], 1))

    def squares_left(*block: Any) -> Float[AnyArray, ""]:
        features, residual = weighted(*block)
        return jnp.sum((residual - features @ coefficients) ** 2)

    inner = sum_over_rows(products, rows, len(scales))
    factor = Factor(scales, *cholesky(inner[:-1, :-1], inner[-1, :-1], scales))
    coefficients = jax.lax.stop_gradient(mean_coefficients(factor))
    left = jax.lax.stop_gradient(sum_over_rows(squares_left, rows, len(scales)))
    return _log_normal(inner, left, *factor), factor


@jax.custom_vjp
def _inner(columns: Float[AnyArray, "n c"]) -> Float[AnyArray, "c c"]:
    """Inner products, with a gradient that is one product and not two."""
    return columns.T @ columns


_inner.defvjp(lambda columns: (_inner(columns), columns), lambda columns, tangent: (columns @ (tangent + tangent.T),))


@jax.custom_vjp
def _log_normal(
    inner: Float[AnyArray, "r_plus_1 r_plus_1"],
    left: Float[AnyArray, ""],
    scales: Float[AnyArray, " r"],
    chol: Float[AnyArray, "r r"],
    half: Float[AnyArray, " r"],
) -> Float[AnyArray, ""]:
    """-log det M / 2 - (left + |m|^2) / 2, of the inner products of features and residual, and of the scales.

    `left`, the sum of squares of the least residual, is for the digits of the value; the gradient knows it as a
    function of the inner products, with a = S m and P = S M^-1 S: -(a a^T + P) / 2 for those of features, a / 2 for
    either of the two with the residual, and -1/2.
    """
    mean = solve_triangular(chol.T, half, lower=False)
    return -jnp.sum(jnp.log(jnp.diagonal(chol))) - 0.5 * (left + jnp.sum(mean**2))


def _value_of(*args: AnyArray) -> tuple[AnyArray, tuple]:
    return _log_normal(*args), args


def _gradient_of(saved: tuple, tangent: Float[AnyArray, ""]) -> tuple[AnyArray | None, ...]:
    inner, _, scales, chol, half = saved
    mean = solve_triangular(chol.T, half, lower=False)
    precision = cho_solve((chol, True), jnp.diag(scales))  # M^-1 S
    away = jnp.append(-scales * mean, 1.0)  # the residual is what features leave
    to_inner = -0.5 * (away[:, None] * away).at[:-1, :-1].add(scales[:, None] * precision)
    to_scales = scales_gradient(scales, mean, inner[:-1, :-1], precision)
    return tangent * to_inner, None, tangent * to_scales, None, None


_log_normal.defvjp(_value_of, _gradient_of)
