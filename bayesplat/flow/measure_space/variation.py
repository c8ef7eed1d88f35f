"""First variation and gradient of the energy of a measure, written out (daniels2025splat, theorem 1).

With z_j = A^{-1} (x_j - b) and rho_{A,b}(x) = rho(A^{-1} (x - b)) / |det A|, a functional F enters through its first
variation dF (n, p) at the data alone. All splats are treated at once, in memory n k d: the outer products of the
theorem are summed as matrix products and never formed.
"""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from bayesplat._typing import AnyArray, Float
from bayesplat.flow.measure_space.particles import polar
from bayesplat.measure import SplatMeasure
from bayesplat.mothers import Mother

__all__ = ["first_variation", "fisher_rao_rate", "gradient", "potential", "relaxation"]


def potential(
    dF: Float[AnyArray, "n p"],
    x: Float[AnyArray, "n d"],
    A: Float[AnyArray, "k d d"],
    b: Float[AnyArray, "k d"],
    mother: Mother,
) -> Float[AnyArray, "k p"]:
    """Potentials g(A_i, b_i) = sum_j dF_j rho_{A_i,b_i}(x_j) (k, p), of splats of a measure or of any other (A, b)."""
    return jax.vmap(lambda A, b: _on_data(x, A, b, mother)[1] @ dF)(A, b)


def first_variation(
    measure: SplatMeasure,
    x: Float[AnyArray, "n d"],
    dF: Float[AnyArray, "n p"],
    penalty: Float[AnyArray, ""] | float = 0.0,
) -> Float[AnyArray, "k"]:
    """First variations eta_i = <s_i, g(A_i, b_i)> + penalty rho(0) / |det A_i| (k,): dE per unit of mass at splat i."""
    _, s = polar(measure)
    g = potential(dF, x, measure.A, measure.b, measure.mother)
    return jnp.sum(s * g, axis=1) + penalty * measure.peaks


def gradient(
    measure: SplatMeasure,
    x: Float[AnyArray, "n d"],
    dF: Float[AnyArray, "n p"],
    penalty: Float[AnyArray, ""] | float = 0.0,
) -> SplatMeasure:
    """Gradient of the energy in the places of (v, A, b); 0 for dead splats.

    dE/dv = g(A, b) + penalty s rho(0) / |det A|
    dE/dA = lower triangle of -sum_j <v, dF_j> rho_j [A^{-T} + grad_x log rho_j z_j^T] - penalty |a| A^{-T}
    dE/db = -sum_j <v, dF_j> rho_j grad_x log rho_j

    with grad_x log rho_j = A^{-T} (grad log rho)(z_j).
    """

    def one(v: AnyArray, A: AnyArray, b: AnyArray, height: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
        z, rho = _on_data(x, A, b, measure.mother)
        A_inverse_T = solve_triangular(A, jnp.eye(b.size, dtype=A.dtype), lower=True, trans="T")
        # where a density has underflowed, the slope of its logarithm may have overflowed
        score = jax.vmap(measure.mother.grad_log_density)(jnp.where(rho[:, None] > 0, z, 0.0)) @ A_inverse_T.T
        weight = rho * (dF @ v)
        dA = -(jnp.sum(weight) * A_inverse_T + score.T @ (weight[:, None] * z)) - penalty * height * A_inverse_T
        return rho @ dF, jnp.tril(dA), -(weight @ score)

    masses, s = polar(measure)
    unit_heights = measure.peaks
    g, dA, db = jax.vmap(one)(masses[:, None] * s, measure.A, measure.b, masses * unit_heights)
    dv = jnp.where(measure.live[:, None], g + penalty * unit_heights[:, None] * s, 0.0)
    return SplatMeasure(dv, dA, db, measure.live, measure.mother)


def fisher_rao_rate(
    measure: SplatMeasure,
    x: Float[AnyArray, "n d"],
    dF: Float[AnyArray, "n p"],
    conserve: bool,
    penalty: Float[AnyArray, ""] | float = 0.0,
) -> Float[AnyArray, "k"]:
    """Rates dm_i/dt = -m_i (eta_i - mean) (k,) of the masses along the Fisher-Rao gradient; directions do not change.

    With `conserve`, mean = sum_j m_j eta_j / sum_j m_j holds the total sum_i |v_i| (not the integral of f_mu, in which
    signs count); without it there is no mean and mass is free.
    """
    masses, _ = polar(measure)
    return -masses * relaxation(masses, first_variation(measure, x, dF, penalty), conserve)


def relaxation(masses: Float[AnyArray, "k"], eta: Float[AnyArray, "k"], conserve: bool) -> Float[AnyArray, "k"]:
    """Relative rates -d log m_i / dt (k,): eta_i less its mean under the masses, or eta_i alone if mass is free."""
    return eta - jnp.vdot(masses, eta) / jnp.sum(masses) if conserve else eta


def _on_data(
    x: Float[AnyArray, "n d"], A: Float[AnyArray, "d d"], b: Float[AnyArray, "d"], mother: Mother
) -> tuple[Float[AnyArray, "n d"], Float[AnyArray, "n"]]:
    """Offsets z_j = A^{-1} (x_j - b) (n, d) and densities rho_{A,b}(x_j) (n,) of one splat."""
    z = solve_triangular(A, (x - b).T, lower=True).T
    return z, jax.vmap(mother.density)(z) / jnp.prod(jnp.diagonal(A))
